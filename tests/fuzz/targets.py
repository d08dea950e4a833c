"""Every decoder of bytes that nvtopo did not write itself: name → samples, and what reads them.

A reader returns, or raises one of nvtopo's errors with one printable line. Anything else is a finding.
"""

import functools
import socket
import threading
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final, NamedTuple

from nvtopo.aggregator.fleet_documents import resources_in
from nvtopo.auth import bearer
from nvtopo.auth.reviews import Reviewer
from nvtopo.auth.rights import METRICS
from nvtopo.auth.user import User
from nvtopo.cli import node_objects
from nvtopo.cli.resource_file import resource_in
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Applied, Inventory, Listed, fold
from nvtopo.dra import messages
from nvtopo.dra.claims import devices_of
from nvtopo.errors import NvtopoError, ParseError
from nvtopo.exporters import document, racks
from nvtopo.fabrics import recognise
from nvtopo.findings.expectation import expectations_in
from nvtopo.kube import following, own_slices, refusal, resource_slices, stream, v1alpha1
from nvtopo.kube.agent_pods import AgentPods, decode_agent
from nvtopo.kube.client import Client
from nvtopo.kube.connection import Connection
from nvtopo.kube.lease import Leadership
from nvtopo.kube.node_uid import node_uid
from nvtopo.kube.reader import Reader
from nvtopo.kube.standing import standing_in
from nvtopo.kube.stream import WatchEvent
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.formats import config_space, lldp, vital_product_data
from nvtopo.placement import deployment
from nvtopo.placement.document import links_in, parse
from nvtopo.sources.capture import parse_capture
from nvtopo.sources.foreign import bundle, measurements
from nvtopo.sources.kubelet import grpc, hints, memory, pod_memory, pod_resources, policies
from nvtopo.sources.linux import cdi
from nvtopo.sources.nvml import answer, counters
from nvtopo.sources.nvml.events_policy import EventsPolicy, Pace
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot
from tests.foreign import measured_texts
from tests.foreign.fuzz import outcome
from tests.foreign.mutations import damaged as damaged_text
from tests.foreign.samples import SAMPLES
from tests.fuzz import kernel_targets, requests, samples, server_targets
from tests.fuzz.mutations import Mutation, damaged, damaged_bytes


class Target(NamedTuple):
    """One decoder."""

    samples: Callable[[], Iterable[bytes]]
    read: Callable[[bytes], object]
    mutate: Mutation = damaged


class _Response:
    """What urllib3 gives of an answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self._body = status, headers, body

    def read(self, amount: int) -> bytes:
        return self._body[:amount]

    def stream(self, amount: int) -> Iterable[bytes]:
        return (self._body[at : at + amount] for at in range(0, len(self._body), amount))

    def close(self) -> None:
        """Nothing is open."""


class _Answered(Client):
    """A client whose server answers everything with the same bytes."""

    def __init__(self) -> None:
        super().__init__(Connection(host="http://127.0.0.1:9"))
        self.body = b""

    def _open(self, request: Any) -> Any:
        del request
        return _Response(200, {}, self.body)

    def watch(self, path: str, resource_version: str, stop: threading.Event, **how: Any) -> Any:
        """Without the thread that would end it."""
        del resource_version, how
        response: Any = _Response(200, {}, self.body)
        found: Iterable[WatchEvent] = stream.events(path, response, stop)
        return found


@functools.cache
def _client() -> _Answered:
    """One for all inputs: urllib3's pool takes longer to make than most inputs to read."""
    return _Answered()


def answered(body: bytes) -> Client:
    """A client whose server answers everything with these bytes, until it is asked for the next."""
    client = _client()
    client.body = body
    return client


def _graph_of(listed: Listed) -> None:
    for topology in listed.nodes.values():
        derive(topology)
    racks.render(document.of(build(fold(Inventory(), listed))))


def _list(body: bytes) -> None:
    reader = Reader(answered(body.replace(b'"continue"', b'"_continue"')))
    _graph_of(reader.list())


def _watch(body: bytes) -> None:
    for event in Reader(answered(body)).watch(threading.Event()):
        if isinstance(event, Applied):
            derive(event.topology)


def _pods(body: bytes) -> None:
    pods = AgentPods(answered(body.replace(b'"continue"', b'"_continue"')), "nvtopo")
    pods._list()


def _pods_watch(body: bytes) -> None:
    for event in answered(body).watch("/pods", "", threading.Event()):
        decode_agent(event.object)


def _followed(collection: following.Collection[Any]) -> Callable[[bytes], object]:
    """The list of a collection; what can't be read in it costs itself."""
    return lambda body: following.Following(answered(body.replace(b'"continue"', b'"_continue"')), collection)._list()


def _refused(body: bytes) -> None:
    header, _, rest = body.partition(b"\n")
    error = refusal.refusal("GET /x", 429 if len(body) % 2 else 503, {"Retry-After": header.decode("latin-1")}, rest)
    assert 0 <= getattr(error, "retry_after", 0.0) <= 120
    _one_line(error)
    _one_line(refusal.watch_refusal("watch /x", rest))


def _applied(body: bytes) -> None:
    node = samples.node()
    answered(body).apply("/x", v1alpha1.spec_document("node-a", node, "uid"), manager="nvtopo-agent")


def _reviewed(body: bytes) -> None:
    reviewer = Reviewer(answered(body))
    reviewer.user("token")
    reviewer.allowed(User(), METRICS)


def _lease(body: bytes) -> None:
    Leadership(answered(body), "nvtopo", "lease", "me")._read()


def _devices_of_pods(body: bytes) -> None:
    """Of equal shape in the two answers are the devices of a container and those that can be given away."""
    list(hints.devices_in(body))
    list(pod_resources.containers_in(body))


def _policies(body: bytes) -> None:
    reader = SysfsReader(_Root(body), "kubelet")
    policies._checkpoint(reader, "/x")
    policies._configured(reader.text("/x") or "")
    memory._nodes(reader, "/x")
    pod_memory.read(reader, "/x")
    configured = memory._parsed(reader, reader.text("/x") or "")
    if configured is not None:
        memory._reserved(configured)
        memory._due(configured)


class _Root(SysfsRoot):
    """Every file holds these bytes."""

    def __init__(self, body: bytes) -> None:
        super().__init__("/nowhere")
        self._body = body

    def read(self, path: str, *, head: bool = False) -> bytes:
        del path, head
        return self._body


def _events(body: bytes) -> None:
    policy = EventsPolicy(Pace())
    for line in body.split(b"\n"):
        policy.line(0.0, line)


def _grpc(body: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(0)
        theirs.send(body)  # of a long one, as much as the socket takes
        theirs.shutdown(socket.SHUT_WR)
        grpc.call(ours, "/v1.PodResourcesLister/List", b"", 1.0)


def _claims(body: bytes) -> None:
    claims = bearer.claims_of(bearer.token_in(body.decode("latin-1")))
    claims.expired(0.0)
    claims.for_others(("nvtopo",))


def _claims_json(body: bytes) -> None:
    import base64

    _claims(b"Bearer a." + base64.urlsafe_b64encode(body).rstrip(b"=") + b".c")


def _capture(body: bytes) -> None:
    derive(assemble(parse_capture(body, "input")))


def _resource(body: bytes) -> None:
    node = resource_in(body, "input")
    if node is not None:
        derive(node)


def _graph_document(body: bytes) -> None:
    document.encode(document.decode(body, "http://127.0.0.1/v1/graph"))


def _fleet(body: bytes) -> None:
    found = resources_in(body, "node-a", "input")
    if found is not None:
        _graph_of(Listed(found.nodes, found.unreadable))


def _fabrics(body: bytes) -> None:
    recognise.read(recognise.parts(recognise.Given("file", recognise.text_of(body))))


def _device(body: bytes) -> None:
    vital_product_data.keyword(body, "V3")
    config_space.acs_control(body)
    config_space.ats_enabled(body)


def _foreign(body: bytes) -> None:
    if outcome(body) == "refused":
        raise ParseError("in one line")


def _lldp(body: bytes) -> lldp.Frame:
    try:
        return lldp.frame_in(body)
    except ValueError as error:
        raise ParseError(str(error)) from error


def _resource_claim(body: bytes) -> None:
    """What can't be read is said in the log, and the pod starts."""
    devices_of(answered(body), "topo.nvtopo.io", messages.Claim("team", "uid-1", "one"))


#: Bytes that another process or machine sends: the API server, the kubelet, the kernel, a driver's worker process, a
#: client, a server of ours or of a stranger, a neighbour on the cable.
WIRE: Final = {
    "graph": Target(samples.graphs, _graph_document),
    "list": Target(samples.lists, _list),
    "watch": Target(samples.watches, _watch),
    "pods": Target(samples.pod_lists, _pods),
    "pods-watch": Target(samples.pod_watches, _pods_watch),
    "slices": Target(samples.slices, _followed(resource_slices.FOLLOWED)),
    "own-slices": Target(samples.slices, _followed(own_slices.followed("node-a", "topo.nvtopo.io"))),
    "resource-claim": Target(samples.resource_claims, _resource_claim),
    "kubelet-claims": Target(samples.plugin_requests, messages.claims, damaged_bytes),
    "refusal": Target(samples.refusals, _refused),
    "standing": Target(samples.standings, standing_in),
    "applied": Target(samples.applied, _applied),
    "node-uid": Target(samples.nodes, lambda body: node_uid(answered(body), "node-a")),
    "lease": Target(samples.leases, _lease),
    "review": Target(samples.reviews, _reviewed),
    "token": Target(samples.tokens, _claims),
    "claims": Target(samples.claims, _claims_json),
    "kubelet-grpc": Target(samples.grpc_answers, _grpc, damaged_bytes),
    "kubelet-pods": Target(samples.pod_resources, _devices_of_pods, damaged_bytes),
    "nvml-answer": Target(samples.nvml_answers, answer.parse),
    "nvml-counters": Target(samples.nvml_counters, counters.decode),
    "nvml-events": Target(samples.nvml_events, _events),
    "agent-page": Target(requests.samples, requests.page, damaged_text),
    "api": Target(requests.samples, requests.api, damaged_text),
    "lldp": Target(samples.lldp_frames, _lldp, damaged_bytes),
    "placement": Target(samples.placements, lambda body: parse(body, "input")),
    **{name: Target(*pair, damaged_bytes) for name, pair in kernel_targets.TARGETS.items()},
    **{name: Target(*pair) for name, pair in server_targets.wire(answered).items()},
}
#: Files: of a person, another program, or the kernel's folders.
FILES: Final = {
    "capture": Target(samples.captures, _capture),
    "resource": Target(samples.resources, _resource),
    "expectations": Target(samples.expectations, lambda body: expectations_in(body, "input")),
    "foreign": Target(lambda: [make() for make in SAMPLES.values()], _foreign, damaged_text),
    "kubelet-files": Target(samples.kubelet_files, _policies),
    "measurements": Target(
        lambda: (*measured_texts.ALL, *measured_texts.JSON), lambda body: measurements.read(body, "input"), damaged_text
    ),
    "bundle": Target(samples.bundles, lambda body: bundle.nodes_in(body, "input"), damaged_bytes),
    "cdi": Target(samples.cdi_specs, lambda body: cdi.parse(body, "input")),
    "node-objects": Target(samples.node_lists, lambda body: node_objects.parse(body, "input")),
    "deployment": Target(samples.deployments, lambda body: deployment.parse(body, "input")),
    "links": Target(samples.links, lambda body: links_in(body, "input")),
    "fleet": Target(samples.fleets, _fleet),
    "fabrics": Target(samples.fabrics, _fabrics, damaged_text),
    "fabric-documents": Target(samples.fabric_documents, _fabrics),
    "device": Target(samples.devices, _device, damaged_bytes),
    **{name: Target(*pair) for name, pair in server_targets.FILES.items()},
}
TARGETS: Final = WIRE | FILES


def run(target: Target, body: bytes) -> str:
    """``read`` or ``refused``; whatever else is raised is a finding."""
    try:
        target.read(body)
    except NvtopoError as error:
        _one_line(error)
        return "refused"
    return "read"


def one(target: Target, sources: list[bytes], seed: int) -> bytes:
    """The input of a seed."""
    chance = Random(seed)  # noqa: S311 - repeatable, not secret
    return target.mutate(sources[seed % len(sources)], chance)


def _one_line(error: Exception) -> None:
    text = str(error)
    assert "\n" not in text, f"more than one line: {text!r}"
    assert text.isprintable(), f"not printable: {text!r}"
    assert len(text) < 1000, f"{len(text)} characters: {text[:80]!r}"
    text.encode()
