"""Labels of Nodes at the real API server: refused without the component's right, metadata alone with it."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import nvtopo
from nvtopo.fabrics import labels
from nvtopo.kube import client as client_module
from nvtopo.kube.client import Client
from nvtopo.kube.following import Changed, Listed
from nvtopo.kube.node_labels import LabelEvent, NodeLabels
from tests.lab import kube
from tests.lab.control_plane import ControlPlane

pytestmark = pytest.mark.lab

DAEMONSET = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
ZONE = "topology.kubernetes.io/zone"


ACCOUNT = {"kind": "ServiceAccount", "name": "follows-labels", "namespace": "nvtopo"}


@pytest.fixture
def aggregator(control_plane: ControlPlane) -> Iterator[Client]:
    """An account without any right: the aggregator's own may list Nodes for another purpose."""
    api = control_plane.api()
    for document in yaml.safe_load_all((DAEMONSET / "rbac.yaml").read_text()):
        api.apply(document)
    metadata = {"name": ACCOUNT["name"], "namespace": ACCOUNT["namespace"]}
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    token = control_plane.service_account_token(ACCOUNT["namespace"], ACCOUNT["name"])
    with client_module.connect(control_plane.kubeconfig(token)) as client:
        yield client


def test_they_are_followed_with_the_component_s_right(control_plane: ControlPlane, aggregator: Client) -> None:
    api = control_plane.api()
    kube.create_node(api, "labelled-a")
    api.patch("/api/v1/nodes/labelled-a", {"metadata": {"labels": {ZONE: "z1", "example.com/other": "x"}}})
    source = NodeLabels(aggregator, labels.knows, forbidden_seconds=0.5)
    stop, events = threading.Event(), queue.SimpleQueue[LabelEvent]()

    def run() -> None:
        for event in source.events(stop):
            events.put(event)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with pytest.raises(queue.Empty):
            events.get(timeout=1)
        for document in yaml.safe_load_all((DAEMONSET / "components" / "node-labels" / "rbac.yaml").read_text()):
            if "subjects" in document:
                document["subjects"] = [ACCOUNT]
            api.apply(document)
        listed = events.get(timeout=30)
        assert isinstance(listed, Listed)
        assert listed.objects["labelled-a"] == {ZONE: "z1"}
        api.patch("/api/v1/nodes/labelled-a", {"metadata": {"labels": {ZONE: "z2"}}})
        assert events.get(timeout=30) == Changed("labelled-a", {ZONE: "z2"})
        api.delete("/api/v1/nodes/labelled-a")
        assert events.get(timeout=30) == Changed("labelled-a", None)
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
