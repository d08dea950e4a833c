"""A node as a cluster has it: containerd with Debian's runc and network plugins, and a kubelet."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.kubelet import place
from tests.kubelet.programs import PAUSE_NAME, Programs
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child, LabError, Service, await_ready

_NETWORK_PLUGINS: Final = "/usr/lib/cni"
_KUBELET_CONFIG: Final = Path("/var/lib/kubelet/config.yaml")
_CONTAINERD: Final = """\
version = 3
root = "{folder}/root"
state = "/run/containerd"
[grpc]
address = "{socket}"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
# Where a process may not lower its own score, no sandbox would start.
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia.options]
BinaryName = "{nvidia}"
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{plugins}"]
conf_dir = "{folder}/net.d"
"""
_NETWORK: Final = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "ptp",
            "ipMasq": False,
            "ipam": {"type": "host-local", "subnet": place.POD_SUBNET, "routes": [{"dst": "0.0.0.0/0"}]},
        }
    ],
}


class Node(Service):
    """The two programs that make a machine a node."""

    def __init__(self, programs: Programs, plane: ControlPlane, folder: Path, cgroup: str) -> None:
        self._programs = programs
        self._plane = plane
        self._folder = folder
        self._cgroup = cgroup
        self._socket = "/run/containerd/containerd.sock"
        self._containerd: Child | None = None
        self._kubelet: Child | None = None

    @property
    def children(self) -> list[Child]:
        """What runs."""
        return [child for child in (self._containerd, self._kubelet) if child is not None]

    def start_kubelet(self) -> None:
        """Anew, where one runs: pods go on meanwhile."""
        if self._kubelet is not None:
            self._kubelet.stop()
        self._kubelet = self._run(
            "kubelet",
            f"--config={_KUBELET_CONFIG}",
            f"--kubeconfig={self._plane.node_kubeconfig(place.NODE)}",
            f"--hostname-override={place.NODE}",
            f"--node-ip={place.NODE_ADDRESS}",
        )
        await_ready(self._is_ready, self.children, what="the kubelet's Node", seconds=90)

    def ctr(self, *arguments: str) -> str:
        """What containerd's own client prints."""
        program = str(self._programs.binaries.programs["ctr"])
        return self._output(program, "--address", self._socket, "--namespace", "k8s.io", *arguments)

    def kubectl(self, *arguments: str) -> str:
        """What the administrator's kubectl prints."""
        program = str(self._programs.binaries.programs["kubectl"])
        cache = ("--cache-dir", str(self._folder / "kubectl"))
        return self._output(program, "--kubeconfig", str(self._plane.admin_kubeconfig), *cache, *arguments)

    def _start(self) -> None:
        self._containerd = self._start_containerd()
        for archive in (self._programs.pause, self._programs.image.archive):
            self.ctr("images", "import", "--local", str(archive))
        self._configure()
        self.start_kubelet()

    def _start_containerd(self) -> Child:
        (self._folder / "net.d").mkdir()
        (self._folder / "net.d" / "10-pods.conflist").write_text(json.dumps(_NETWORK))
        nvidia = self._folder / "nvidia-container-runtime"
        nvidia.write_text(f"#!{sys.executable}\n{Path(__file__).with_name('nvidia_runtime.py').read_text()}")
        nvidia.chmod(0o755)
        configuration = self._folder / "containerd.toml"
        configuration.write_text(
            _CONTAINERD.format(
                folder=self._folder, socket=self._socket, pause=PAUSE_NAME, plugins=_NETWORK_PLUGINS, nvidia=nvidia
            )
        )
        child = self._run("containerd", "--config", str(configuration))
        await_ready(self._answers, (child,), what="containerd")
        return child

    def _answers(self) -> bool:
        try:
            return bool(self.ctr("version"))
        except LabError:
            return False

    def _configure(self) -> None:
        """The kubelet's file where clusters have it: a component of daemonset/ mounts it."""
        _KUBELET_CONFIG.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": place.NODE_ADDRESS,
            "healthzBindAddress": "127.0.0.1",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self._cgroup,
            "failCgroupV1": False,
            "failSwapOn": False,
            "containerRuntimeEndpoint": f"unix://{self._socket}",
            "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "2s",
        }
        _KUBELET_CONFIG.write_text(json.dumps(document))  # JSON is YAML too

    def _is_ready(self) -> bool:
        node = self._plane.api().find(f"/api/v1/nodes/{place.NODE}")
        return node is not None and kube.condition(node, "Ready") and not node["spec"].get("taints")

    def _run(self, program: str, *flags: str) -> Child:
        binary = self._programs.binaries.programs[program]
        environment = {
            "PATH": f"{binary.parent}:{os.environ['PATH']}",
            "NVTOPO_NVML_LIBRARY": str(self._programs.nvml),
            "NVTOPO_NVML_FIXTURE": str(place.MACHINE / "nvml.json"),
        }
        return Child(program, (str(binary), *flags), log=self._folder / f"{program}.log", environment=environment)

    def _output(self, *argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"{' '.join(argv[-4:])}: ended with {done.returncode}: {done.stderr.strip()[-1500:]}")
        return done.stdout

    def _stop(self) -> None:
        """Pods go with the namespaces that they are in."""
        for child in reversed(self.children):
            child.stop()


def stats(api: kube.Api) -> dict[str, Any]:
    """What the kubelet measures."""
    return api.get(f"/api/v1/nodes/{place.NODE}/proxy/stats/summary")
