"""`python -m tests.kubelet [PYTEST ARGUMENT]…`: what `make kubelet-test` runs.

Everything that needs the outside is built first. Then pytest runs as the first process of namespaces of its own:
when it ends, however it does, the kernel ends all that it started and drops all that was mounted and addressed.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from image.tools import ImageError
from tests.kubelet import place, programs
from tests.lab import build
from tests.lab.process import LabError, guarded, require

_ENTER: Final = Path(__file__).with_name("enter.sh")


def main(arguments: list[str]) -> int:
    """pytest's exit status; 3 where the node cannot be built."""
    if os.geteuid() != 0:
        build.say("a real kubelet needs root (sudo make kubelet-test)")
        return 3
    try:
        require("unshare", "mount", "ip", "runc", "buildah", "mmdebstrap")
        built = programs.ensure(build.say)
    except (LabError, ImageError) as error:
        build.say(str(error))
        return 3
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of the cleaning up
    cgroup = place.cgroup_of(os.getpid())
    with tempfile.TemporaryDirectory(prefix="nvtopo-kubelet-") as folder:
        try:
            for group in place.cgroup_folders(cgroup):
                group.mkdir()
            built.write(Path(folder) / place.PROGRAMS)
            return _inside(Path(folder), cgroup, arguments)
        finally:
            _remove(cgroup)


def _inside(folder: Path, cgroup: str, arguments: list[str]) -> int:
    environment = {
        **os.environ,
        "FOLDER": str(folder),
        "ADDRESSES": f"{place.SERVICE_ADDRESS} {place.NODE_ADDRESS}",
        "LAYERED": " ".join(place.LAYERED),
        "NVTOPO_KUBELET_FOLDER": str(folder),
        "NVTOPO_KUBELET_CGROUP": cgroup,
    }
    namespaces = ("unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc")
    pytest = (
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "kubelet",
        "-rP",
        "--basetemp",
        str(folder / "pytest"),
        "tests/kubelet",
    )
    return subprocess.run(
        guarded((*namespaces, "sh", str(_ENTER), *pytest, *arguments)), env=environment, check=False
    ).returncode


def _remove(cgroup: str) -> None:
    """The control groups, empty now, leaves first."""
    for root in place.cgroup_folders(cgroup):
        for folder in (*sorted(root.rglob("*/"), reverse=True), root):
            with contextlib.suppress(OSError):
                folder.rmdir()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
