"""`kubectl apply -k daemonset/` on a real kubelet: what comes up, how it is confined, and what it reads."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

import nvtopo
from tests.kubelet import place
from tests.kubelet.story import Shipped

pytestmark = pytest.mark.kubelet

USER: Final = "65532"
#: Where the kubelet and the runtime themselves let everybody write: memory of at most 64 MiB, and a last message.
GIVEN: Final = {"/dev/shm", "/dev/mqueue", "/dev/termination-log"}  # noqa: S108 - names to compare
#: The kernel's own devices that every container has, and the process's own files.
KERNEL: Final = re.compile(r"/dev/(full|null|ptmx|pts(/.*)?|random|tty|urandom|zero|core|fd|std\w+)|/proc/.*")


def test_a_node_that_nobody_calls_a_gpu_node_gets_no_agent(shipped: Shipped) -> None:
    assert shipped.wanted_without_label == 0


def test_agent_and_both_aggregators_run_and_none_had_to_start_again(shipped: Shipped) -> None:
    assert len(shipped.aggregators) == 2
    for pod in (shipped.agent, *shipped.aggregators):
        (container,) = pod["status"]["containerStatuses"]
        assert (container["ready"], container["restartCount"]) == (True, 0)
        assert container["image"].endswith(f"/nvtopo:{nvtopo.__version__}")
        assert container["imageID"], "what the kubelet runs is the image that was built"


def test_kernel_confines_the_agent_as_the_manifest_says(shipped: Shipped) -> None:
    (agent,) = shipped.processes
    assert {agent.status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    assert agent.status["Uid"].split() == agent.status["Gid"].split() == [USER] * 4
    assert agent.status["Groups"].split() == [USER]
    assert agent.status["NoNewPrivs"] == "1"
    assert agent.status["Seccomp"] == "2", "a filter, which RuntimeDefault is"


def test_root_and_sys_are_read_only_and_one_folder_of_the_host_is_not(shipped: Shipped) -> None:
    (agent,) = shipped.processes
    assert "ro" in agent.mounts["/"]
    below_sys = {mount for mount in agent.mounts if mount == "/sys" or mount.startswith("/sys/")}
    # With control groups of version 1 they are mounted, read-only, into a small memory file system of root's.
    assert {mount for mount in below_sys if "ro" not in agent.mounts[mount]} <= {"/sys/fs/cgroup"}
    assert "rw" in agent.mounts[str(place.FEATURES_D)]
    assert "ro" in agent.mounts["/run/secrets/kubernetes.io/serviceaccount"]


def test_agent_can_write_there_and_where_kubernetes_lets_everybody(shipped: Shipped) -> None:
    writable = {path for path in shipped.writable if not KERNEL.fullmatch(path)}
    assert writable == GIVEN | {str(place.FEATURES_D), f"{place.FEATURES_D}/nvtopo"}


def test_containers_own_sys_shows_what_root_sees_on_the_node(shipped: Shipped) -> None:
    outside = dict(shipped.outside["spec"])
    assert outside.pop("kubelet") == {"cpuManagerPolicy": "none", "memoryManagerPolicy": "None"}  # a mount of its own
    assert shipped.inside["spec"] == outside
    assert shipped.inside["derived"] == shipped.outside["derived"]


def test_containers_own_sys_shows_the_netdevs_of_the_node(shipped: Shipped) -> None:
    assert shipped.netdevs_inside == shipped.netdevs_outside
    assert len(shipped.netdevs_outside) == 3, "loopback, and one of each aggregator's pod"


def test_topology_is_written_owned_by_the_node_and_judged(shipped: Shipped) -> None:
    (owner,) = shipped.topology["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Node", place.NODE)
    assert _steady(shipped.topology["spec"]) == _steady(shipped.inside["spec"])
    (condition,) = shipped.topology["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == ("Ready", "NoGpu")


def _steady(spec: dict[str, Any]) -> dict[str, Any]:
    """Without the memory of NUMA nodes, which a virtual machine's balloon changes between two readings."""
    numa = [{key: value for key, value in node.items() if key != "memoryBytes"} for node in spec["numa"]]
    return {**spec, "numa": numa}


def test_kubectl_get_has_a_line_for_the_node(shipped: Shipped) -> None:
    head, line = shipped.columns.splitlines()
    assert head.split()[0] == "NAME"
    assert line.split()[0] == place.NODE


def test_feature_file_becomes_labels(shipped: Shipped) -> None:
    written = dict(line.split("=", 1) for line in shipped.feature_file.splitlines() if line and line[0] != "#")
    assert shipped.labels == written
    assert written["nvtopo.io/gpu.count"] == "0"


def test_feature_file_expires_within_a_quarter_of_an_hour(shipped: Shipped) -> None:
    found = re.search(r"^# \+expiry-time=(\S+)$", shipped.feature_file, re.MULTILINE)
    assert found is not None
    assert datetime.fromisoformat(found[1]) <= datetime.now(UTC) + timedelta(minutes=15)


def test_metrics_are_on_the_node_s_address(shipped: Shipped) -> None:
    assert f'nvtopo_build_info{{version="{nvtopo.__version__}"}} 1' in shipped.metrics


def test_aggregator_knows_the_node(shipped: Shipped) -> None:
    assert shipped.graph["nodes"][place.NODE]["gpus"] == 0


def test_kubectl_logs_shows_json_and_no_warning(shipped: Shipped) -> None:
    assert '"message": "serving"' in shipped.log
    assert not [line for line in shipped.log.splitlines() if '"level": "info"' not in line]


@pytest.mark.parametrize(
    ("container", "kind"), [("agent", "Liveness"), ("agent", "Readiness"), ("aggregator", "Startup")]
)
def test_kubelet_probes_and_is_answered(shipped: Shipped, container: str, kind: str) -> None:
    pattern = rf'prober_probe_total{{container="{container}",.*probe_type="{kind}",result="successful"}} (\d+)'
    assert [count for count in re.findall(pattern, shipped.probes) if int(count) > 0]


def test_no_liveness_probe_failed(shipped: Shipped) -> None:
    assert not re.findall(r'prober_probe_total{.*probe_type="Liveness",result="failed"}', shipped.probes)
