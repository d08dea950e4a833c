"""A new template rolled out on a real kubelet: the old agent ends, the new one shows a machine with GPUs."""

import base64
import sys

import pytest

from tests.kubelet import place
from tests.kubelet.story import Rolled

pytestmark = pytest.mark.kubelet

MEBIBYTE = 1 << 20


def test_old_agent_ends_by_itself_long_before_it_would_be_killed(rolled: Rolled) -> None:
    (container,) = rolled.old["status"]["containerStatuses"]
    assert container["state"]["terminated"]["exitCode"] == 0
    assert rolled.seconds < 15
    assert rolled.old["spec"]["terminationGracePeriodSeconds"] == 30


def test_there_are_never_two_agents_on_a_node(rolled: Rolled) -> None:
    assert rolled.at_once == 1


def test_runtime_class_component_asks_for_nvidia_s_runtime(rolled: Rolled) -> None:
    assert rolled.agent["spec"]["runtimeClassName"] == "nvidia"
    options = base64.b64decode(rolled.container["Runtime"]["Options"]["value"])
    assert options.endswith(b"/nvidia-container-runtime")


def test_gpus_that_the_runtime_gives_are_in_resource_labels_and_metrics(rolled: Rolled) -> None:
    assert len(rolled.topology["spec"]["gpus"]) == 8
    assert rolled.topology["status"]["conditions"][0]["reason"] == "AllWell"
    assert rolled.labels["feature.node.kubernetes.io/gpu.nvlink.group"] == "G0"
    assert rolled.labels["nvtopo.io/nvlink.links-per-gpu"] == "18"
    assert rolled.metrics.count("nvtopo_gpu_info{") == 8
    assert "H100" in rolled.columns


def test_node_feature_component_writes_the_object(rolled: Rolled) -> None:
    assert rolled.node_feature["metadata"]["labels"]["nfd.node.kubernetes.io/node-name"] == place.NODE
    assert rolled.node_feature["spec"]["labels"]["nvtopo.io/gpu.count"] == "8"


def test_new_token_is_taken_without_a_restart(rolled: Rolled) -> None:
    rotation = rolled.rotation
    assert rotation.new not in rotation.before
    assert rotation.after[-1] == rotation.new
    assert rotation.restarts == 0
    assert rotation.seconds < 90, "it reads the file again once a minute"


def test_agent_stays_within_what_it_requests(rolled: Rolled) -> None:
    requests = rolled.agent["spec"]["containers"][0]["resources"]["requests"]
    assert requests == {"cpu": "10m", "memory": "96Mi"}
    cores, memory = rolled.usage["cpu"]["usageNanoCores"], rolled.usage["memory"]["workingSetBytes"]
    sys.stdout.write(f"the agent's container: {memory / MEBIBYTE:.0f} MiB, {cores / 1e6:.1f} mCPU\n")
    assert memory < 96 * MEBIBYTE
