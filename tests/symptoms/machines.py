"""The faults behind docs/troubleshooting.md: for each symptom a machine that is well, a script of its fault."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.faults.node import Node
from tests.hosts.recorded import FIXTURES

Model = Any
"""What the driver's stand-in is told: ``nvml.json`` of a recorded machine."""
_RACK: Final = FIXTURES / "clusters" / "gb200-nvl72-rack"
_INSUFFICIENT_RESOURCES: Final = 23
"""NVML's status of a registration that the fabric manager refused."""


class Symptom(NamedTuple):
    """One fault of one machine."""

    host: str
    """The recorded machine that the script is for."""
    ill: Callable[[Node], object]
    well: Callable[[Node], object] = Node.driver_is_like
    """What it is before."""


class RackSymptom(NamedTuple):
    """One fault of a rack of recorded trays."""

    ill: Callable[[Path], object]


def driver(change: Callable[[Model], object]) -> Callable[[Node], object]:
    """The driver answers otherwise."""
    return lambda node: node.driver_is_like(change)


def _link_down(model: Model) -> None:
    model["gpus"][2]["links"][7].update(state=0)


def _links_up(model: Model) -> None:
    for gpu in model["gpus"]:
        for link in gpu["links"]:
            link.pop("state", None)


def _gpu_lost(model: Model) -> None:
    model["gpus"][5].update(lost=True)


def _no_gpu_lost(model: Model) -> None:
    for gpu in model["gpus"]:
        gpu.pop("lost", None)


def _refused_by_the_fabric(model: Model) -> None:
    for gpu in model["gpus"]:
        nobody = "00000000-0000-0000-0000-000000000000"
        gpu["fabric"].update(status=_INSUFFICIENT_RESOURCES, clusterUuid=nobody, cliqueId=0, healthMask=0)


def _no_bridges(model: Model) -> None:
    for gpu in model["gpus"]:
        gpu.pop("links")


def _no_driver(node: Node) -> None:
    node.driver.unlink()


def _gpu_off_the_bus(node: Node) -> None:
    """The module number of the GPU that falls off is 3."""
    model = json.loads((node.host / "nvml.json").read_text(encoding="utf-8"))
    (gone,) = (gpu for gpu in model["gpus"] if gpu["moduleId"] == 3)
    (node.root / "sys/bus/pci/devices" / gone["path"][-1]).unlink()
    shutil.rmtree(node.root / "sys/devices" / "/".join(gone["path"]))
    node.driver_is_like(lambda model: model["gpus"].remove(gone))


def _lanes(count: int) -> Callable[[Node], None]:
    """Of GPU0, and what the driver says of them."""

    def change(node: Node) -> None:
        model = json.loads((node.host / "nvml.json").read_text(encoding="utf-8"))
        path = node.root / "sys/devices" / "/".join(model["gpus"][0]["path"])
        for device in (path, path.parent):
            (device / "current_link_width").write_text(f"{count}\n", encoding="utf-8")
        node.driver_is_like(lambda model: model["gpus"][0]["pcie"].update(width=count))

    return change


def _rails_down(node: Node) -> None:
    for rail in range(4):
        (port,) = (node.root / "sys/class/infiniband" / f"mlx5_{rail}").resolve().glob("ports/1")
        (port / "state").write_text("1: DOWN\n", encoding="utf-8")
        (port / "phys_state").write_text("3: Disabled\n", encoding="utf-8")


def _trays_amiss(rack: Path) -> None:
    """A link of one tray down, an agent that does not run, and a tray that is told the place of another."""
    _edit(rack, "nvl72-r01-t03", lambda tray: tray["nvml"]["gpus"][1]["nvlinks"][5].update(state="inactive"))
    (rack / "nvl72-r01-t08.json").unlink()
    neighbour = json.loads((rack / "nvl72-r01-t11.json").read_text(encoding="utf-8"))["nvml"]["gpus"][0]["platform"]
    place = {key: neighbour[key] for key in ("slot", "tray")}
    _edit(rack, "nvl72-r01-t12", lambda tray: [gpu["platform"].update(place) for gpu in tray["nvml"]["gpus"]])


def _edit(rack: Path, name: str, change: Callable[[Any], object]) -> None:
    file = rack / f"{name}.json"
    tray = json.loads(file.read_text(encoding="utf-8"))
    change(tray)
    file.write_text(json.dumps(tray), encoding="utf-8")


def rack(folder: Path) -> Path:
    """A copy of the rack that is well."""
    made: Path = shutil.copytree(_RACK, folder / "rack")
    return made


_LINK_DOWN: Final = Symptom("h100-one-link-down", driver(_link_down), well=driver(_links_up))
_NO_DRIVER: Final = Symptom("h100-sxm-8gpu-8cx7", _no_driver)

#: Heading of the page → what is done to the machine; a fault with ``--stale`` is a part of its command.
SYMPTOMS: Final[Mapping[str, Symptom | RackSymptom]] = {
    "A link is down, or a job is slow": _LINK_DOWN,
    "A label vanished": _NO_DRIVER,
    "A node is not ready": Symptom("h100-gpu-lost", driver(_gpu_lost), well=driver(_no_gpu_lost)),
    "A node has GPUs, but nvtopo shows none": _NO_DRIVER,
    "A GPU is missing": Symptom("h100-sxm-8gpu-8cx7", _gpu_off_the_bus),
    "A node is in no NVLink domain": Symptom("gb200-nvl72-tray", driver(_refused_by_the_fabric)),
    "A PCIe link is slow": Symptom("t4-single-edge", _lanes(8), well=_lanes(16)),
    "RDMA is slow or absent": Symptom("gb200-nvl72-tray", _rails_down),
    "The GPUs of a node are in two groups": Symptom("h100-nvl-pairs", Node.driver_is_like, well=driver(_no_bridges)),
    "A pod stays pending": _LINK_DOWN,
    "A rack lacks a tray, or two nodes claim one place": RackSymptom(_trays_amiss),
    "The numbers differ from nvidia-smi": _LINK_DOWN,
    "The graph is old": RackSymptom(lambda _: None),
}
