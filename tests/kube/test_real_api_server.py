"""The same edge against the real API server, with the manifests as they are shipped."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec.structs import replace

import nvtopo
from nvtopo.aggregator.status import status_of
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Applied, Deleted, Inventory, Listed, fold
from nvtopo.errors import ApiError, Forbidden, Gone, NotFound
from nvtopo.kube import client as client_module
from nvtopo.kube.client import Client
from nvtopo.kube.store import KubeStore
from nvtopo.kube.v1alpha1 import API_VERSION, COLLECTION, path, spec_document
from nvtopo.kube.v1alpha1_status import Condition, Envelope, Status, status_document
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.nvlinks import NvLinkBundle
from nvtopo.model.records.spec import expand
from nvtopo.model.records.standing import Standing
from nvtopo.sources.capture import read_capture
from tests import golden
from tests.hosts.recorded import FIXTURES
from tests.kube.following import Following
from tests.kube.machines import hgx, small
from tests.lab import kube
from tests.lab.control_plane import ControlPlane

pytestmark = pytest.mark.lab

DAEMONSET = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
#: Machines of the docs, and the columns that are there without ``-o wide`` (but for the age).
SHOWN = ("gb200-nvl72-tray", "h100-one-link-down")
COLUMNS = ("Name", "GPUs", "GPU", "NVLink", "NICs", "Domain", "Driver", "Ready")
STATUS = Status(
    gpus=8,
    nics=9,
    domain="cluster.1",
    conditions=(
        Condition(type="Ready", status="True", reason="Complete", last_transition_time="2027-01-01T00:00:00Z"),
    ),
)


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """With our definitions and accounts in it."""
    api = control_plane.api()
    for manifest in ("crd.yaml", "rbac.yaml"):
        for document in yaml.safe_load_all((DAEMONSET / manifest).read_text()):
            api.apply(document)
    kube.wait_for(lambda: _served(api), what="the collection of NodeTopologies")
    return control_plane


@pytest.fixture(scope="module")
def admin(plane: ControlPlane) -> Iterator[Client]:
    with client_module.connect(plane.admin_kubeconfig) as client:
        yield client


@pytest.fixture(scope="module")
def agent(plane: ControlPlane) -> Iterator[Client]:
    yield from _account(plane, "nvtopo-agent")


@pytest.fixture(scope="module")
def aggregator(plane: ControlPlane) -> Iterator[Client]:
    yield from _account(plane, "nvtopo-aggregator")


@pytest.fixture
def node(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A Node of the test's own."""
    name = request.node.name.replace("_", "-").removeprefix("test-")[:60].strip("-")
    kube.create_node(plane.api(), name)
    yield name
    plane.api().delete(f"/api/v1/nodes/{name}")
    plane.api().delete(path(name))


def test_an_eight_gpu_node_survives_the_round_trip(admin: Client, agent: Client, node: str) -> None:
    KubeStore(agent).apply(node, hgx())
    assert expand(_read(admin, node).spec) == hgx()
    assert len(admin.get(path(node))) < 7 * 1024, "with its metadata, as stored"


def test_what_stands_for_a_node_is_in_the_answer_to_its_agent(agent: Client, aggregator: Client, node: str) -> None:
    store, standing = KubeStore(agent), Standing(learned=Expectation(gpus=8, nvlinks_per_gpu=18))
    assert store.apply(node, small()) is None
    KubeStore(aggregator).set_status(node, replace(STATUS, expected=standing))
    assert store.apply(node, small()) == standing


def test_the_same_again_changes_nothing(admin: Client, agent: Client, node: str) -> None:
    store = KubeStore(agent)
    store.apply(node, hgx())
    before = _read(admin, node).metadata
    store.apply(node, hgx())
    assert _read(admin, node).metadata == before


def test_a_wrong_type_is_refused(agent: Client, node: str) -> None:
    document = msgspec.json.decode(spec_document(node, small(), "no-such-uid"))
    document["spec"]["gpus"][0]["index"] = "zero"
    with pytest.raises(ApiError, match=r"\.spec\.gpus\[0\]\.index: expected numeric"):
        agent.apply(path(node), msgspec.json.encode(document), manager="test")


def test_a_number_out_of_bounds_is_refused(agent: Client, node: str) -> None:
    document = msgspec.json.decode(spec_document(node, small(), "no-such-uid"))
    document["spec"]["gpus"][0]["index"] = -1
    with pytest.raises(ApiError, match=r"spec\.gpus\[0\]\.index") as caught:
        agent.apply(path(node), msgspec.json.encode(document), manager="test")
    assert caught.value.status == 422


def test_spec_and_status_have_different_writers(admin: Client, agent: Client, aggregator: Client, node: str) -> None:
    KubeStore(agent).apply(node, hgx())
    KubeStore(aggregator).set_status(node, STATUS)
    KubeStore(agent).apply(node, small())
    found = _read(admin, node)
    assert (expand(found.spec), found.status) == (small(), STATUS)
    assert found.metadata.generation == 2


def test_what_is_applied_to_the_object_leaves_its_status_alone(admin: Client, node: str) -> None:
    KubeStore(admin).apply(node, small())
    document = {
        **msgspec.json.decode(spec_document(node, small(), _node_uid(admin, node))),
        "status": {"domain": "forged"},
    }
    admin.apply(path(node), msgspec.json.encode(document), manager="test")
    assert _read(admin, node).status == Status()


def test_a_status_needs_its_object(aggregator: Client) -> None:
    with pytest.raises(NotFound):
        KubeStore(aggregator).set_status("no-such-node", STATUS)


def test_kubectl_get_prints_columns_worth_reading(
    agent: Client, aggregator: Client, plane: ControlPlane, node: str
) -> None:
    KubeStore(agent).apply(node, hgx())
    KubeStore(aggregator).set_status(node, STATUS)
    row = _printed(plane, node)
    assert row.pop("Age") != ""
    assert row == {
        "Name": node,
        "GPUs": 8,
        "GPU": "NVIDIA H100 80GB HBM3",
        "NVLink": "4.0",
        "NICs": 9,
        "Domain": "cluster.1",
        "Driver": "580.65.06",
        "Ready": "True",
        "Message": None,
        "Problem": "rate: Input/output error",
        "Product": "DGXH100",
        "Architecture": "x86_64",
        "Kernel": "6.8.0-60-generic",
    }


def test_kubectl_explain_has_our_words(plane: ControlPlane) -> None:
    schemas = plane.api().get(f"/openapi/v3/apis/{API_VERSION}")["components"]["schemas"]
    (found,) = [schema for name, schema in schemas.items() if name.endswith(".NodeTopology")]
    gpus = found["properties"]["spec"]["properties"]["gpus"]
    assert gpus["description"] == "GPUs, by index."
    assert gpus["items"]["properties"]["numaNode"]["description"].startswith("The NUMA node of its PCIe function")
    assert found["properties"]["status"]["properties"]["gpus"]["description"].startswith("Number of the node's GPUs")


def test_links_that_differ_from_gpu_to_gpu_have_a_column_too(agent: Client, plane: ControlPlane, node: str) -> None:
    wired = (NvLinkBundle(links=str(index), state="active", version="4.0", remote="gpu") for index in range(8))
    gpus = tuple(replace(gpu, nvlinks=(bundle,)) for gpu, bundle in zip(hgx().gpus, wired, strict=True))
    KubeStore(agent).apply(node, replace(hgx(), gpus=gpus))
    assert _printed(plane, node)["NVLink"] == "4.0"


def test_a_deleted_node_takes_its_topology_with_it(agent: Client, plane: ControlPlane, node: str) -> None:
    KubeStore(agent).apply(node, small())
    plane.api().delete(f"/api/v1/nodes/{node}")
    kube.wait_for(lambda: plane.api().find(path(node)) is None, what="the garbage collector", seconds=90)


def test_a_node_made_anew_gets_a_topology_that_stays(
    admin: Client, agent: Client, plane: ControlPlane, node: str
) -> None:
    store = KubeStore(agent)
    store.apply(node, small())
    plane.api().delete(f"/api/v1/nodes/{node}")
    kube.wait_for(lambda: plane.api().find(path(node)) is None, what="the garbage collector", seconds=90)
    kube.create_node(plane.api(), node)
    store.apply(node, small())
    owner = _read(admin, node).metadata.owner_references[0]
    assert owner.uid == _node_uid(agent, node)


def test_a_reader_sees_what_happens(agent: Client, aggregator: Client, plane: ControlPlane, node: str) -> None:
    store = KubeStore(agent)
    with Following(KubeStore(aggregator)) as following:
        assert isinstance(following.next(), Listed)
        store.apply(node, hgx())
        assert following.next() == Applied(node, hgx())
        KubeStore(aggregator).set_status(node, STATUS)
        store.apply(node, small())
        assert following.next() == Applied(node, small())
        plane.api().delete(path(node))
        assert following.next() == Deleted(node)


def test_a_place_that_never_was_is_gone(aggregator: Client) -> None:
    with pytest.raises(Gone):
        next(aggregator.watch(COLLECTION, "1", threading.Event()))


def test_the_agent_may_do_its_work_and_nothing_else(agent: Client, node: str) -> None:
    agent.get(f"/api/v1/nodes/{node}")
    KubeStore(agent).apply(node, NodeTopology())
    label = b'{"apiVersion": "v1", "kind": "Node", "metadata": {"labels": {"a": "b"}}}'
    status = status_document(node, STATUS)
    for refused in (
        lambda: agent.apply(f"/api/v1/nodes/{node}", label, manager="test"),
        lambda: agent.get("/api/v1/namespaces/nvtopo/secrets/any"),
        lambda: agent.get("/api/v1/pods"),
        lambda: agent.get("/api/v1/nodes"),
        lambda: agent.get(COLLECTION),
        lambda: agent.get(path(node)),
        lambda: agent.delete(path(node)),
        lambda: agent.apply(f"{path(node)}/status", status, manager="test"),
    ):
        with pytest.raises(Forbidden):
            refused()


def test_the_aggregator_may_do_its_work_and_nothing_else(aggregator: Client, agent: Client, node: str) -> None:
    KubeStore(agent).apply(node, small())
    KubeStore(aggregator).set_status(node, STATUS)
    aggregator.get(COLLECTION)
    for refused in (
        lambda: aggregator.get(f"/api/v1/nodes/{node}"),
        lambda: aggregator.apply(path(node), spec_document(node, hgx(), "uid"), manager="test"),
        lambda: aggregator.delete(path(node)),
        lambda: aggregator.get("/api/v1/namespaces/nvtopo/secrets/any"),
        lambda: aggregator.get("/api/v1/pods"),
        lambda: aggregator.apply(f"/api/v1/nodes/{node}", b"{}", manager="test"),
    ):
        with pytest.raises(Forbidden):
            refused()


def test_the_aggregator_can_hold_its_lease(aggregator: Client, plane: ControlPlane) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/nvtopo/leases"
    plane.api().delete(f"{leases}/nvtopo-aggregator")
    lease: dict[str, Any] = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "nvtopo-aggregator"},
        "spec": {"holderIdentity": "one"},
    }
    created = msgspec.json.decode(aggregator.create(leases, msgspec.json.encode(lease)))
    aggregator.replace(f"{leases}/nvtopo-aggregator", msgspec.json.encode(created))
    with pytest.raises(Forbidden):
        aggregator.get(f"{leases}/another")


def _served(api: kube.Api) -> bool:
    """A young collection is unknown first, and then refused with 429 while its storage starts."""
    try:
        return api.find(COLLECTION) is not None
    except kube.ApiError:
        return False


def _account(plane: ControlPlane, name: str) -> Iterator[Client]:
    token = plane.service_account_token("nvtopo", name)
    with client_module.connect(plane.kubeconfig(token)) as client:
        yield client


def _read(client: Client, name: str) -> Envelope:
    return msgspec.json.decode(client.get(path(name)), type=Envelope)


def _node_uid(client: Client, name: str) -> str:
    uid: str = msgspec.json.decode(client.get(f"/api/v1/nodes/{name}"))["metadata"]["uid"]
    return uid


def _printed(plane: ControlPlane, name: str) -> dict[str, Any]:
    """The row of one object."""
    (row,) = plane.api().table(path(name))
    return row


def test_people_see_what_the_docs_show(plane: ControlPlane, admin: Client) -> None:
    """The block below ``$ kubectl get ntopo``: the API server's columns, aligned as kubectl aligns them."""
    store, machines = KubeStore(admin), {}
    for host in SHOWN:
        node = assemble(read_capture(FIXTURES / "hosts" / host / "capture.json"))
        name = {"h100-one-link-down": "h100-0001", "gb200-nvl72-tray": "nvl72-r01-t04"}[host]
        kube.create_node(plane.api(), name)
        machines[name] = node
        store.apply(name, node)
    try:
        for name, seen in build(fold(Inventory(), Listed(machines, {}))).nodes.items():
            store.set_status(name, status_of(seen))
        rows = [_printed(plane, name) for name in sorted(machines)]
    finally:
        for name in machines:
            plane.api().delete(f"/api/v1/nodes/{name}")
            plane.api().delete(path(name))
    names = [name for name in rows[0] if name in COLUMNS]
    cells = [[name.upper() for name in names]]
    cells += [["" if row[name] is None else str(row[name]) for name in names] for row in rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(names))]
    text = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    readme = DAEMONSET / "README.md"
    before, command, after = readme.read_text(encoding="utf-8").partition("$ kubectl get ntopo\n")
    golden.check(before + command + "\n".join(text) + after[after.index("\n```") :], readme)
