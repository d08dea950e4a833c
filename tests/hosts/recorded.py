"""A recorded machine of ``fixtures/hosts`` read through the real sources: real files, real pynvml over a C library."""

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources import reading
from nvtopo.sources.machine import Machine
from nvtopo.sources.nvml.topology import NvmlWorker
from nvtopo.sources.sysfs import SysfsRoot
from tests.machines import sysfs_text
from tests.nvml import build

FIXTURES: Final = Path(__file__).resolve().parents[2] / "fixtures"
HOSTS: Final = sorted(path.parent for path in (FIXTURES / "hosts").glob("*/sys.txt"))
RACK: Final = FIXTURES / "clusters" / "gb200-nvl72-rack"
#: Two thousand small files a machine: a disk takes seconds over them.
IN_MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a random name below it


@contextmanager
def machine_of(sys_text: str, nvml: Path | None) -> Iterator[Machine]:
    """The machine of these two files, while the block lasts; without the second it has no NVIDIA driver."""
    with tempfile.TemporaryDirectory(prefix="nvtopo-machine-", dir=IN_MEMORY) as root:
        failures = sysfs_text.unpack(sys_text, Path(root))
        numbers = {path: getattr(errno, name) for path, name in failures.items()}
        library = str(build.library()) if nvml is not None else "/nonexistent/libnvidia-ml.so.1"
        # The workers inherit the environment: this is how the library knows which machine it is.
        os.environ["NVTOPO_NVML_FIXTURE"] = str(nvml or "")
        try:
            yield Machine(root=SysfsRoot(root, numbers), nvml=NvmlWorker(library, upkeep=True))
        finally:
            del os.environ["NVTOPO_NVML_FIXTURE"]


def snapshot_of(sys_text: str, nvml: Path | None) -> Snapshot:
    """What the sources read on the machine of these two files."""
    with machine_of(sys_text, nvml) as machine:
        return reading.read(machine, reading.all_sources())


def host_snapshot(host: Path) -> Snapshot:
    """The recorded machine of one folder of ``fixtures/hosts``."""
    nvml = host / "nvml.json"
    return snapshot_of((host / "sys.txt").read_text(encoding="utf-8"), nvml if nvml.exists() else None)


@contextmanager
def host_at(host: Path, uptime_seconds: int, directory: Path) -> Iterator[Machine]:
    """The recorded machine of one folder, its counters standing still at this many seconds after boot."""
    nvml = host / "nvml.json"
    still = directory / "nvml.json"
    if nvml.exists():
        model = json.loads(nvml.read_text(encoding="utf-8")) | {"uptimeSeconds": uptime_seconds}
        still.write_text(json.dumps(model), encoding="utf-8")
    with machine_of((host / "sys.txt").read_text(encoding="utf-8"), still if nvml.exists() else None) as machine:
        yield machine
