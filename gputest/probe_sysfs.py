"""``python -m gputest.probe_sysfs ROOT``: GPUs, NICs, drives, NUMA nodes of ``/sys`` as JSON, read without nvtopo."""

import json
import re
import sys
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_FUNCTION = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_NVIDIA = "0x10de"
_GPU_CLASSES = ("0x0300", "0x0302")
_SWITCH_CLASS = "0x0680"


def main() -> None:
    """Read and print."""
    sys.stdout.write(json.dumps(probe(Path(sys.argv[1]) / "sys")))


def probe(sys_directory: Path) -> Json:
    """Everything that is compared."""
    functions = [path for path in _entries(sys_directory / "bus/pci/devices") if _text(path / "vendor") == _NVIDIA]
    return {
        "gpus": {path.name: _gpu(path) for path in functions if _text(path / "class")[:6] in _GPU_CLASSES},
        "nvswitches": [path.name for path in functions if _text(path / "class").startswith(_SWITCH_CLASS)],
        "rdma": {path.name: _rdma(path) for path in _entries(sys_directory / "class/infiniband")},
        "nvme": {
            path.name: _address(path / "device")
            for path in _entries(sys_directory / "class/nvme")
            if _address(path / "device")
        },
        "numa": {
            path.name.removeprefix("node"): {"cpus": _text(path / "cpulist"), "memory": _has_memory(path)}
            for path in _entries(sys_directory / "devices/system/node")
            if re.fullmatch("node[0-9]+", path.name)
        },
    }


def _gpu(path: Path) -> Json:
    bridges = _bridges(path)
    return {
        "device": _text(path / "device"),
        "numaNode": _number(path / "numa_node"),
        "cpus": _text(path / "local_cpulist"),
        "width": _number(path / "current_link_width"),
        "maxWidth": _number(path / "max_link_width"),
        "path": bridges,
        "virtual": (path / "physfn").exists(),
    }


def _bridges(path: Path) -> str:
    """What is above the function, as the resolved link has it: from the root bus on."""
    parts = path.resolve().parts[:-1]
    root = next(
        (number for number, part in enumerate(parts) if re.fullmatch(r"pci[0-9a-f]{4,8}:[0-9a-f]{2}", part)), None
    )
    return "" if root is None else "/".join(parts[root:])


def _rdma(path: Path) -> Json:
    device = path / "device"
    return {
        "address": _address(device),
        "virtual": (device / "physfn").exists(),
        "numaNode": _number(device / "numa_node"),
        "netdevs": sorted(entry.name for entry in _entries(device / "net")),
        "ports": {
            port.name: {
                "state": _text(port / "state").partition(": ")[2],
                "linkLayer": _text(port / "link_layer"),
                "gigabits": _text(port / "rate").partition(" ")[0],
            }
            for port in _entries(path / "ports")
        },
    }


def _has_memory(node: Path) -> bool:
    total = re.search(r"MemTotal:\s+([0-9]+)", _text(node / "meminfo"))
    return total is None or int(total[1]) > 0


def _address(device: Path) -> str:
    """The PCI function that a device's link leads to; of a drive on a path of several, its nearest."""
    for part in reversed(device.resolve().parts):
        if _FUNCTION.fullmatch(part):
            return part
    return ""


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    """A number that is not negative; the kernel's -1 is "not known"."""
    text = _text(path)
    return int(text) if text.isdecimal() else None


if __name__ == "__main__":
    main()
