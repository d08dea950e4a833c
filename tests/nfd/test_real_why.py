"""``nvtopo why NODE`` along the whole way: a real API server, NFD's worker and NFD's master."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

import nvtopo
from nvtopo.kube.client import Client, connect
from nvtopo.kube.store import KubeStore
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.spec import Spec, expand
from nvtopo.sinks.publish.nfd import FeatureFile
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.nfd import NfdMaster
from tests.nfd.test_labels import HOSTS, labels_of
from tests.observations import observed

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

DAEMONSET = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
COUNT = "nvtopo.io/gpu.count"
ROLE: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "nodes-only"},
    "rules": [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
        {"apiGroups": ["nvtopo.io"], "resources": ["nodetopologies"], "verbs": ["get"]},
    ],
}
BINDING: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "nodes-only"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "nodes-only"},
    "subjects": [{"kind": "User", "name": "system:serviceaccount:why:asker"}],
}


@pytest.fixture(scope="module")
def api(own_plane: ControlPlane, tainting_master: NfdMaster) -> kube.Api:
    assert tainting_master.children
    api = own_plane.api()
    api.apply_file(DAEMONSET / "crd.yaml")
    return api


@pytest.fixture(scope="module")
def client(own_plane: ControlPlane) -> Iterator[Client]:
    with connect(own_plane.admin_kubeconfig) as client:
        yield client


def recorded(host: str) -> NodeTopology:
    document = msgspec.json.decode((HOSTS / host / "expected" / "topology.json").read_bytes())
    return expand(msgspec.convert(document["spec"], Spec))


def known(api: kube.Api, client: Client, name: str, host: str) -> NodeTopology:
    """A Node whose agent has written its NodeTopology."""
    kube.create_node(api, name)
    node = recorded(host)
    KubeStore(client).apply(name, node)
    return node


def why(kubeconfig: Path, *arguments: str, code: int) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "nvtopo", "why", "--kubeconfig", str(kubeconfig), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_the_whole_way_of_every_label(
    api: kube.Api, client: Client, own_plane: ControlPlane, tainting_master: NfdMaster
) -> None:
    node = known(api, client, "why-arrives", "h100-sxm-8gpu-8cx7")
    admin, labels = own_plane.admin_kubeconfig, features(node, derive(node))

    before = why(admin, "why-arrives", code=1)
    assert f"0 of {len(labels)} labels are on the Node\n" in before
    assert "no NodeFeature object is of this node" in before

    worker = tainting_master.worker("why-arrives")
    sink = FeatureFile(worker.features_d, timedelta(minutes=15), lambda: datetime.now(UTC))
    sink.write(observed(node))
    worker.run_once()
    kube.wait_for(
        lambda: COUNT in api.get("/api/v1/nodes/why-arrives")["metadata"]["labels"], what="labels", seconds=60
    )
    after = why(admin, "why-arrives", code=0)
    assert after.startswith("why-arrives: ready\n")
    assert f"{len(labels)} of {len(labels)} labels are on the Node\n" in after
    one = json.loads(why(admin, "why-arrives", "--label", "gpu.nvlink.group", "-o", "json", code=0))
    assert [step["state"] for step in one["labels"][0]["steps"]] == ["passed"] * 3


def test_a_label_that_the_worker_did_not_get_stops_there(
    api: kube.Api, client: Client, own_plane: ControlPlane, tainting_master: NfdMaster
) -> None:
    known(api, client, "why-stops", "h100-one-link-down")
    worker = tainting_master.worker("why-stops")
    (worker.features_d / "nvtopo").write_text("nvtopo.io/ready=false\n", encoding="utf-8")
    worker.run_once()
    said = why(own_plane.admin_kubeconfig, "why-stops", "--label", COUNT, code=1)
    assert "does not reach the NodeFeature\n" in said
    assert "  missing    NodeFeature   node-feature-discovery/why-stops: there is no such label\n" in said


def test_a_pod_is_compared_with_the_labels_of_the_node(api: kube.Api, own_plane: ControlPlane) -> None:
    kube.create_node(api, "why-pod", labels=labels_of(recorded("gb200-nvl72-tray")))
    pod = str(DAEMONSET.parent / "docs" / "recipes" / "four-gpus.yaml")
    assert "are what the pod asks for" in why(own_plane.admin_kubeconfig, "why-pod", "--pod", pod, code=0)
    api.patch("/api/v1/nodes/why-pod", {"metadata": {"labels": {"nvtopo.io/ready": "false"}}})
    assert "found false" in why(own_plane.admin_kubeconfig, "why-pod", "--pod", pod, code=1)


def test_a_right_that_is_missing_costs_its_part_only(api: kube.Api, client: Client, own_plane: ControlPlane) -> None:
    known(api, client, "why-forbidden", "h100-sxm-8gpu-8cx7")
    kube.create_namespace(api, "why")
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "asker", "namespace": "why"}})
    api.apply(ROLE)
    api.apply(BINDING)
    kubeconfig = own_plane.kubeconfig(own_plane.service_account_token("why", "asker"))
    said = why(kubeconfig, "why-forbidden", "--label", COUNT, code=1)
    assert "unknown" in said
    assert "missing    Node " in said


def test_a_node_that_is_not_there_and_one_without_an_agent(api: kube.Api, own_plane: ControlPlane) -> None:
    admin = own_plane.admin_kubeconfig
    assert why(admin, "why-nobody", code=2) == "nvtopo: why: the cluster has no Node why-nobody\n"
    kube.create_node(api, "why-silent")
    said = why(admin, "why-silent", "--label", COUNT, code=3)
    assert "no agent runs there" in said
