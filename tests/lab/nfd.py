"""Node Feature Discovery without containers: one nfd-master, and an nfd-worker for each node a test makes up.

nfd-worker reads a fixed directory. Each worker here runs in a mount namespace of its own in which that is the
directory of its node, so many nodes live on one machine and the machine's own /etc is neither read nor written.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child, LabError, Service, await_ready, require

NAMESPACE: Final = "node-feature-discovery"
FEATURES_D: Final = "/etc/kubernetes/node-feature-discovery/features.d"

#: NFD listens on every interface, with no option against it. It goes on without its metrics and health page
#: where the port is none, and that keeps the lab on loopback.
_NO_PORT: Final = "-port=-1"

#: An empty /etc hides what NFD the machine itself may have, and needs no directory on the machine to mount over.
_OWN_FEATURES_D: Final = """
set -e
mount -t tmpfs -o mode=0755 lab /etc
mkdir -p "$2"
mount --bind "$1" "$2"
shift 2
exec "$@"
"""


def require_mount_namespaces() -> None:
    """Says in one line what a machine lacks on which workers cannot have directories of their own."""
    require("unshare", "mount")
    if subprocess.run(_unshare("true"), capture_output=True, check=False).returncode:
        raise LabError("this machine refuses nfd-worker a mount namespace of its own: run the tests of the lab as root")


def _unshare(*argv: str) -> tuple[str, ...]:
    as_root = () if os.geteuid() == 0 else ("--map-root-user",)
    return ("unshare", *as_root, "--mount", *argv)


class NfdMaster(Service):
    """Runs nfd-master while entered: what workers report becomes node labels."""

    def __init__(self, binaries: Binaries, plane: ControlPlane, directory: Path) -> None:
        self._binaries = binaries
        self._plane = plane
        self._directory = directory
        self._child: Child | None = None

    @property
    def children(self) -> Sequence[Child]:
        """What runs."""
        return () if self._child is None else (self._child,)

    def worker(self, node: str) -> "NfdWorker":
        """A worker for the node, which must exist; each call gives a new one on the same feature files."""
        directory = self._directory / node
        directory.mkdir(exist_ok=True)
        return NfdWorker(self._binaries, self._plane, node, directory)

    def _start(self) -> None:
        api = self._plane.api()
        api.apply_file(self._binaries.nfd_crds)
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        # nfd-master insists on a Node of its own when it starts, and only then.
        home = f"{NAMESPACE}-start"
        kube.create_node(api, home, allocatable={"pods": "0"})
        log = self._directory / "nfd-master.log"
        self._child = Child(
            "nfd-master",
            (
                str(self._binaries.programs["nfd-master"]),
                f"-kubeconfig={self._plane.admin_kubeconfig}",
                f"-config={self._directory / 'nfd-master.conf'}",
                "-resync-period=5s",
                _NO_PORT,
            ),
            log=log,
            environment=_environment(home),
        )
        # Its health page would say no more: it is served from here on.
        await_ready(lambda: "http server starting" in log.read_text(), (self._child,), what="nfd-master")
        api.delete(f"/api/v1/nodes/{home}")

    def _stop(self) -> None:
        for child in self.children:
            child.stop()


class NfdWorker(Service):
    """nfd-worker for one node: `run_once`, or in a loop while entered."""

    def __init__(self, binaries: Binaries, plane: ControlPlane, node: str, directory: Path) -> None:
        require_mount_namespaces()
        self._program = binaries.programs["nfd-worker"]
        self._kubeconfig = plane.admin_kubeconfig
        self._node = node
        self._directory = directory
        self._child: Child | None = None
        self.features_d = directory / "features.d"
        """What the node's agent would write to: the worker sees it as FEATURES_D."""
        self.features_d.mkdir(exist_ok=True)

    def run_once(self, *, seconds: float = 30) -> None:
        """Reads the feature files and reports them, as the worker does every minute."""
        child = self._run("-oneshot")
        try:
            child.wait(seconds)
        finally:
            child.stop()

    @property
    def children(self) -> Sequence[Child]:
        """What runs, where it runs in a loop."""
        return () if self._child is None else (self._child,)

    def _start(self) -> None:
        self._child = self._run('-options={"core": {"sleepInterval": "1s"}}')

    def _stop(self) -> None:
        for child in self.children:
            child.stop()

    def _run(self, *flags: str) -> Child:
        """Without owner references: the worker's pod, which would own what it reports, does not exist."""
        return Child(
            "nfd-worker",
            (
                *_unshare("sh", "-c", _OWN_FEATURES_D, "sh", str(self.features_d), FEATURES_D),
                str(self._program),
                f"-kubeconfig={self._kubeconfig}",
                "-feature-sources=local",
                "-label-sources=local",
                "-no-owner-refs",
                _NO_PORT,
                *flags,
            ),
            log=self._directory / "nfd-worker.log",
            environment=_environment(self._node),
        )


def _environment(node: str) -> dict[str, str]:
    return {"NODE_NAME": node, "KUBERNETES_NAMESPACE": NAMESPACE, "POD_NAMESPACE": NAMESPACE}
