"""One compute tray as a node of the lab: a recorded machine, a real agent on it, a real nfd-worker beside it."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from fixtures import synthesize
from fixtures.synthesize.machines import gb200_nvl72
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.nfd import NfdMaster
from tests.lab.process import Child
from tests.machines import sysfs_text
from tests.nvml import build


class Tray:
    """Tray ``number`` of ``rack``, up while it is open."""

    def __init__(self, number: int, rack: str, directory: Path) -> None:
        self._machine = gb200_nvl72.tray(number, rack=rack)
        self.name = self._machine.hostname
        self.domain = _domain(number, rack)
        self._directory = directory / self.name
        self._ended = ExitStack()
        self.agent: Child | None = None

    def start(self, plane: ControlPlane, master: NfdMaster, kubeconfig: Path) -> Self:
        """The Node, its worker and its agent."""
        self._directory.mkdir()
        kube.create_node(plane.api(), self.name)
        worker = self._ended.enter_context(master.worker(self.name))
        self.agent = Child(
            f"agent-{self.name}",
            (
                *(sys.executable, "-m", "nvtopo", "agent"),
                *("--node-name", self.name),
                *("--root", str(self._root())),
                *("--nvml", str(build.library())),
                *("--features-dir", str(worker.features_d)),
                *("--kubeconfig", str(kubeconfig)),
                *("--listen", "127.0.0.1:0"),
                *("--interval", "5"),
            ),
            log=self._directory / "agent.log",
            environment={
                "NVTOPO_NVML_FIXTURE": str(self._directory / "nvml.json"),
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
        )
        self._ended.callback(self.agent.stop)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._ended.close()

    def _root(self) -> Path:
        sys_text, nvml_text = synthesize.texts(self._machine)
        (self._directory / "nvml.json").write_text(nvml_text or "", encoding="utf-8")
        root = self._directory / "root"
        root.mkdir()
        sysfs_text.unpack(sys_text, root)
        return root


def _domain(number: int, rack: str) -> str:
    fabric = gb200_nvl72.gpu(0, number, rack).fabric
    assert fabric is not None
    return f"{fabric.cluster_uuid}.{fabric.clique_id}"
