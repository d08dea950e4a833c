"""Decoders of what the API server keeps for the aggregator, of what clients send it, and of what it says to ours."""

import contextlib
import random
import socket
import threading
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from nvtopo.agent.http import provider
from nvtopo.aggregator.exported import Exported, is_as_wanted
from nvtopo.cli import export_inputs
from nvtopo.cluster import acceptance
from nvtopo.cluster.accepted import Act
from nvtopo.errors import ParseError
from nvtopo.exporters import change_records, document, extender, heat_readings, history_document, job_heat
from nvtopo.exporters.job_heat import GpuOfNode, Told
from nvtopo.exporters.nic_attributes import NicAttributes
from nvtopo.exporters.schedulers.owned import Owner, marked
from nvtopo.fabrics import labels
from nvtopo.gangs import gang
from nvtopo.gangs.claims import given_back
from nvtopo.gangs.node_states import closed
from nvtopo.gangs.steps import Lift
from nvtopo.kube import (
    accepted,
    admission,
    claim_changes,
    cordoned,
    gpu_pods,
    label_way,
    node_states,
    pod_changes,
    resource_claims,
)
from nvtopo.kube.allocations import Allocations
from nvtopo.kube.client import Client
from nvtopo.kube.node_labels import NodeLabels
from nvtopo.kube.reservations import Reservations, decoded
from nvtopo.model.records.node import NodeTopology
from nvtopo.placement import trace
from nvtopo.placement.fleet import Host, fleet
from nvtopo.placement.pods import Toleration
from nvtopo.placement.result import Rank
from nvtopo.wire import prometheus
from nvtopo.wire.event_stream import messages
from tests.fuzz import samples

Answered = Callable[[bytes], Client]
Targets = dict[str, tuple[Callable[[], Iterable[bytes]], Callable[[bytes], object]]]

_HYPER: Final = {"apiVersion": "topology.volcano.sh/v1alpha1", "kind": "HyperNode", "metadata": {"name": "a"}}
_OWNER: Final = Owner("nvtopo", "nvtopo")
_WANTED: Final = next(iter(marked([{**_HYPER, "spec": {"tier": 1, "members": [{}]}}], "volcano", _OWNER).values()))
_NICS: Final = NicAttributes(NodeTopology(), {})
#: What a socket takes that nobody reads yet.
_ROOM: Final = 64 << 10
_VIEW: Final = extender.view(fleet([Host("node-a", {"leaf": "l"}, ((0, 1),), ((0, 1),))], ("leaf",)))


def _reservations() -> bytes:
    rank = {"rank": 0, "node": "node-a", "gpus": [0, 1], "leader": False}
    answer = {
        "kind": "Assignment", "generation": 3, "level": "node", "domain": "node-a", "domains": {"leaf": 1},
        "gpusEnforced": False, "ranks": [rank],
        "cost": {"total": 1, "bound": 1, "allReduce": 1, "kvTransfer": 0, "queue": 0, "cache": 0},
    }  # fmt: skip
    one = {"id": "a", "fingerprint": "f", "until": 5.0, "answer": answer}
    return msgspec.json.encode({"reservations": [one]})


def _packed(body: bytes) -> str:
    return b64encode(zlib.compress(body, 1)).decode("ascii")


def _ledger_map() -> Iterable[bytes]:
    stored = {
        "metadata": {"name": "m", "resourceVersion": "3"},
        "binaryData": {"ledger.json.z": _packed(_reservations())},
    }
    return (msgspec.json.encode(stored),)


def _act() -> bytes:
    act = {
        "at": "2026-01-02T03:04:05Z", "until": "2026-02-02T03:04:05Z", "reason": "r",
        "groups": [{"nodes": ["node-a"], "expect": {"gpus": 8}, "facts": [
            {"kind": "nics", "subject": "mlx5_0", "path": "mtu", "value": 9000}]}],
    }  # fmt: skip
    return msgspec.json.encode(act)


def _accepted() -> Iterable[bytes]:
    return (msgspec.json.encode({"metadata": {"resourceVersion": "3"}, "data": {"a": _act().decode(), "b": "{}"}}),)


def _node_list() -> Iterable[bytes]:
    names = (
        "topology.kubernetes.io/zone", "nvidia.com/gpu.clique", "topology.k8s.aws/network-node-layer-1",
        "fabric.topograph.run/tier-0", "accelerator.topograph.run/domain", "accelerator.topograph.run/sub-domain",
        "ib.coreweave.cloud/neighbors.expected.ibp0.device", "ib.coreweave.cloud/neighbors.current.ibp0.port-id",
    )  # fmt: skip
    nodes = [{"metadata": {"name": name, "labels": dict.fromkeys(names, f"v.{name}")}} for name in ("a", "b")]
    return (msgspec.json.encode({"metadata": {"resourceVersion": "5"}, "items": nodes}),)


def _allocations() -> Iterable[bytes]:
    held = {
        "namespace": "n",
        "pod": "p",
        "container": "c",
        "gpus": [0, 1],
        "nics": ["mlx5_0"],
        "resources": ["rdma/hca"],
    }
    item = {"metadata": {"name": "node-a", "resourceVersion": "4"}, "spec": {"containers": [held], "unknown": ""}}
    return (msgspec.json.encode({"metadata": {"resourceVersion": "5"}, "items": [item, item]}),)


def _policies() -> Iterable[bytes]:
    both = [{"name": "validatingadmissionpolicies"}, {"name": "validatingadmissionpolicybindings"}]
    spec = {"failurePolicy": "Fail", "policyName": "nvtopo-agent", "validationActions": ["Deny"]}
    return (msgspec.json.encode({"resources": both, "spec": spec}),)


def _exported() -> Iterable[bytes]:
    return (msgspec.json.encode({"metadata": {"resourceVersion": "5"}, "items": [_WANTED, _WANTED]}),)


def _histories() -> Iterable[bytes]:
    entry = {
        "at": "2026-01-02T03:04:05Z", "node": "node-a", "kind": "gpus", "subject": "GPU0", "path": "x", "before": 1,
        "after": [2], "text": "words",
    }  # fmt: skip
    return (msgspec.json.encode({"entries": [entry], "leftOff": 3}),)


def _changes() -> Iterable[bytes]:
    graph = document.decode(samples.graphs()[0])
    before = msgspec.structs.replace(graph, nodes={}, generation=graph.generation - 1)
    return (change_records.encode(change_records.between(before, graph)),)


def _streams() -> Iterable[bytes]:
    return (b": hello\n\nevent: change\nid: 12345678.3\ndata: {}\ndata: {}\n\nevent: dropped\r\ndata: x\r\n\r\n",)


def _extended() -> Iterable[bytes]:
    pod = {"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"cpu": 2}}}]}}
    items = [{"metadata": {"name": name}} for name in ("node-a", "node-b")]
    return (
        msgspec.json.encode({"Pod": pod, "NodeNames": ["node-a", "node-b"]}),
        msgspec.json.encode({"Pod": pod, "Nodes": {"items": items}}),
    )


def _loads() -> Iterable[bytes]:
    series = [
        {"metric": {"node": name}, "value": [1435781430.781, value]} for name, value in (("a", "3"), ("b", "NaN"))
    ]
    yield msgspec.json.encode({"status": "success", "data": {"resultType": "vector", "result": series}})


def _heats() -> Iterable[bytes]:
    for figure, value in (("temperature", "64"), ("slowdown", "1"), ("sent", "1e9")):
        metric = {"node": "a", "gpu": "0", "UUID": "GPU-0", "reason": "hardware_thermal", "kind": figure}
        series: list[dict[str, Any]] = [
            {"metric": {**metric, "nvtopo_part": part}, "value": [1435781430.781, said]}
            for part, said in (("value", value), ("at", "1435781420.5"))
        ]
        yield msgspec.json.encode({"status": "success", "data": {"resultType": "vector", "result": series}})


def _heated(body: bytes) -> None:
    """Every figure of it, as a document has them."""
    samples = prometheus.samples(body, "the answer")
    told = Told({figure: heat_readings.read(figure, samples, ("a",)) for figure in heat_readings.queries(("a",))})
    msgspec.json.encode(job_heat.gpu_heat("a", GpuOfNode("GPU-0", 450_000_000_000), told))


def _traces() -> Iterable[bytes]:
    return (
        b"arrival,duration,pods,gpus_per_pod\n0,10,1,4\n5,1e3,2,4\n",
        b"name,num_gpu,gpu_milli,creation_time,deletion_time\na,8,1000,5,9\nb,8,1000,7,9\n",
        b"job,num_gpu,submit_time,duration\n1,4,0,60\n",
    )


def _slurm_names() -> Iterable[bytes]:
    pod = {"metadata": {"labels": {"slurm.node.name": "s1"}}, "spec": {"nodeName": "node-a", "hostname": "h"}}
    return (b"node-a s1 # first\nnode-b -\n", msgspec.json.encode({"items": [pod]}))


def _gpu_pods() -> tuple[bytes, ...]:
    limits = {"resources": {"requests": {"nvidia.com/gpu": "4"}, "limits": {"nvidia.com/gpu": "4"}}}
    terms = [{"matchExpressions": [{"key": "nvtopo.io/rack", "operator": "In", "values": ["a"]}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    notes = {"nvtopo.io/placement": "tier: leaf", "nvtopo.io/rank": "3", "nvtopo.io/measured-step-seconds": "1.5"}
    metadata = {
        "namespace": "team", "name": "a-0", "uid": "1", "resourceVersion": "9", "annotations": notes,
        "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"nvtopo.io/gang": "g", "nvtopo.io/gang-size": "4"},
    }  # fmt: skip
    spec = {
        "containers": [limits], "initContainers": [{"restartPolicy": "Always", **limits}], "priority": 5,
        "schedulingGates": [{"name": "nvtopo.io/placement"}], "affinity": affinity, "nodeName": "",
        "resourceClaims": [{"name": "gpus", "resourceClaimTemplateName": "nvtopo-gpus-4"}],
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 300}],
    }  # fmt: skip
    return (msgspec.json.encode({"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}),)


def _nodes() -> tuple[bytes, ...]:
    taints = [{"key": "gpu", "value": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoExecute"}]
    ready = {"type": "Ready", "status": "Unknown", "lastTransitionTime": "2026-01-02T03:04:05Z"}
    metadata = {"name": "node-a", "resourceVersion": "9"}
    spec = {"unschedulable": True, "taints": taints}
    return (msgspec.json.encode({"metadata": metadata, "spec": spec, "status": {"conditions": [ready]}}),)


def _closed(body: bytes) -> None:
    """Where pods can't go is made of what Nodes say."""
    node = node_states.read(body)
    for reason in closed({node.name: node.value}, (Toleration(key="gpu", value="a"),)).values():
        assert reason


def _lifted(body: bytes) -> None:
    """What is written at the pod is made of what it says."""
    pod = gpu_pods.decoded(body)
    if pod is not None:
        pod_changes.change(Lift(pod, "gang:team/g", Rank(rank=0, node="node-a", gpus=(0, 1))))


def _device_claims() -> tuple[bytes, ...]:
    gang = {"driver": "topo.nvtopo.io", "pool": "nvtopo-gangs", "device": "gang", "shareID": "s1"}
    gpu = {"request": "gpus", "driver": "gpu.nvidia.com", "pool": "node-a", "device": "gpu-0", "adminAccess": False}
    metadata = {
        "namespace": "team", "name": "a-0.nvtopo-1", "uid": "1", "resourceVersion": "9",
        "creationTimestamp": "2026-01-02T03:04:05Z", "annotations": {"nvtopo.io/reservation": "gang:team/g"},
        "ownerReferences": [{"kind": "Pod", "name": "a-0", "uid": "2", "controller": True}],
    }  # fmt: skip
    said = {**gang, "conditions": [{"type": "nvtopo.io/gang-ready", "status": "True"}]}
    status = {"allocation": {"devices": {"results": [gpu, gang]}}, "devices": [said]}
    requests = [{"name": "gang", "exactly": {"deviceClassName": "nvtopo-gang"}}]
    return (msgspec.json.encode({"metadata": metadata, "spec": {"devices": {"requests": requests}}, "status": status}),)


def _given_back(body: bytes) -> None:
    """What is written at the claim is made of what it says."""
    claim = resource_claims.read(body).value
    for step in given_back(claim):
        claim_changes.change(step, (), "2026-01-02T03:04:05Z")


def _wishes() -> Iterable[bytes]:
    return (
        b"required: leaf\nnodeSelector: {a: b}\ntimeoutSeconds: 60\nonTimeout: open\n",
        b'{"preferred":"leaf","links":{"leaf":{"gigabytesPerSecond":50.5,"latencyNanoseconds":3000}}}',
    )


def _ganged(body: bytes) -> None:
    """What the author of a pod writes into its annotation."""
    metadata = msgspec.json.decode(_gpu_pods()[0])["metadata"]
    metadata["annotations"] = {"nvtopo.io/placement": body.decode("utf-8", "replace")}
    container = {"resources": {"limits": {"nvidia.com/gpu": 4}}}
    pod = gpu_pods.decoded(msgspec.json.encode({"metadata": metadata, "spec": {"containers": [container]}}))
    assert pod is not None
    gang.timing_of([pod])
    gang.asked(gang.key_of(pod), [pod])


def _node_feature() -> Iterable[bytes]:
    labels = {"nvtopo.io/rack": "a"}
    item = {"metadata": {"name": "node-a", "namespace": "nfd", "labels": labels}, "spec": {"labels": labels}}
    return (msgspec.json.encode({"metadata": {"name": "node-a", "labels": labels}, "items": [item]}),)


def _named(body: bytes) -> None:
    if body.lstrip().startswith(b"{"):
        export_inputs._of_pods(Path("input"), body)
    else:
        export_inputs._of_lines(Path("input"), body)


def _stepped(body: bytes) -> None:
    graph = document.decode(samples.graphs()[0])
    change = change_records.decode(body, "stream")
    if change.previous == graph.generation:
        change_records.encode(change_records.between(graph, change_records.applied(graph, change)))


def _scheduled(body: bytes) -> None:
    args = extender.read(body)
    msgspec.json.encode((extender.filtered(args, _VIEW), extender.prioritized(args, _VIEW)))


def _acted(acts: Mapping[str, Act]) -> None:
    acceptance.standing(acts, "2026-01-15T00:00:00Z")


def _device() -> Iterable[bytes]:
    asked = {"mac_address": "02:00:00:00:00:01", "pci_address": "0000:1a:00.0", "name": "rail0"}
    body = msgspec.json.encode(asked)
    head = f"POST /GetDeviceAttributes HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head.encode() + body, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")


def _told(body: bytes) -> None:
    """The whole request, as it comes over the socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(body[:_ROOM])
        theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):  # too long
            provider.Handler(provider.Conversation(ours, time.monotonic() + 1), _NICS)
        ours.shutdown(socket.SHUT_WR)
        answered = theirs.recv(_ROOM)
    if not answered.startswith(b"HTTP/1.1 2"):
        raise ParseError("refused")


def _first(events: Any, stop: threading.Event) -> Any:
    """What comes first; a refusal of ours if that is nothing."""
    stop.wait = lambda *_: stop.set()  # type: ignore[assignment,method-assign]  # instead of the next attempt
    found = next(events, None)
    if found is None:
        raise ParseError("no list")
    return found


def _labelled(client: Client) -> None:
    stop = threading.Event()
    found = _first(NodeLabels(client, labels.knows).events(stop), stop).objects
    labels.read([{"metadata": {"name": name, "labels": dict(said)}} for name, said in found.items()])


def _held(client: Client) -> None:
    stop = threading.Event()
    for allocation in _first(Allocations(client).events(stop), stop).objects.values():
        assert allocation.gpus is None or all(gpu >= 0 for gpu in allocation.gpus)


def _ours(client: Client) -> None:
    for found in Exported(client, "volcano", _OWNER).list().values():
        is_as_wanted(found, _WANTED)


def _policy(client: Client) -> None:
    if reason := admission.look(client)[1]:
        raise ParseError(reason)


def _one_page(body: bytes) -> bytes:
    return body.replace(b'"continue"', b'"_continue"')


def wire(answered: Answered) -> Targets:
    """Name → samples and reader; ``answered`` makes a client whose server answers everything with these bytes."""
    return {
        "ledger": (lambda: (_reservations(),), lambda body: decoded(_packed(body))),
        "ledger-map": (
            _ledger_map,
            lambda body: Reservations(answered(body), "nvtopo", lambda: 1.0).do(lambda ledger: len(ledger.gpus)),
        ),
        "accepted": (_accepted, lambda body: _acted(accepted.read(answered(body), "nvtopo").acts)),
        "act": (lambda: (_act(),), lambda body: _acted({"act": accepted._ACT.read(body, "act")})),
        "node-labels": (_node_list, lambda body: _labelled(answered(_one_page(body)))),
        "allocations": (_allocations, lambda body: _held(answered(_one_page(body)))),
        "cordoned": (_node_list, lambda body: cordoned.look(answered(_one_page(body)))),
        "admission": (_policies, lambda body: _policy(answered(body))),
        "exported": (_exported, lambda body: _ours(answered(_one_page(body)))),
        "history": (_histories, lambda body: history_document.decode(body, "http://127.0.0.1/v1/history")),
        "change": (_changes, _stepped),
        "event-stream": (_streams, lambda body: list(messages(body.splitlines(keepends=True)))),
        "extender": (_extended, _scheduled),
        "dranet": (_device, _told),
        "prometheus": (_loads, lambda body: prometheus.vector(body, "node", "http://127.0.0.1:9090")),
        "heat": (_heats, _heated),
        "gpu-pods": (_gpu_pods, _lifted),
        "gang": (_wishes, _ganged),
        "node-states": (_nodes, _closed),
        "device-claims": (_device_claims, _given_back),
        "label-way": (_node_feature, lambda body: label_way.read(answered(_one_page(body)), "node-a")),
    }


FILES: Final[Targets] = {
    "trace": (_traces, lambda body: trace.parse(body, "input", random.Random(1))),  # noqa: S311 - repeatable
    "slurm-names": (_slurm_names, _named),
}
