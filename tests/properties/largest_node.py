"""``python -m tests.properties.largest_node``: what each stage takes of time and memory for the largest node there is.

It has all devices that the limits allow, each unlike the others, and all text that fits the largest object.
"""

import contextlib
import json
import resource
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from nvtopo.errors import NvtopoError
from nvtopo.kube import reader
from nvtopo.model.formats import limits
from nvtopo.model.records.spec import Spec, expand
from tests.calls import calls
from tests.properties import every_stage
from tests.reference import seconds

_GPUS, _NICS, _NVMES, _SILENT = 1 << 12, 1 << 13, 3 << 12, 1 << 14


def _address(number: int) -> str:
    return f"{number >> 8:04x}:{number & 255:02x}:00.0"


def _path(number: int) -> str:
    bridges = [f"0000:{number % 4:02x}:{depth:02x}.0" for depth in range(7)]
    return "/".join([f"pci0000:{number % 4:02x}", *bridges, *(f"{_address(number)}.{depth}" for depth in range(5))])


def _bundles(gpu: int) -> list[dict[str, Any]]:
    """Each link to another GPU, in as many bundles as there may be."""
    size = limits.MOST_LINKS // limits.MOST_BUNDLES
    return [
        {
            "links": f"{first}-{first + size - 1}",
            "state": "active",
            "version": f"{first}.0",
            "remote": ("gpu", "switch", "npu")[first // size % 3],
            "peers": {
                _address(_GPUS + (gpu + 1 + link) % limits.MOST_GPUS): str(link) for link in range(first, first + size)
            },
        }
        for first in range(0, limits.MOST_LINKS, size)
    ]


def spec() -> dict[str, Any]:
    """The spec, without the text that fills it up."""
    cpus = ",".join(str(cpu) for cpu in range(0, 1600, 2))
    link = {"generation": 5, "width": 8, "maxGeneration": 5, "maxWidth": 16}
    port = {"number": 1, "state": "ACTIVE", "linkLayer": "InfiniBand", "rateBytesPerSecond": 50_000_000_000}
    return {
        "host": {"driverVersion": "570.1"},
        "numa": [{"index": n, "cpus": cpus if n < 4 else str(n)} for n in range(limits.MOST_NUMA_NODES)],
        "gpus": [
            {
                "index": n,
                "uuid": f"GPU-{n}",
                "name": f"GPU of make {n % 7}",
                "pciBusID": _address(_GPUS + n),
                "path": _path(n),
                "numaNode": n,
                "moduleId": n * 4 % 255,
                "nvlinkCount": 64,
                "link": link,
                "nvlinks": _bundles(n),
            }
            for n in range(limits.MOST_GPUS)
        ],
        "nics": [
            {
                "name": f"mlx5_{n}",
                "pciBusID": _address(_NICS + n),
                "path": _path(n + 7),
                "numaNode": n,
                "netdevs": [f"eth{n}"],
                "ports": [port],
            }
            for n in range(limits.MOST_NICS)
        ],
        "neighbors": [
            {
                "netdev": f"eth{n}",
                "chassis": "c" * limits.LONGEST_NAME,
                "port": f"{n}" + "p" * (limits.LONGEST_NAME - 2),
                "portKind": "ifname",
                "name": "n" * limits.LONGEST_NAME,
                "system": "s" * limits.LONGEST_NAME,
                "portDescription": "d" * limits.LONGEST_NAME,
                "capabilities": ["bridge", "router"],
            }
            for n in range(limits.MOST_NEIGHBORS)
        ],
        "nvmes": [
            {"name": f"nvme{n}", "pciBusID": _address(_NVMES + n), "path": _path(n + 3), "numaNode": n}
            for n in range(limits.MOST_NVMES)
        ],
        "accelerators": [
            {"pciBusID": _address(_SILENT + n), "model": "10de:2330", "path": _path(n + 9)}
            for n in range(limits.MOST_ACCELERATORS)
        ],
        "pairs": [
            {"a": a, "b": b, "level": "PXB"} for a in range(limits.MOST_GPUS) for b in range(a + 1, limits.MOST_GPUS)
        ],
        "problems": [],
    }


def filled() -> bytes:
    """The object with as many problems as fit."""
    document: dict[str, Any] = {"metadata": {"name": "node-a"}, "spec": spec()}
    problem = {"source": "nvml", "subject": "GPU0", "reason": "x" * limits.LONGEST_REASON}
    room = limits.LARGEST_OBJECT_BYTES - len(msgspec.json.encode(document))
    assert room > 0, "the devices alone are more than an object holds"
    many = min(room // (len(msgspec.json.encode(problem)) + 1), limits.MOST_PROBLEMS)
    document["spec"]["problems"] = [problem] * many
    return msgspec.json.encode(document)


def _quietly(stage: Callable[[], Any]) -> None:
    with contextlib.suppress(NvtopoError):  # a format may not hold the node
        stage()


def main() -> None:
    """One line of JSON for each stage: calls, seconds of CPU by a reference, and bytes above what the process had."""
    content = filled()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    event = reader._event("node-a", msgspec.Raw(content))
    node = expand(msgspec.convert(msgspec.json.decode(content)["spec"], Spec))
    assert getattr(event, "topology", None) == node, event
    for name, stage in every_stage.stages(node):
        took = seconds(partial(_quietly, stage))
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        called = calls(partial(_quietly, stage))
        sys.stdout.write(json.dumps({"stage": name, "calls": called, "seconds": took, "bytes": more}) + "\n")


if __name__ == "__main__":
    main()
