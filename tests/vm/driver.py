"""A driver for the look-alike GPUs: the NVML stand-in of tests/nvml, told what the layout says of them."""

import json
from typing import Final

from tests.nvml.build import library
from tests.vm import layout

_LIBRARY: Final = "driver/libnvidia-ml.so.1"
_FIXTURE: Final = "driver/nvml.json"

#: Names of the layout, in the order in which the driver numbers them.
GPUS: Final = tuple(name for name, function in layout.functions().items() if function.model == "bochs-display")


def files() -> dict[str, bytes]:
    """What the guest needs of it, below ``/work``."""
    return {_LIBRARY: library().read_bytes(), _FIXTURE: json.dumps(_fixture()).encode()}


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """How the guest runs a module that asks this driver."""
    return (
        *("env", f"NVTOPO_NVML_FIXTURE=/work/{_FIXTURE}", f"NVTOPO_NVML=/work/{_LIBRARY}"),
        *("python3", "-m", module, *arguments),
    )


def _fixture() -> dict[str, object]:
    places = layout.places()
    return {
        "system": {"driver": "580.105.08", "nvml": "13.580.105.08", "cuda": 13000},
        "numa": [
            {"node": index, "socket": index, "cpus": ",".join(map(str, node.cpus))}
            for index, node in enumerate(layout.NODES)
            if node.cpus
        ],
        "gpus": [
            {
                "uuid": f"GPU-00000000-0000-0000-0000-{index:012d}",
                "name": "NVIDIA H100 80GB HBM3",
                "architecture": 9,
                "computeMajor": 9,
                "device": f"{layout.GPU.device:#06x}{layout.GPU.vendor:04x}",
                "moduleId": index + 1,
                "numaNode": places[name].node,
                "path": [*places[name].path.split("/"), places[name].address],
            }
            for index, name in enumerate(GPUS)
        ],
    }
