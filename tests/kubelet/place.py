"""Where the node is: its names and addresses, all inside namespaces of its own."""

from pathlib import Path
from typing import Final

NODE: Final = "real-node"
#: The service `kubernetes`, whose address pods are given: no kube-proxy is needed where the API server listens on it.
SERVICE_ADDRESS: Final = "10.96.0.1"
#: The node's own, of a block that is kept for documentation.
NODE_ADDRESS: Final = "192.0.2.10"
POD_SUBNET: Final = "10.244.0.0/24"
FEATURES_D: Final = Path("/etc/kubernetes/node-feature-discovery/features.d")
#: A recorded machine, whose GPUs the node does not have.
MACHINE: Final = Path(__file__).resolve().parents[2] / "fixtures" / "hosts" / "h100-sxm-8gpu-8cx7"
#: Where its tree is unpacked for the agent of the overlay.
RECORDED: Final = Path("/var/lib/recorded-machine")
#: Folders whose changes lie in layers of the test's own.
LAYERED: Final = ("etc", "var")
#: What was built, in the run's folder.
PROGRAMS: Final = "programs.json"
_CGROUPS: Final = Path("/sys/fs/cgroup")


def cgroup_of(pid: int) -> str:
    """The parent of all pods' control groups, in a run that this process began."""
    return f"/nvtopo-kubelet-{pid}"


def cgroup_folders(name: str) -> list[Path]:
    """That control group in each hierarchy: one of version 2, several of version 1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS / name.strip("/")]
    return [folder / name.strip("/") for folder in sorted(_CGROUPS.iterdir()) if not folder.is_symlink()]
