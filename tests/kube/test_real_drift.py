"""Acceptance and the audit trail with a real API server, and the rights that are shipped."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner
from msgspec.structs import replace

import nvtopo
from nvtopo.aggregator.acceptance_watch import AcceptanceWatch
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.status import StatusWriter
from nvtopo.cli import main
from nvtopo.errors import Forbidden
from nvtopo.kube import accepted, cordoned
from nvtopo.kube import client as client_module
from nvtopo.kube.applier import Applier
from nvtopo.kube.client import Client
from nvtopo.kube.store import KubeStore
from nvtopo.kube.v1alpha1 import COLLECTION, path
from nvtopo.kube.v1alpha1_status import Envelope
from tests.cluster import fleets
from tests.lab import kube
from tests.lab.control_plane import ControlPlane

pytestmark = pytest.mark.lab

DAEMONSET = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
NAMES = tuple(f"drift-{number}" for number in range(4))


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    api = control_plane.api()
    for manifest in ("crd.yaml", "rbac.yaml"):
        for document in yaml.safe_load_all((DAEMONSET / manifest).read_text()):
            api.apply(document)

    def served() -> bool:
        try:
            return api.find(COLLECTION) is not None
        except kube.ApiError:
            return False

    kube.wait_for(served, what="the collection of NodeTopologies")
    return control_plane


def account(plane: ControlPlane, name: str) -> Client:
    return client_module.connect(plane.kubeconfig(plane.service_account_token("nvtopo", name)))


@contextlib.contextmanager
def running(client: Client) -> Iterator[Aggregator]:
    """An aggregator that leads, without the Lease and the server."""
    store, stop = KubeStore(client), threading.Event()
    aggregator = Aggregator(store)
    applier = Applier("status", store.set_status, lambda: 1)
    writer = StatusWriter(aggregator, applier, lambda: 1)
    watch = AcceptanceWatch(lambda: accepted.look(client, "nvtopo"), aggregator.accepted, look_seconds=0.2)
    loops = (aggregator.run, applier.run, writer.run, watch.run)
    threads = [threading.Thread(target=loop, args=(stop,)) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield aggregator
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def read(plane: ControlPlane, name: str) -> Envelope:
    return msgspec.json.decode(msgspec.json.encode(plane.api().get(path(name))), type=Envelope)


def nvtopo_says(plane: ControlPlane, *arguments: str) -> str:
    result = CliRunner().invoke(main, [*arguments, "--kubeconfig", str(plane.admin_kubeconfig)])
    assert result.exception is None, (result.exception, result.output)
    return result.output


def test_what_is_accepted_reaches_the_agent_is_taken_back_and_the_trail_survives_a_restart(plane: ControlPlane) -> None:
    api, node = plane.api(), fleets.machine()
    with account(plane, "nvtopo-agent") as agent, account(plane, "nvtopo-aggregator") as aggregator:
        store = KubeStore(agent)
        for number, name in enumerate(NAMES):
            kube.create_node(api, name)
            store.apply(name, fleets.machine(number=number))
        changed = replace(node, host=replace(node.host, driver_version="590.1"))
        with running(aggregator):
            kube.wait_for(lambda: read(plane, NAMES[0]).status.conditions, what="a status")
            store.apply(NAMES[0], changed)
            kube.wait_for(lambda: read(plane, NAMES[0]).status.history, what="an entry")
            said = nvtopo_says(plane, "accept", NAMES[0], "--until", "1h", "--reason", "canary")
            assert said.startswith("accepted what is observed of 1 node until ")
            kube.wait_for(
                lambda: (found := read(plane, NAMES[0]).status.expected) is not None and found.accepted,
                what="what is accepted",
            )
            standing = store.apply(NAMES[0], changed)
            assert standing is not None
            assert standing.accepted is not None
            assert standing.accepted.gpus == 4
            assert standing.accepted.versions is not None
            assert standing.accepted.versions.driver == "590.1"
            assert "canary" in nvtopo_says(plane, "accept", "--list")
            assert nvtopo_says(plane, "accept", NAMES[0], "--revoke") == "revoked what was accepted of 1 node\n"
            kube.wait_for(
                lambda: (found := read(plane, NAMES[0]).status.expected) is None or found.accepted is None,
                what="nothing that is accepted",
            )
            assert nvtopo_says(plane, "accept", "--list") == "nothing is accepted\n"
        before = read(plane, NAMES[0])
        with running(aggregator) as again:
            kube.wait_for(lambda: again.trail.of(NAMES[0]), what="the trail")
            assert again.trail.of(NAMES[0]) == before.status.history
            store.apply(NAMES[0], node)
            kube.wait_for(lambda: len(read(plane, NAMES[0]).status.history) > 1, what="another entry")
        lines = nvtopo_says(plane, "history", NAMES[0]).splitlines()
        shown = [line.partition("  ")[2] for line in lines if "driver" in line]
        assert shown == [
            f"{NAMES[0]}  host: driver version 580.65.06 → 590.1",
            f"{NAMES[0]}  host: driver version 590.1 → 580.65.06",
        ]


def test_the_aggregator_may_read_what_is_accepted_and_which_nodes_are_cordoned_and_change_neither(
    plane: ControlPlane,
) -> None:
    with account(plane, "nvtopo-aggregator") as aggregator:
        known = accepted.read(aggregator, "nvtopo")
        with pytest.raises(Forbidden):
            accepted.write(aggregator, "nvtopo", {}, known)
        kube.create_node(plane.api(), "cordoned")
        plane.api().patch("/api/v1/nodes/cordoned", {"spec": {"unschedulable": True}})
        assert cordoned.look(aggregator)[0] >= {"cordoned"}
        assert NAMES[1] not in cordoned.look(aggregator)[0]
