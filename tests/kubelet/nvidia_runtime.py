"""What NVIDIA's container runtime does, in short: a container that asks for GPUs gets NVML; runc does the rest.

The library is the stand-in of tests/nvml, with the machine that it shows beside it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Final

_ASKS: Final = "NVIDIA_VISIBLE_DEVICES="
_MACHINE: Final = "/etc/nvml.json"
_PLACES: Final = {
    "NVTOPO_NVML_LIBRARY": "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "NVTOPO_NVML_FIXTURE": _MACHINE,
}


def main(arguments: list[str]) -> None:
    if "create" in arguments:
        _give(Path(arguments[arguments.index("--bundle") + 1]) / "config.json")
    os.execvp("runc", ("runc", *arguments))  # noqa: S606 - no shell is meant


def _give(file: Path) -> None:
    container = json.loads(file.read_text())
    environment = container["process"].get("env", [])
    if any(word.startswith(_ASKS) for word in environment):
        environment.append(f"NVTOPO_NVML_FIXTURE={_MACHINE}")
        container["mounts"] += [
            {"type": "bind", "source": os.environ[name], "destination": place, "options": ["rbind", "ro"]}
            for name, place in _PLACES.items()
        ]
        file.write_text(json.dumps(container))


if __name__ == "__main__":
    main(sys.argv[1:])
