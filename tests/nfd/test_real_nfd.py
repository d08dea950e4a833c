"""NodeFeature, rules and taint against the real API server and the real nfd-master."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

import nvtopo
from nvtopo.kube.client import Client, connect
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.spec import Spec, expand
from nvtopo.sinks.publish.nfd import FeatureFile
from nvtopo.sinks.publish.node_feature import NodeFeatureSink, path
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.nfd import NfdMaster
from tests.nfd.test_labels import HOSTS
from tests.observations import observed

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

HOOKS = Path(nvtopo.__file__).resolve().parents[1] / "nfd-hooks"
NAMESPACE = "nvtopo"
TAINT = {"key": "nvtopo.io/fabric-degraded", "value": "true", "effect": "NoSchedule"}
NOT_READY = {"key": "nvtopo.io/not-ready", "value": "true", "effect": "NoSchedule"}
#: What a user could ask of instances: two GPUs or more of some kind on one NUMA node, each near a NIC.
USER_RULE: dict[str, Any] = {
    "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
    "kind": "NodeFeatureRule",
    "metadata": {"name": "user"},
    "spec": {
        "rules": [
            {
                "name": "instances",
                "labels": {"example.com/near": "true"},
                "labelsTemplate": "{{ range .nvtopo.nvlink }}example.com/links-{{ .name }}={{ .links }}\n{{ end }}",
                "matchFeatures": [
                    {
                        "feature": "nvtopo.gpu",
                        "matchExpressions": {
                            "numaNode": {"op": "In", "value": ["1"]},
                            "nvlinks": {"op": "Gt", "value": ["17"]},
                            "nicLevel": {"op": "In", "value": ["PIX", "PXB"]},
                        },
                    },
                    {"feature": "nvtopo.nic", "matchExpressions": {"rail": {"op": "In", "value": ["7"]}}},
                    {"feature": "nvtopo.nvlink", "matchExpressions": {"gpus": {"op": "Ge", "value": ["8"]}}},
                    {"feature": "nvtopo.node", "matchExpressions": {"ready": {"op": "IsTrue"}}},
                ],
            }
        ]
    },
}


@pytest.fixture(scope="module")
def api(own_plane: ControlPlane, tainting_master: NfdMaster) -> kube.Api:
    """With the rules as they are shipped, and a user's."""
    assert tainting_master.children
    api = own_plane.api()
    kube.create_namespace(api, NAMESPACE)
    for rules in ("labels.yaml", "taint.yaml", "taint-not-ready.yaml"):
        api.apply_file(HOOKS / rules)
    api.apply(USER_RULE)
    return api


@pytest.fixture(scope="module")
def client(own_plane: ControlPlane) -> Iterator[Client]:
    with connect(own_plane.admin_kubeconfig) as client:
        yield client


def recorded(host: str) -> NodeTopology:
    document = msgspec.json.decode((HOSTS / host / "expected" / "topology.json").read_bytes())
    return expand(msgspec.convert(document["spec"], Spec))


def write(api: kube.Api, client: Client, name: str, node: NodeTopology) -> NodeFeatureSink:
    kube.create_node(api, name)
    sink = NodeFeatureSink(client, name, NAMESPACE)
    sink.write(observed(node))
    return sink


def labels_with(api: kube.Api, name: str, label: str) -> dict[str, str]:
    """The Node's labels; empty before that one is there."""
    labels: dict[str, str] = api.get(f"/api/v1/nodes/{name}")["metadata"]["labels"]
    return labels if label in labels else {}


def taints(api: kube.Api, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = api.get(f"/api/v1/nodes/{name}")["spec"].get("taints") or []
    return found


def awaited(api: kube.Api, name: str, label: str) -> dict[str, str]:
    return kube.wait_for(partial(labels_with, api, name, label), what=f"{label} on {name}", seconds=60)


def test_nfd_master_makes_every_label_of_the_object_a_label_of_the_node(api: kube.Api, client: Client) -> None:
    node = recorded("h100-nvl-pairs")
    write(api, client, "feature-pairs", node)
    labels = awaited(api, "feature-pairs", "nvtopo.io/gpu.count")
    own = features(node, derive(node))
    assert "gpu.nvlink.group.G0" in own
    for name, value in own.items():
        assert labels[name if "/" in name else f"feature.node.kubernetes.io/{name}"] == value


def test_rules_match_on_instances_and_derive_labels(api: kube.Api, client: Client) -> None:
    write(api, client, "feature-hgx", recorded("h100-sxm-8gpu-8cx7"))
    labels = awaited(api, "feature-hgx", "nvtopo.io/suited.collectives")
    assert labels["example.com/near"] == "true"
    assert labels["example.com/links-G0"] == "18"
    assert labels["nvtopo.io/suited.gpudirect-rdma"] == "true"
    assert "nvtopo.io/suited.multi-node-nvlink" not in labels
    assert taints(api, "feature-hgx") == []


def test_the_rules_read_the_feature_file_too(api: kube.Api, tainting_master: NfdMaster) -> None:
    kube.create_node(api, "file-tray")
    worker = tainting_master.worker("file-tray")
    sink = FeatureFile(worker.features_d, timedelta(minutes=15), lambda: datetime.now(UTC))
    sink.write(observed(recorded("gb200-nvl72-tray")))
    worker.run_once()
    labels = awaited(api, "file-tray", "nvtopo.io/suited.multi-node-nvlink")
    assert labels["nvtopo.io/suited.collectives"] == "true"


def test_a_degraded_fabric_taints_and_a_healed_one_lifts_the_taint(api: kube.Api, client: Client) -> None:
    sink = write(api, client, "feature-degraded", recorded("h100-one-link-down"))
    kube.wait_for(lambda: TAINT in taints(api, "feature-degraded"), what="the taint", seconds=60)
    kube.wait_for(lambda: NOT_READY in taints(api, "feature-degraded"), what="the other", seconds=60)
    assert "nvtopo.io/suited.collectives" not in labels_with(api, "feature-degraded", "nvtopo.io/gpu.count")
    sink.write(observed(recorded("h100-sxm-8gpu-8cx7")))
    kube.wait_for(lambda: not taints(api, "feature-degraded"), what="the taint's end", seconds=60)


def test_an_unhealthy_fabric_taints(api: kube.Api, client: Client) -> None:
    write(api, client, "feature-unhealthy", recorded("gb200-fabric-unhealthy"))
    kube.wait_for(lambda: TAINT in taints(api, "feature-unhealthy"), what="the taint", seconds=60)


def test_a_feature_that_is_gone_is_gone_from_the_object_and_the_node(api: kube.Api, client: Client) -> None:
    sink = write(api, client, "feature-fewer", recorded("h100-nvl-pairs"))
    awaited(api, "feature-fewer", "nvtopo.io/nvlink.version")
    sink.write(observed(recorded("laptop-no-gpu")))
    kube.wait_for(
        lambda: not labels_with(api, "feature-fewer", "nvtopo.io/nvlink.version"), what="labels gone", seconds=60
    )
    found = api.get(path(NAMESPACE, "feature-fewer"))["spec"]
    assert "nvtopo.gpu" not in found["features"].get("instances", {})


def test_the_same_again_is_no_new_version(api: kube.Api, client: Client) -> None:
    node = recorded("h100-sxm-8gpu-8cx7")
    write(api, client, "feature-same", node)
    before = api.get(path(NAMESPACE, "feature-same"))["metadata"]["resourceVersion"]
    NodeFeatureSink(client, "feature-same", NAMESPACE).write(observed(node))
    assert api.get(path(NAMESPACE, "feature-same"))["metadata"]["resourceVersion"] == before


def test_it_goes_with_its_node(api: kube.Api, client: Client) -> None:
    write(api, client, "feature-gone", recorded("t4-single-edge"))
    api.delete("/api/v1/nodes/feature-gone")
    kube.wait_for(lambda: api.find(path(NAMESPACE, "feature-gone")) is None, what="the garbage collector", seconds=120)


def test_the_agent_keeps_the_object_where_it_is_told_to(api: kube.Api, own_plane: ControlPlane, tmp_path: Path) -> None:
    def agent(*options: str) -> subprocess.CompletedProcess[str]:
        where = (
            "--node-name",
            "feature-agent",
            "--root",
            str(tmp_path),
            "--kubeconfig",
            str(own_plane.admin_kubeconfig),
        )
        command = (
            sys.executable,
            "-m",
            "nvtopo",
            "agent",
            "--once",
            "--no-features",
            "--no-resource",
            *where,
            *options,
        )
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    kube.create_node(api, "feature-agent")
    (tmp_path / "sys").mkdir()
    assert agent().returncode == 0
    assert api.find(path(NAMESPACE, "feature-agent")) is None
    missing = agent("--node-feature", "--node-feature-namespace", "no-such-namespace")
    assert missing.returncode == 3, missing.stderr
    assert "no-such-namespace" in missing.stderr
    assert agent("--node-feature").returncode == 0
    labels = awaited(api, "feature-agent", "nvtopo.io/gpu.count")
    assert labels["nvtopo.io/gpu.count"] == "0"
    owner = api.get(path(NAMESPACE, "feature-agent"))["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("Node", "feature-agent")
