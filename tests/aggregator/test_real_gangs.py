"""Gangs of gated pods on the real API server and scheduler: whole or not at all, in one domain, ranks in order.

``NVTOPO_GANGS=25`` and ``NVTOPO_GANG_KILLS=30`` are the long forms.
"""

import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from click.testing import CliRunner

import nvtopo
from nvtopo.aggregator.counted_pods import CountedPods
from nvtopo.aggregator.desk import Desk
from nvtopo.aggregator.gang_keeper import GangKeeper
from nvtopo.aggregator.gang_mover import GangMover
from nvtopo.aggregator.loop import Aggregator
from nvtopo.cli import main
from nvtopo.cluster.inventory import Listed
from nvtopo.errors import ApiError
from nvtopo.kube import client as client_module
from nvtopo.kube.apply_queue import Outcome
from nvtopo.kube.client import Client, Response
from nvtopo.kube.gpu_pods import GpuPods
from nvtopo.kube.node_states import Nodes
from nvtopo.kube.reservations import Reservations
from nvtopo.kube.timestamps import rfc3339
from nvtopo.placement import pods as words
from tests import yaml_text
from tests.aggregator.running import PATIENCE, Script, running
from tests.cluster import machines
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child, free_port
from tests.placement.seeds import seeded

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DAEMONSET: Final = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
COMPONENT: Final = ("components/gangs/rbac.yaml", "components/gangs/admission.yaml")
SPACE: Final = "gangs"
PODS: Final = f"/api/v1/namespaces/{SPACE}/pods"
JOBS: Final = f"/apis/batch/v1/namespaces/{SPACE}/jobs"
GPU: Final = "nvidia.com/gpu"
TRAYS: Final = 16
FIRST: Final = 50
"""The first rack: other tests have nodes and pods on lower ones."""
MANY: Final = int(os.environ.get("NVTOPO_GANGS", "4"))
KILLS: Final = int(os.environ.get("NVTOPO_GANG_KILLS", "3"))
RACKS: Final = -(-MANY // 4)
"""Four gangs of 8 pods with 2 GPUs each fill an NVLink domain of 16 trays."""


class Mortal(Client):
    """A client that is cut off after so many patches, as a process that is killed."""

    left: int | None = None
    killed = False

    def request(self, method: str, path: str, **more: Any) -> Response:
        if method == "PATCH" and self.left is not None:
            self.killed |= self.left == 0
            self.left -= 1
        if self.killed:
            raise ApiError("killed", status=0)
        return super().request(method, path, **more)


class Lab:
    """A control plane with the aggregator's rights, its nodes, and keepers of gangs."""

    def __init__(self, plane: ControlPlane, aggregator: Aggregator) -> None:
        self.plane = plane
        self.api = plane.api()
        self.aggregator = aggregator
        self.kubeconfig = plane.kubeconfig(plane.service_account_token("nvtopo", "nvtopo-aggregator"))

    @contextmanager
    def keeper(self, patches: int | None = None) -> Iterator[tuple[GangKeeper, Desk]]:
        """One that leads, until it is cut off after so many patches."""
        stop, counted = threading.Event(), CountedPods()
        with client_module.connect(self.kubeconfig) as plain:
            client = Mortal(plain._session.connection)
            client.left = patches
            books = Reservations(client, "nvtopo", time.time)
            graph: Callable[[], Any] = lambda: self.aggregator.graph  # noqa: E731
            desk = Desk(graph, books, time.time, counted=counted.counted)
            mover = GangMover(Nodes(client), graph, time.time)
            keeper = GangKeeper(GpuPods(client), counted, desk, client, term=lambda: 1, graph=graph, mover=mover)
            loops = (keeper.run, keeper.applier.run, mover.run)
            threads = [threading.Thread(target=run, args=(stop,)) for run in loops]
            for thread in threads:
                thread.start()
            try:
                yield keeper, desk
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
                client.close()

    def gang(self, name: str, pods: int, gpus: int = 2, wishes: str = "required: nvlinkDomain") -> None:
        for number in range(pods):
            self.pod(name, number, f"{name}-{number}", pods, gpus, wishes)

    def pod(self, gang: str, number: int, name: str, size: int, gpus: int, wishes: str) -> None:  # noqa: PLR0913, PLR0917
        template = self._template(gang, size, gpus, wishes)
        template["metadata"]["name"] = name
        template["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] = str(number)
        self.api.create(PODS, template)

    @staticmethod
    def _template(gang: str, size: int, gpus: int, wishes: str) -> kube.Json:
        resources = {"requests": {GPU: str(gpus)}, "limits": {GPU: str(gpus)}}
        labels, notes = {words.GANG: gang, words.SIZE: str(size)}, {words.WISHES: wishes}
        containers = [{"name": "main", "image": "none", "resources": resources}]
        spec = {"schedulingGates": [{"name": words.GATE}], "containers": containers}
        return {"metadata": {"labels": labels, "annotations": notes}, "spec": spec}

    def job(self, name: str, size: int, gpus: int, wishes: str = "required: nvlinkDomain") -> None:
        """An Indexed Job."""
        template = self._template(name, size, gpus, wishes)
        template["spec"]["restartPolicy"] = "Never"
        spec = {"completions": size, "parallelism": size, "completionMode": "Indexed", "template": template}
        self.api.create(JOBS, {"metadata": {"name": name}, "spec": spec})

    def ready(self, node: str, *, since: float | None = None) -> None:
        """A node is Ready, or was not since so many seconds ago: its kubelet is not heard."""
        condition = {"type": "Ready", "status": "True", "reason": "Lab"}
        if since is not None:
            condition |= {"status": "Unknown", "lastTransitionTime": rfc3339(time.time() - since)}
        self.api.patch(f"/api/v1/nodes/{node}/status", {"status": {"conditions": [condition]}}, kind="merge")

    def pods(self, gang: str) -> list[kube.Json]:
        """In the order of their index."""
        found = self.api.get(f"{PODS}?labelSelector={words.GANG}%3D{gang}")["items"]
        return sorted(found, key=lambda pod: int(pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]))

    @staticmethod
    def refused(account: kube.Api, pod: str, change: Any, why: str) -> bool:
        """Whether a policy refuses a change of one pod, for that reason and as one that says nothing of the account."""
        try:
            account.patch(f"{PODS}/{pod}?dryRun=All", change, kind="json" if isinstance(change, list) else "merge")
        except kube.ApiError as error:
            return error.status == 422 and why in str(error)
        return False

    def bound(self, gang: str) -> list[kube.Json] | None:
        """The pods, once all of them have a node."""
        found = self.pods(gang)
        return found if found and all(pod["spec"].get("nodeName") for pod in found) else None

    def delete(self, gang: str) -> None:
        for pod in self.pods(gang):
            self.api.delete(f"{PODS}/{pod['metadata']['name']}")

    def ledger(self) -> dict[str, Any]:
        """What is reserved, as the administrator reads it."""
        with client_module.connect(self.plane.admin_kubeconfig) as client:
            return dict(Reservations(client, "nvtopo", time.time).do(lambda ledger: dict(ledger.reservations)))


def notes(pod: kube.Json) -> dict[str, str]:
    return dict(pod["metadata"].get("annotations", {}))


def is_as_reserved(pods: list[kube.Json]) -> bool:
    """Ranks in the order of the indices, no GPU twice, each pod where its affinity says, all in one rack."""
    ranks = [int(notes(pod)[words.RANK]) for pod in pods]
    gpus = [(pod["spec"]["nodeName"], gpu) for pod in pods for gpu in notes(pod)[words.GPUS].split(",")]
    racks = {pod["spec"]["nodeName"].rpartition("-")[0] for pod in pods}
    return ranks == list(range(len(pods))) and len(gpus) == len({*gpus}) and len(racks) == 1


@pytest.fixture(name="lab", scope="module")
def _lab(control_plane: ControlPlane) -> Iterator[Lab]:
    api = control_plane.api()
    for manifest in ("rbac.yaml", *COMPONENT):
        for document in yaml_text.read_all((DAEMONSET / manifest).read_text(encoding="utf-8")):
            api.apply(document)
    kube.create_namespace(api, SPACE)
    nodes = {
        machines.name(rack, at): machines.tray(rack, at) for rack in range(FIRST, FIRST + RACKS) for at in range(TRAYS)
    }
    for name in nodes:
        kube.create_node(api, name, allocatable={GPU: "4"})
    with ExitStack() as stack:
        aggregator = stack.enter_context(running(Script(Listed(nodes))))
        assert aggregator.wait(0, PATIENCE) is not None
        yield Lab(control_plane, aggregator)
    for name in nodes:
        api.delete(f"/api/v1/nodes/{name}")
    for manifest in COMPONENT:
        for document in yaml_text.read_all((DAEMONSET / manifest).read_text(encoding="utf-8")):
            api.delete(api.path_of(document))


def test_gangs_are_bound_whole_or_not_at_all(lab: Lab) -> None:
    names = [f"full-{number}" for number in range(MANY)]
    with lab.keeper() as (keeper, desk):
        lab.gang("huge", TRAYS + 1, 4)
        for name in names:
            lab.gang(name, 8)
        for name in names:
            found = kube.wait_for(lambda name=name: lab.bound(name), what=f"{name} bound", seconds=120)  # type: ignore[misc]
            assert len(found) == 8
            assert is_as_reserved(found)

        def reason() -> str:
            return notes(lab.pods("huge")[0]).get(words.STATUS, "")

        said = kube.wait_for(
            lambda: reason() if f"{TRAYS + 1} pods" in reason() else None, what="the reason of the large gang"
        )
        assert f"no nvlinkDomain has room for all {TRAYS + 1} pods of the gang" in said
        assert not any(pod["spec"].get("nodeName") for pod in lab.pods("huge"))
        assert keeper.figures == (1, MANY)
        lab.delete("huge")
        for name in names:
            lab.delete(name)
        kube.wait_for(lambda: keeper.figures == (0, 0), what="all reservations released")
        assert not desk.held("gang:")
    assert not lab.ledger()


def test_a_pod_that_comes_for_one_that_is_gone_gets_its_gpus(lab: Lab) -> None:
    with lab.keeper():
        lab.gang("again", 4)
        before = kube.wait_for(lambda: lab.bound("again"), what="the gang bound")
        lab.api.delete(f"{PODS}/again-2")
        lab.pod("again", 2, "again-2-b", 4, 2, "required: nvlinkDomain")
        after = kube.wait_for(lambda: lab.bound("again"), what="the new pod bound")
        assert [notes(pod)[words.GPUS] for pod in after] == [notes(pod)[words.GPUS] for pod in before]
        assert [pod["spec"]["nodeName"] for pod in after] == [pod["spec"]["nodeName"] for pod in before]
        assert after[2]["metadata"]["name"] == "again-2-b"
        lab.delete("again")
        kube.wait_for(lambda: not lab.ledger(), what="the reservation released")


def places(pods: list[kube.Json]) -> dict[int, tuple[str, str]]:
    """Rank → node and GPUs, as the pods say."""
    return {int(notes(pod)[words.RANK]): (pod["spec"]["nodeName"], notes(pod)[words.GPUS]) for pod in pods}


def test_a_pod_whose_node_is_lost_goes_to_the_nearest_one_of_its_domain_and_the_others_stay(lab: Lab) -> None:
    lab.job("moves", 3, 4)
    with lab.keeper():
        before = places(kube.wait_for(lambda: lab.bound("moves"), what="the gang bound", seconds=60))
    lost = before[1][0]
    lab.ready(lost, since=600)
    old = next(pod["metadata"]["name"] for pod in lab.pods("moves") if pod["spec"]["nodeName"] == lost)
    lab.api.request("DELETE", f"{PODS}/{old}")  # nothing ends it there: it stays, and the Job makes another one

    def moved_to() -> str | None:
        (held,) = lab.ledger().values()
        return held.answer.ranks[1].node if held.answer.ranks[1].node != lost else None

    try:
        with lab.keeper(patches=0):  # it ends once the ledger is written
            node = kube.wait_for(moved_to, what="another place", seconds=60)
        trays = [machines.name(FIRST, at) for at in range(TRAYS)]
        free = [tray for tray in trays if tray not in {where for where, _gpus in before.values()}]
        assert node == min(free, key=lambda tray: abs(trays.index(tray) - trays.index(lost)))

        def here() -> list[kube.Json] | None:
            found = [pod for pod in lab.pods("moves") if pod["metadata"]["name"] != old]
            return found if len(found) == 3 and all(pod["spec"].get("nodeName") for pod in found) else None

        with lab.keeper():
            after = places(kube.wait_for(here, what="the new pod bound", seconds=60))
        assert after == before | {1: (node, before[1][1])}
    finally:
        lab.ready(lost)
        lab.api.request("DELETE", f"{JOBS}/moves?propagationPolicy=Background")

    def over() -> bool:
        lab.delete("moves")
        return not lab.ledger()

    with lab.keeper():
        kube.wait_for(over, what="the reservation released")


def test_a_part_that_fits_nowhere_waits_and_says_why(lab: Lab) -> None:
    with lab.keeper() as (keeper, _desk):
        lab.gang("stays", TRAYS, 4)
        before = kube.wait_for(lambda: lab.bound("stays"), what="the gang bound", seconds=60)
        node = before[2]["spec"]["nodeName"]
        lab.ready(node, since=600)
        lab.api.delete(f"{PODS}/stays-2")
        lab.pod("stays", 2, "stays-2-b", TRAYS, 4, "required: nvlinkDomain")

        def said() -> str | None:
            return notes(lab.pods("stays")[2]).get(words.STATUS)

        found = kube.wait_for(said, what="why it waits")
        assert found == (
            f"node {node} is not Ready; no node of its nvlinkDomain has room for 4 GPUs in place of those of {node}"
        )
        lab.ready(node)
        after = kube.wait_for(lambda: lab.bound("stays"), what="the new pod bound", seconds=60)
        assert places(after) == places(before)
        assert keeper.moved == 0
        lab.delete("stays")
        kube.wait_for(lambda: not lab.ledger(), what="the reservation released")


def test_gpus_of_other_pods_are_not_given(lab: Lab) -> None:
    taken = machines.name(FIRST, 0)
    kube.create_pod(lab.api, SPACE, "other", requests={GPU: "3"}, nodeName=taken)
    with lab.keeper():
        lab.gang("beside", TRAYS - 1, 4)
        found = kube.wait_for(lambda: lab.bound("beside"), what="the gang bound")
        assert taken not in {pod["spec"]["nodeName"] for pod in found}
        lab.delete("beside")
        kube.wait_for(lambda: not lab.ledger(), what="the reservation released")
    lab.api.delete(f"{PODS}/other")


def test_a_leader_that_is_killed_in_the_middle_leaves_no_half_gang(lab: Lab) -> None:
    draw = seeded(7)
    for number in range(KILLS):
        name = f"killed-{number}"
        lab.gang(name, 4)
        with lab.keeper(patches := draw.randrange(4)) as (keeper, _desk):
            kube.wait_for(
                lambda keeper=keeper: keeper.applier.figures.outcomes[Outcome.UNAVAILABLE] or None,  # type: ignore[misc]
                what="the kill",
            )
        opened = [pod for pod in lab.pods(name) if not pod["spec"].get("schedulingGates")]
        assert len(opened) <= patches
        with lab.keeper():
            found = kube.wait_for(lambda name=name: lab.bound(name), what=f"{name} bound", seconds=60)  # type: ignore[misc]
            assert len(found) == 4
            assert is_as_reserved(found)
            lab.delete(name)
            kube.wait_for(lambda: not lab.ledger(), what="the reservation released")


def test_a_gang_that_waits_too_long_is_opened_or_fails_as_it_says(lab: Lab) -> None:
    with lab.keeper():
        lab.gang("opens", 2, 5, "{timeoutSeconds: 0, onTimeout: open}")
        lab.gang("fails", 2, 5, "{timeoutSeconds: 0, onTimeout: fail}")

        def opened() -> bool:
            return not any(pod["spec"].get("schedulingGates") for pod in lab.pods("opens"))

        def failed() -> bool:
            return all(pod["status"].get("phase") == "Failed" for pod in lab.pods("fails"))

        kube.wait_for(opened, what="the gates lifted")
        kube.wait_for(failed, what="the pods failed")
        assert "no place was found in time" in lab.pods("fails")[0]["status"]["message"]
        assert not lab.ledger()
    lab.delete("opens")
    lab.delete("fails")


def test_release_lifts_the_gates_when_all_of_ours_is_gone(lab: Lab) -> None:
    lab.gang("left", 3, 1)
    config = str(lab.plane.admin_kubeconfig)
    asked = CliRunner().invoke(main, ["release", "left", "-n", SPACE, "--kubeconfig", config])
    assert (asked.exit_code, asked.output) == (0, "released 3 pods\n")
    found = kube.wait_for(lambda: lab.bound("left"), what="the pods bound by the scheduler alone")
    assert words.RANK not in notes(found[0])
    again = CliRunner().invoke(main, ["release", "--all", "--kubeconfig", config])
    assert (again.exit_code, again.output) == (1, "released 0 pods\n")
    lab.delete("left")


def test_the_program_leads_and_says_why_a_gang_waits(lab: Lab, tmp_path: Path) -> None:
    lab.api.apply_file(DAEMONSET / "crd.yaml")
    url = f"127.0.0.1:{free_port()}"
    given = ("--kubeconfig", str(lab.kubeconfig), "--listen", url, "--gangs")
    child = Child("aggregator", (sys.executable, "-m", "nvtopo", "aggregator", *given), log=tmp_path / "aggregator.log")
    try:
        lab.gang("lonely", 2, 1)
        found = kube.wait_for(lambda: notes(lab.pods("lonely")[0]).get(words.STATUS), what="why it waits", seconds=60)
        assert "has room for all 2 pods of the gang" in found
        with urllib.request.urlopen(f"http://{url}/metrics", timeout=PATIENCE) as answer:
            page = answer.read().decode()
        assert 'nvtopo_aggregator_gangs{state="waiting"} 1' in page
        assert 'nvtopo_aggregator_gang_writes_total{result="written"} 1' in page
    finally:
        child.stop()
        lab.delete("lonely")


def test_the_keeper_may_do_no_more_than_it_does(lab: Lab) -> None:
    account = lab.plane.api(lab.plane.service_account_token("nvtopo", "nvtopo-aggregator"))
    lab.gang("kept", 2, 9)
    with pytest.raises(kube.ApiError) as refused:
        account.request("DELETE", f"{PODS}/kept-0")
    assert refused.value.status == 403
    with pytest.raises(kube.ApiError) as unread:
        account.get(f"/api/v1/namespaces/{SPACE}/secrets")
    assert unread.value.status == 403
    lab.api.create(PODS, {"metadata": {"name": "other"}, "spec": {"containers": [{"name": "main", "image": "none"}]}})
    image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "worse"}]
    changes: tuple[tuple[str, str, Any, str], ...] = (
        ("other", "", {"metadata": {"annotations": {words.STATUS: "x"}}}, "pods of gangs only"),
        ("other", "/status", {"status": {"phase": "Failed"}}, "pods of gangs only"),
        ("kept-0", "", image, "its own gate and the node affinity only"),
        ("kept-0", "", {"metadata": {"labels": {"app": "x"}}}, "annotations of nvtopo.io only"),
        ("kept-0", "", {"metadata": {"annotations": {"example.com/x": "y"}}}, "annotations of nvtopo.io only"),
        ("kept-0", "/status", {"metadata": {"labels": {"app": "x"}}}, "annotations of nvtopo.io only"),
        ("kept-0", "/status", {"status": {"phase": "Running"}}, "one without a node failed"),
    )
    for name, path, change, why in changes:
        kube.wait_for(partial(lab.refused, account, name + path, change, why), what=f"{change} refused")
    lab.api.delete(f"{PODS}/other")
    lab.delete("kept")
    assert msgspec.json.encode(lab.ledger()) == b"{}"
