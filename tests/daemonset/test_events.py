"""Kubernetes Events on the real API server: as `kubectl` shows them, and what an agent may not tell."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from nvtopo.cluster.drift_events import BEGAN
from nvtopo.kube import events
from nvtopo.kube.client import connect
from nvtopo.kube.event_door import EventDoor
from nvtopo.kube.events import Reporter
from nvtopo.model.changes.node_events import REASONS, NodeEvent
from nvtopo.model.records.nvml_events import NvmlEvent
from nvtopo.sinks.publish.events import EventSink
from tests.daemonset import shipped
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.kube import Api, ApiError, Json
from tests.model.test_node_events import AFTER, HEALTHY_NODE
from tests.observations import observed
from tests.sinks.test_events import Clock

pytestmark = pytest.mark.lab

NODE: Final = "told"


@pytest.fixture(scope="module")
def plane(own_plane: ControlPlane) -> ControlPlane:
    """Two nodes, of which one has an agent's pod; the accounts, their rights and the policies."""
    admin = own_plane.api()
    for name in (NODE, "other"):
        kube.create_node(admin, name)
    for document in shipped.base():
        if document["kind"] not in ("DaemonSet", "Deployment"):
            admin.apply(document)
    kube.wait_for(
        lambda: admin.find("/api/v1/namespaces/nvtopo/serviceaccounts/nvtopo-agent"), what="the agent's account"
    )
    kube.create_pod(admin, "nvtopo", "agent", nodeName=NODE, serviceAccountName="nvtopo-agent")
    return own_plane


@pytest.fixture(scope="module")
def token(plane: ControlPlane) -> str:
    return plane.service_account_token("nvtopo", "nvtopo-agent", bound_pod="agent")


@pytest.fixture(scope="module")
def agent(plane: ControlPlane, token: str) -> Api:
    """As the agent of its node, once the policy is in force."""
    api = plane.api(token)
    kube.wait_for(lambda: refused(api, event("other")), what="the policy to be in force")
    return api


@pytest.fixture
def told(plane: ControlPlane, agent: Api, token: str) -> Iterator[tuple[EventSink, Clock]]:
    del agent
    clock = Clock()
    with connect(plane.kubeconfig(token)) as client:
        yield EventSink(client, NODE, clock=clock), clock


def test_kubectl_shows_what_changed_and_how_often(plane: ControlPlane, told: tuple[EventSink, Clock]) -> None:
    sink, clock = told
    down = AFTER["a link goes down"]
    for _ in range(3):
        sink.see(observed(down, HEALTHY_NODE))
        sink.see(observed(HEALTHY_NODE, down))
        sink.write(observed(down))
        clock.seconds += 31
    sink.on_event(NvmlEvent(kind="xid", gpu=3, uuid="GPU-3", xid=79))
    sink.write(observed(down))
    rows = table(plane)
    assert ("Warning", "NVLinkDown", f"node/{NODE}", "GPU2: NVLinks 0-17 active → 0-6,8-17 active, 7 inactive") in rows
    assert ("Warning", "XidError", f"node/{NODE}", "GPU3 (GPU-3): XID 79: GPU has fallen off the bus") in rows
    items = {item["reason"]: item for item in found(plane)}
    assert items["NVLinkDown"]["series"]["count"] == 3
    assert items["NVLinkUp"]["type"] == "Normal"
    assert "series" not in items["XidError"]
    assert items["XidError"]["related"]["kind"] == "NodeTopology"


def test_an_event_that_somebody_deleted_is_told_anew(plane: ControlPlane, told: tuple[EventSink, Clock]) -> None:
    sink, clock = told
    port = AFTER["a port goes down"]
    sink.see(observed(port, HEALTHY_NODE))
    sink.write(observed(port))
    (name,) = [item["metadata"]["name"] for item in found(plane) if item["reason"] == "PortDown"]
    plane.api().delete(events.path(name))
    clock.seconds += 31
    sink.see(observed(port, HEALTHY_NODE))
    sink.write(observed(port))
    (again,) = [item for item in found(plane) if item["reason"] == "PortDown"]
    assert again["metadata"]["name"] != name
    assert sink.waiting == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"regarding": {"apiVersion": "v1", "kind": "Node", "name": "other"}}, f'tells of the Node "{NODE}" only'),
        ({"regarding": {"apiVersion": "v1", "kind": "Namespace", "name": NODE}}, f'tells of the Node "{NODE}" only'),
        ({"reportingController": "kubelet"}, "in its own name"),
        ({"reason": "NodeReady"}, "of what docs/events.md lists"),
        ({"reason": "gpugone"}, "of what docs/events.md lists"),
        (
            {"related": {"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "any"}},
            "related to the Node",
        ),
        (
            {"related": {"apiVersion": "nvtopo.io/v1alpha1", "kind": "NodeTopology", "name": "other"}},
            "related to the Node",
        ),
        ({"metadata": {"generateName": "e", "finalizers": ["example.com/mine"]}}, "no finalizer and no owner"),
        (
            {
                "metadata": {
                    "generateName": "e",
                    "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": "any"}],
                }
            },
            "no finalizer and no owner",
        ),
    ],
    ids=[
        "another-node",
        "no-node",
        "another-s-name",
        "another-s-reason",
        "no-reason-of-ours",
        "related-pod",
        "related-node",
        "finalizer",
        "owner",
    ],
)
def test_an_agent_is_refused_what_is_not_its_own(agent: Api, change: Json, said: str) -> None:
    with pytest.raises(ApiError, match=said) as caught:
        agent.create(events.COLLECTION, event(NODE) | change)
    assert caught.value.status == 403


def test_an_agent_is_refused_the_event_of_another(plane: ControlPlane, agent: Api) -> None:
    of_kubelet = event(NODE) | {"metadata": {"name": "of-kubelet"}, "reportingController": "kubelet"}
    plane.api().create(events.COLLECTION, of_kubelet)
    patch = {"series": {"count": 1000, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}}
    with pytest.raises(ApiError, match="in its own name") as caught:
        agent.request("PATCH", events.path("of-kubelet"), patch, content_type="application/merge-patch+json")
    assert caught.value.status == 403
    for method in ("GET", "DELETE"):
        with pytest.raises(ApiError) as refusal:
            agent.request(method, events.path("of-kubelet"))
        assert (refusal.value.status, refusal.value.reason) == (403, "Forbidden")


def test_a_token_of_no_pod_tells_nothing(plane: ControlPlane, agent: Api) -> None:
    del agent
    loose = plane.api(plane.service_account_token("nvtopo", "nvtopo-agent"))
    with pytest.raises(ApiError, match="the token names no node"):
        loose.create(events.COLLECTION, event(NODE))


def test_every_reason_of_the_agent_is_accepted(agent: Api) -> None:
    for reason in REASONS:
        agent.create(events.COLLECTION, event(NODE) | {"reason": reason, "related": related(NODE)})


@pytest.fixture(scope="module")
def aggregator(plane: ControlPlane) -> str:
    """The token of its account, once the policy is in force."""
    token = plane.service_account_token("nvtopo", "nvtopo-aggregator")
    api = plane.api(token)
    kube.wait_for(lambda: refused(api, event(NODE)), what="the aggregator's policy to be in force")
    return token


def test_the_aggregator_tells_of_drift_and_that_it_came_again(plane: ControlPlane, aggregator: str) -> None:
    drifted = NodeEvent(type="Normal", reason=BEGAN, note="driver version 580.65.06 → 590.1")
    with connect(plane.kubeconfig(aggregator)) as client:
        clock = Clock()
        door = EventDoor(client, Reporter("one", events.AGGREGATOR), lambda node: node, clock=clock, now=clock.now)
        for _ in range(2):
            door.note(NODE, drifted)
            door.send()
            clock.seconds += 31
    assert ("Normal", BEGAN, f"node/{NODE}", drifted.note) in table(plane)
    (item,) = (item for item in found(plane) if item["reason"] == BEGAN)
    assert item["series"]["count"] == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reason": "NVLinkDown"}, "of drift, and has no other reason"),
        ({"reportingController": events.CONTROLLER}, "in its own name"),
        ({"regarding": {"apiVersion": "v1", "kind": "Namespace", "name": "default"}}, "of Nodes only"),
    ],
)
def test_the_aggregator_tells_of_nothing_else(plane: ControlPlane, aggregator: str, change: Json, said: str) -> None:
    sound = event(NODE) | {"reason": BEGAN, "reportingController": events.AGGREGATOR}
    api = plane.api(aggregator)
    api.create(events.COLLECTION, sound)
    with pytest.raises(ApiError, match=said):
        api.create(events.COLLECTION, sound | change)


def related(node: str) -> Json:
    return {"apiVersion": "nvtopo.io/v1alpha1", "kind": "NodeTopology", "name": node}


def event(node: str) -> Json:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{node}-", "namespace": events.NAMESPACE},
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": node},
        "type": "Normal",
        "reason": "NodeChanged",
        "note": "a test",
        "action": "Observe",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": events.CONTROLLER,
        "reportingInstance": node,
    }


def refused(api: Api, document: Json) -> bool:
    try:
        api.create(events.COLLECTION, document)
    except ApiError as error:
        return error.status == 403
    return False


def found(plane: ControlPlane) -> list[Any]:
    items = plane.api().get(events.COLLECTION)["items"]
    return [item for item in items if item["regarding"]["name"] == NODE and item["note"] != "a test"]


def table(plane: ControlPlane) -> set[tuple[str, ...]]:
    """Type, reason, object and message of what ``kubectl get events`` prints."""
    rows = plane.api().table(f"/api/v1/namespaces/{events.NAMESPACE}/events")
    return {tuple(row[name] for name in ("Type", "Reason", "Object", "Message")) for row in rows}
