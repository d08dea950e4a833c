"""Exact GPUs for gangs on the real API server, scheduler and controllers: by claims, and never half a gang.

No GPU driver runs: its ResourceSlices, and those of our plugin, are written as they would.
``NVTOPO_GANG_KILLS=30`` is the long form.
"""

import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
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
from nvtopo.aggregator.device_watch import DeviceWatch
from nvtopo.aggregator.followed_slices import FollowedSlices
from nvtopo.aggregator.gang_claimer import GangClaimer
from nvtopo.aggregator.gang_keeper import GangKeeper
from nvtopo.aggregator.gang_mover import GangMover
from nvtopo.aggregator.loop import Aggregator
from nvtopo.cli import main
from nvtopo.cluster.inventory import Listed
from nvtopo.errors import ApiError
from nvtopo.kube import client as client_module
from nvtopo.kube import gang_barrier
from nvtopo.kube.client import Client, Response
from nvtopo.kube.gpu_pods import GpuPods
from nvtopo.kube.node_states import Nodes
from nvtopo.kube.reservations import Reservations
from nvtopo.kube.resource_claims import FAILED, READY, ResourceClaims
from nvtopo.kube.resource_slices import ResourceSlices
from nvtopo.placement import pods as words
from tests import yaml_text
from tests.aggregator.running import PATIENCE, Script, running
from tests.cluster import machines
from tests.exporters.claims import SLICES, attributes, device_class, publish
from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child, free_port
from tests.lab.workloads import Workloads
from tests.placement.seeds import seeded

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DAEMONSET: Final = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
SPACE: Final = "gang-claims"
OTHERS: Final = "gang-rivals"
PODS: Final = f"/api/v1/namespaces/{SPACE}/pods"
JOBS: Final = f"/apis/batch/v1/namespaces/{SPACE}/jobs"
CLAIMS: Final = "/apis/resource.k8s.io/v1/namespaces/{}/resourceclaims"
GPUS: Final = "gpu.nvidia.com"
COMPONENTS: Final = (
    *("rbac.yaml", "components/gangs/rbac.yaml", "components/gang-claims/rbac.yaml"),
    *("components/gangs/admission.yaml", "components/gang-claims/admission.yaml"),
)
RACK: Final = 70
TRAYS: Final = 6
SIZE: Final = 4
INDEX: Final = "batch.kubernetes.io/job-completion-index"
OUTER: Final = "jobset.sigs.k8s.io/job-global-index"
GROUP: Final = "leaderworkerset.sigs.k8s.io/group-index"
WORKER: Final = "leaderworkerset.sigs.k8s.io/worker-index"
JOB_SETS: Final = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{SPACE}/jobsets"
LEADER_WORKER_SETS: Final = f"/apis/leaderworkerset.x-k8s.io/v1/namespaces/{SPACE}/leaderworkersets"
KILLS: Final = int(os.environ.get("NVTOPO_GANG_KILLS", "3"))
SECONDS: Final = 120.0


class Wire(Client):
    """A client whose writes can be looked at before they are sent, and that can be cut off as a process is killed."""

    before: Callable[[str, str, bytes], None] | None = None
    left: int | None = None
    killed: threading.Event
    at_a_time: threading.Lock

    def request(self, method: str, path: str, **more: Any) -> Response:
        if method in {"POST", "PATCH", "DELETE", "PUT"}:
            with self.at_a_time:
                if self.before is not None:
                    self.before(method, path, more.get("body") or b"")
            if self.left is not None:
                if self.left == 0:
                    self.killed.set()
                self.left -= 1
        if self.killed.is_set():
            raise ApiError("killed", status=0)
        return super().request(method, path, **more)


class Lab:
    """A control plane, nodes with published GPUs, and keepers of gangs with the aggregator's rights."""

    def __init__(self, plane: ControlPlane, aggregator: Aggregator, image: str) -> None:
        self.plane = plane
        self.api = plane.api()
        self.aggregator, self.image = aggregator, image
        self.kubeconfig = plane.kubeconfig(plane.service_account_token("nvtopo", "nvtopo-aggregator"))

    @contextmanager
    def keeper(
        self, writes: int | None = None, before: Callable[[str, str, bytes], None] | None = None
    ) -> Iterator[tuple[GangKeeper, Wire]]:
        """One that leads, until it is cut off after so many writes."""
        stop, counted = threading.Event(), CountedPods()
        with client_module.connect(self.kubeconfig) as plain:
            client = Wire(plain._session.connection)
            client.killed, client.at_a_time, client.left = threading.Event(), threading.Lock(), writes
            client.before = before
            graph: Callable[[], Any] = lambda: self.aggregator.graph  # noqa: E731
            slices = FollowedSlices(ResourceSlices(client))
            devices = DeviceWatch(slices, ResourceClaims(client), graph)
            books = Reservations(client, "nvtopo", time.time)
            desk = Desk(graph, books, time.time, counted=counted.counted, claimed=devices.claimed)
            claimer = GangClaimer(devices, client, graph, time.time, image=self.image)
            mover = GangMover(Nodes(client), graph, time.time)
            keeper = GangKeeper(
                GpuPods(client), counted, desk, client, term=lambda: 1, graph=graph, claimer=claimer, mover=mover
            )
            loops = (keeper.run, keeper.applier.run, mover.run, slices.run, devices.run)
            threads = [threading.Thread(target=run, args=(stop,)) for run in loops]
            for thread in threads:
                thread.start()
            try:
                yield keeper, client
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
                client.close()

    def gang(self, name: str, size: int = SIZE, wishes: str = "") -> None:
        """Bare pods."""
        for number in range(size):
            self.api.create(PODS, {"metadata": self._metadata(name, size, wishes, number), "spec": _spec()})

    def job(self, name: str, size: int = SIZE) -> None:
        """An Indexed Job."""
        template = {"metadata": self._metadata(name, size, "", None), "spec": {**_spec(), "restartPolicy": "Never"}}
        spec = {"completions": size, "parallelism": size, "completionMode": "Indexed", "template": template}
        self.api.create(JOBS, {"metadata": {"name": name}, "spec": spec})

    def _metadata(self, gang: str, size: int, wishes: str, number: int | None) -> kube.Json:
        labels = {words.GANG: gang, words.SIZE: str(size)}
        found: kube.Json = {"labels": labels, "annotations": {words.WISHES: wishes or "required: nvlinkDomain"}}
        if number is not None:
            labels[INDEX] = str(number)
            found["name"] = f"{gang}-{number}"
        return found

    def pods(self, gang: str) -> list[kube.Json]:
        """In the order of their owners' indices."""
        found = self.api.get(f"{PODS}?labelSelector={words.GANG}%3D{gang}")["items"]
        return sorted(found, key=_index)

    def bound(self, gang: str, size: int = SIZE) -> list[kube.Json]:
        """The pods, once all of them have a node."""

        def all_of_them() -> list[kube.Json] | None:
            found = [pod for pod in self.pods(gang) if "deletionTimestamp" not in pod["metadata"]]
            return found if len(found) == size and all(pod["spec"].get("nodeName") for pod in found) else None

        return kube.wait_for(all_of_them, what=f"{gang} bound", seconds=SECONDS)

    def claims(self, space: str = SPACE) -> list[kube.Json]:
        return list(self.api.get(CLAIMS.format(space))["items"])

    def gpus_of(self, pod: kube.Json) -> list[str]:
        """The UUIDs of the GPUs that its claim was given."""
        (status,) = pod["status"]["resourceClaimStatuses"]
        claim = self.api.get(f"{CLAIMS.format(pod['metadata']['namespace'])}/{status['resourceClaimName']}")
        results = claim["status"]["allocation"]["devices"]["results"]
        return sorted(uuid(one["pool"], int(one["device"][4:])) for one in results if one["driver"] == GPUS)

    def rival(self, name: str, uuids: list[str]) -> None:
        """A pod of somebody else that gets these GPUs."""
        expression = f'device.attributes["{GPUS}"].uuid in {msgspec.json.encode(uuids).decode()}'
        exactly = {
            "deviceClassName": GPUS,
            "allocationMode": "ExactCount",
            "count": len(uuids),
            "selectors": [{"cel": {"expression": expression}}],
        }
        devices = {"requests": [{"name": "gpus", "exactly": exactly}]}
        self.api.create(CLAIMS.format(OTHERS), {"metadata": {"name": name}, "spec": {"devices": devices}})
        kube.create_pod(self.api, OTHERS, name, resourceClaims=[{"name": "gpus", "resourceClaimName": name}])
        kube.wait_for(
            lambda: self.api.get(f"{CLAIMS.format(OTHERS)}/{name}").get("status", {}).get("allocation"),
            what="the rival's GPU",
        )

    def end(self, gang: str) -> None:
        self.api.delete(f"{JOBS}/{gang}")
        for pod in self.pods(gang):
            self.api.delete(f"{PODS}/{pod['metadata']['name']}")

    def end_rival(self, name: str) -> None:
        self.api.delete(f"/api/v1/namespaces/{OTHERS}/pods/{name}")
        self.api.delete(f"{CLAIMS.format(OTHERS)}/{name}")

    def ledger(self) -> dict[str, Any]:
        with client_module.connect(self.plane.admin_kubeconfig) as client:
            return dict(Reservations(client, "nvtopo", time.time).do(lambda ledger: dict(ledger.reservations)))

    def empty(self) -> bool:
        """Nothing is reserved and no claim is left."""
        return not self.ledger() and not self.claims()


def job_set(name: str, jobs: int, pods: int) -> kube.Json:
    """One gang of all pods of all of its jobs."""
    template = {"metadata": _labels(name, jobs * pods), "spec": {**_spec(), "restartPolicy": "Never"}}
    spec = {"completions": pods, "parallelism": pods, "completionMode": "Indexed", "template": template}
    replicated = {"name": "workers", "replicas": jobs, "template": {"spec": spec}}
    head = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": name}}
    return {**head, "spec": {"replicatedJobs": [replicated]}}


def leader_worker_set(name: str, groups: int, size: int) -> kube.Json:
    """Each group is a gang, and half of its pods are a subgroup."""
    template = {
        "size": size,
        "subGroupPolicy": {"subGroupSize": size // 2},
        "restartPolicy": "RecreateGroupOnPodRestart",
        "workerTemplate": {"metadata": _labels(name, size), "spec": _spec()},
    }
    head = {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": {"name": name}}
    return {**head, "spec": {"replicas": groups, "leaderWorkerTemplate": template}}


def _labels(gang: str, size: int) -> kube.Json:
    labels = {words.GANG: gang, words.SIZE: str(size)}
    return {"labels": labels, "annotations": {words.WISHES: "required: nvlinkDomain"}}


def _spec() -> kube.Json:
    claim = {"name": "gpus", "resourceClaimTemplateName": "nvtopo-gpus-2"}
    resources = {"claims": [{"name": "gpus"}]}
    return {
        "schedulingGates": [{"name": words.GATE}],
        "resourceClaims": [claim],
        "containers": [{"name": "main", "image": "none", "resources": resources}],
    }


def uuid(node: str, gpu: int) -> str:
    return machines.gpu(RACK, int(node.split("-")[1][1:]), gpu).uuid  # of a node, or of its pool


def chosen(pod: kube.Json) -> list[str]:
    """The UUIDs of the GPUs that the pod says it was given."""
    notes = pod["metadata"]["annotations"]
    return sorted(uuid(pod["spec"]["nodeName"], int(gpu)) for gpu in notes[words.GPUS].split(","))


def _index(pod: kube.Json) -> tuple[int, ...]:
    labels = pod["metadata"]["labels"]
    return tuple(int(labels.get(name, 0)) for name in (GROUP, OUTER, INDEX, WORKER))


def is_exact(lab: Lab, pods: list[kube.Json]) -> bool:
    """Ranks in order, each pod with the GPUs of its rank, and no GPU twice."""
    ranks = [int(pod["metadata"]["annotations"][words.RANK]) for pod in pods]
    gpus = [lab.gpus_of(pod) for pod in pods]
    every = [gpu for one in gpus for gpu in one]
    exact = gpus == [chosen(pod) for pod in pods]
    return exact and ranks == list(range(len(pods))) and len(every) == len({*every}) == 2 * len(pods)


@contextmanager
def laboratory(control_plane: ControlPlane, components: Sequence[str] = COMPONENTS, image: str = "") -> Iterator[Lab]:
    """All of it; ``image`` is that of pods that hold claims where no barrier does."""
    api = control_plane.api()
    made = [api.apply(device_class(GPUS, GPUS))]
    for manifest in components:
        for document in yaml_text.read_all((DAEMONSET / manifest).read_text(encoding="utf-8")):
            made += [api.apply(document)] if manifest != "rbac.yaml" else []
            if manifest == "rbac.yaml":
                api.apply(document)
    for space in (SPACE, OTHERS):
        kube.create_namespace(api, space)
    nodes = {machines.name(RACK, at): machines.tray(RACK, at) for at in range(TRAYS)}
    for name, node in nodes.items():
        kube.create_node(api, name)
        devices = [{"name": f"gpu-{gpu.index}", "attributes": attributes({"uuid": gpu.uuid})} for gpu in node.gpus]
        publish(api, GPUS, name, devices)
        publish_plugin(api, name)
    with ExitStack() as stack:
        aggregator = stack.enter_context(running(Script(Listed(nodes))))
        assert aggregator.wait(0, PATIENCE) is not None
        yield Lab(control_plane, aggregator, image)
    for name in nodes:
        for driver in (GPUS, "topo.nvtopo.io"):
            api.delete(f"{SLICES}/{name}-{driver.replace('.', '-')}")
        api.delete(f"/api/v1/nodes/{name}")
    with client_module.connect(control_plane.admin_kubeconfig) as client:
        gang_barrier.remove(client)
    for document in made:
        api.delete(api.path_of(document))


@pytest.fixture(name="lab", scope="module")
def _lab(control_plane: ControlPlane) -> Iterator[Lab]:
    with laboratory(control_plane) as lab:
        yield lab


@pytest.fixture(name="workloads", scope="module")
def _workloads(lab: Lab, workload_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workloads]:
    directory = tmp_path_factory.mktemp("workloads")
    with Workloads(workload_binaries, lab.plane, directory, SPACE) as controllers:
        yield controllers


def test_a_job_gets_exactly_the_gpus_that_were_chosen_and_a_pod_that_restarts_gets_them_back(lab: Lab) -> None:
    with lab.keeper() as (keeper, _client):
        lab.job("exact")
        pods = lab.bound("exact")
        assert is_exact(lab, pods)
        assert not any(pod["spec"].get("affinity") for pod in pods), "the claim says the node"
        before = lab.gpus_of(pods[2])
        lab.api.delete(f"{PODS}/{pods[2]['metadata']['name']}")
        again = lab.bound("exact")
        assert again[2]["metadata"]["uid"] != pods[2]["metadata"]["uid"]
        assert lab.gpus_of(again[2]) == before
        assert is_exact(lab, again)
        assert keeper.figures == (0, 1)
        lab.end("exact")
        kube.wait_for(lab.empty, what="reservation and claims gone")


@contextmanager
def barrier_seen(lab: Lab, gang: str) -> Iterator[tuple[GangKeeper, Callable[[], None]]]:
    """A keeper, and what asserts that it opened no pod before all of its gang had their GPUs, and did open some."""
    given: list[tuple[int, int]] = []

    def before(_method: str, path: str, body: bytes) -> None:
        if path.endswith("/status") and READY.encode() in body:
            mine = f"/{path.split('/')[-2]}".partition(".nvtopo-")[0]
            group = next((_index(pod)[0] for pod in lab.pods(gang) if pod["metadata"]["name"] == mine[1:]), 0)
            names = {pod["metadata"]["name"] for pod in lab.pods(gang) if _index(pod)[0] == group}
            claims = [one for one in lab.claims() if one["metadata"]["ownerReferences"][0]["name"] in names]
            given.append((sum(bool(one.get("status", {}).get("allocation")) for one in claims), len(names)))

    def held() -> None:
        assert given
        assert all(allocated == pods for allocated, pods in given), given

    with lab.keeper(before=before) as (keeper, _client):
        yield keeper, held


def test_a_job_set_gets_exactly_the_gpus_that_were_chosen(lab: Lab, workloads: Workloads) -> None:
    """Ranks count the pods of its first job first."""
    assert workloads.children
    with barrier_seen(lab, "set") as (keeper, held):
        lab.api.create(JOB_SETS, job_set("set", 2, 2))
        pods = lab.bound("set")
        held()
        assert [_index(pod) for pod in pods] == [(0, 0, 0, 0), (0, 0, 1, 0), (0, 1, 0, 0), (0, 1, 1, 0)]
        assert is_exact(lab, pods)
        assert keeper.figures == (0, 1)
        lab.api.delete(f"{JOB_SETS}/set")
        lab.end("set")
        kube.wait_for(lab.empty, what="reservation and claims gone")


def test_each_group_of_a_leader_worker_set_gets_exactly_its_gpus_and_so_it_does_when_it_is_made_anew(
    lab: Lab, workloads: Workloads
) -> None:
    """A pod that is deleted takes its group with it, and the other group runs on."""
    assert workloads.children
    with barrier_seen(lab, "lws") as (keeper, held):
        lab.api.create(LEADER_WORKER_SETS, leader_worker_set("lws", 2, 4))
        both = lab.bound("lws", 8)
        held()
        groups = both[:4], both[4:]
        assert [[_index(pod)[0] for pod in group] for group in groups] == [[0] * 4, [1] * 4]
        assert all(is_exact(lab, group) for group in groups)
        assert len({gpu for pod in both for gpu in lab.gpus_of(pod)}) == 16
        assert keeper.figures == (0, 2)
        lab.api.request("DELETE", f"{PODS}/{groups[1][2]['metadata']['name']}")
        old = {pod["metadata"]["uid"] for pod in groups[1]}

        def anew() -> list[kube.Json] | None:
            """As the kubelet, let pods go that are to end."""
            found = lab.pods("lws")
            for pod in found:
                if "deletionTimestamp" in pod["metadata"]:
                    lab.api.delete(f"{PODS}/{pod['metadata']['name']}")
            made = [pod for pod in found if pod["metadata"]["uid"] not in old]
            return made if len(made) == 8 and all(pod["spec"].get("nodeName") for pod in made) else None

        after = kube.wait_for(anew, what="the group made anew", seconds=SECONDS)
        assert is_exact(lab, after[4:])
        assert [lab.gpus_of(pod) for pod in after[:4]] == [lab.gpus_of(pod) for pod in groups[0]]
        assert {pod["metadata"]["uid"] for pod in groups[0]} == {pod["metadata"]["uid"] for pod in after[:4]}
        lab.api.delete(f"{LEADER_WORKER_SETS}/lws")
        kube.wait_for(lambda: not anew() and not lab.pods("lws"), what="the pods gone")


def test_pods_whose_node_is_drained_get_claims_of_the_nearest_node_s_gpus_and_the_others_keep_theirs(lab: Lab) -> None:
    with lab.keeper() as (keeper, _client):
        lab.job("drained")
        pods = lab.bound("drained")
        lost, before = pods[0]["spec"]["nodeName"], [lab.gpus_of(pod) for pod in pods]
        drained = [at for at, pod in enumerate(pods) if pod["spec"]["nodeName"] == lost]
        trays = [machines.name(RACK, at) for at in range(TRAYS)]
        others = {pod["spec"]["nodeName"] for pod in pods}
        nearest = min(
            (tray for tray in trays if tray not in others), key=lambda tray: abs(trays.index(tray) - trays.index(lost))
        )
        lab.api.patch(f"/api/v1/nodes/{lost}", {"spec": {"unschedulable": True}})
        try:
            for at in drained:
                lab.api.delete(f"{PODS}/{pods[at]['metadata']['name']}")
            after = lab.bound("drained")
            assert [pod["spec"]["nodeName"] for pod in after] == [
                nearest if at in drained else pod["spec"]["nodeName"] for at, pod in enumerate(pods)
            ]
            assert is_exact(lab, after)
            assert [lab.gpus_of(pod) for at, pod in enumerate(after) if at not in drained] == [
                gpus for at, gpus in enumerate(before) if at not in drained
            ]
            assert keeper.moved == len(drained)
        finally:
            lab.api.patch(f"/api/v1/nodes/{lost}", {"spec": {"unschedulable": None}})
            lab.end("drained")
        kube.wait_for(lab.empty, what="reservation and claims gone")


def test_a_rival_that_takes_a_gpu_in_between_leaves_nobody_bound_and_the_gang_is_placed_anew(lab: Lab) -> None:
    taken: list[str] = []
    bound_when_given_back: dict[str, list[int]] = {}

    def before(_method: str, path: str, body: bytes) -> None:
        """The last gate is not lifted before the others have their GPUs, and somebody else has taken one of its own."""
        if path.endswith(f"/pods/contested-{SIZE - 1}") and not taken and b"nvtopo.io/claim" in body:
            if sum(bool(claim.get("status", {}).get("allocation")) for claim in lab.claims()) < SIZE - 1:
                raise ApiError("not yet", status=503)
            (reservation,) = lab.ledger().values()
            last = reservation.answer.ranks[-1]
            taken.append(uuid(last.node, last.gpus[0]))
            lab.rival("rival", taken)
        if path.endswith("/status") and FAILED.encode() in body:
            bound = sum(bool(pod["spec"].get("nodeName")) for pod in lab.pods("contested"))
            bound_when_given_back.setdefault(path, []).append(bound)

    with lab.keeper(before=before):
        lab.gang("contested")
        pods = lab.bound("contested")
        assert is_exact(lab, pods)
        assert taken[0] not in {gpu for pod in pods for gpu in lab.gpus_of(pod)}
        assert len(bound_when_given_back) == SIZE - 1, f"those that had their GPUs: {bound_when_given_back}"
        assert {bound for each in bound_when_given_back.values() for bound in each} == {0}
        assert len(lab.claims()) == SIZE
        lab.end("contested")
        kube.wait_for(lab.empty, what="reservation and claims gone")
    lab.end_rival("rival")


def test_a_quota_of_claims_that_is_used_up_leaves_no_gpu_reserved(lab: Lab) -> None:
    quotas, claims = f"/api/v1/namespaces/{SPACE}/resourcequotas", "count/resourceclaims.resource.k8s.io"
    lab.api.create(quotas, {"metadata": {"name": "few"}, "spec": {"hard": {claims: str(SIZE - 1)}}})
    kube.wait_for(lambda: lab.api.get(f"{quotas}/few").get("status", {}).get("hard"), what="the quota counted")
    try:
        with lab.keeper():
            lab.gang("above")

            def said() -> str:
                return str(lab.pods("above")[0]["metadata"]["annotations"].get(words.STATUS, ""))

            refused = "a claim is refused, so its GPUs are given back: "
            kube.wait_for(lambda: said().startswith(refused) and "exceeded quota: few" in said(), what="why it waits")
            kube.wait_for(lab.empty, what="reservation and claims gone")
            assert not any(pod["spec"].get("nodeName") for pod in lab.pods("above"))
            lab.end("above")
    finally:
        lab.api.delete(f"{quotas}/few")


def test_without_our_plugin_on_the_nodes_gpus_are_exact_and_the_affinity_says_the_node(lab: Lab) -> None:
    """The kubelet would ask it to prepare a claim on the device of gangs."""
    nodes = [machines.name(RACK, at) for at in range(TRAYS)]
    for node in nodes:
        lab.api.delete(f"{SLICES}/{node}-topo-nvtopo-io")
    with lab.keeper():
        lab.gang("plain")
        pods = lab.bound("plain")
        assert is_exact(lab, pods)
        assert all("nodeAffinity" in pod["spec"]["affinity"] for pod in pods)
        assert not any(words.CLAIM in pod["metadata"]["annotations"] for pod in pods)
        assert {len(claim["spec"]["devices"]["requests"]) for claim in lab.claims()} == {1}
        lab.end("plain")
        kube.wait_for(lab.empty, what="reservation and claims gone")
    for node in nodes:
        publish_plugin(lab.api, node)


def publish_plugin(api: kube.Api, node: str) -> None:
    """A device of our driver on the node, as its plugin publishes them."""
    publish(api, "topo.nvtopo.io", node, [{"name": "node", "attributes": attributes({"type": "node-shadow"})}])


def test_gpus_that_other_claims_hold_are_not_given(lab: Lab) -> None:
    nodes = [machines.name(RACK, at) for at in range(TRAYS - 2)]
    for node in nodes:
        lab.rival(node, [uuid(node, gpu) for gpu in range(4)])
    with lab.keeper():
        lab.gang("beside")
        found = {pod["spec"]["nodeName"] for pod in lab.bound("beside")}
        assert not found & {*nodes}
        lab.gang("waits", 2)
        said = kube.wait_for(
            lambda: lab.pods("waits")[0]["metadata"]["annotations"].get(words.STATUS), what="why the other waits"
        )
        assert "2 pods" in said
        lab.end("beside")
        lab.bound("waits", 2)
        lab.end("waits")
        kube.wait_for(lab.empty, what="reservation and claims gone")
    for node in nodes:
        lab.end_rival(node)


@pytest.mark.timeout(100 * (KILLS + 1))
def test_a_leader_that_is_killed_in_the_middle_leaves_no_half_gang_and_no_claim_behind(lab: Lab) -> None:
    """Its writes: class, slice and ledger; then for each pod the claim, the gate, and the condition."""
    draw = seeded(11)
    for number in range(KILLS):
        name = f"killed-{number}"
        lab.gang(name)
        with lab.keeper(writes=draw.randrange(3, 3 + 3 * SIZE)) as (_keeper, client):
            assert client.killed.wait(SECONDS)
        nodes = [pod["spec"].get("nodeName") for pod in lab.pods(name)]
        if any(nodes):  # then all have their GPUs
            assert all(claim.get("status", {}).get("allocation") for claim in lab.claims())
        with lab.keeper():
            assert is_exact(lab, lab.bound(name))
            assert len(lab.claims()) == SIZE
            assert [*lab.ledger()] == [f"gang:{SPACE}/{name}"]
            lab.end(name)
            kube.wait_for(lab.empty, what="reservation and claims gone")


@pytest.mark.parametrize("opened", [0, 1])
def test_release_leaves_no_pod_waiting_when_all_of_ours_is_gone(lab: Lab, opened: int) -> None:
    """The leader ends when all pods have their GPUs, or one of them is let go, and nobody comes after it."""
    name = f"left-{opened}"
    lab.gang(name)
    lab.gang("gated", 1, "nodeSelector: {nowhere: at-all}")
    count = iter(range(SIZE + 1))
    with lab.keeper() as (_keeper, client):

        def before(_method: str, path: str, body: bytes) -> None:
            if path.endswith("/status") and READY.encode() in body and next(count) >= opened:
                client.killed.set()

        client.before = before
        assert client.killed.wait(SECONDS)
    config = str(lab.plane.admin_kubeconfig)
    asked = CliRunner().invoke(main, ["release", "--all", "-n", SPACE, "--kubeconfig", config])
    assert asked.exit_code == 0, asked.output
    lab.bound(name)
    lab.bound("gated", 1)
    again = CliRunner().invoke(main, ["release", "--all", "--kubeconfig", config])
    assert (again.exit_code, again.output) == (1, "released 0 pods\n")
    assert lab.api.find(f"{SLICES}/{gang_barrier.NAME}") is None
    assert lab.api.find(gang_barrier.CLASS) is None
    with lab.keeper() as (keeper, _client):
        kube.wait_for(lambda: keeper.figures.placed or None, what="the leader to find the reservation")
        lab.end(name)
        lab.end("gated")
        kube.wait_for(lab.empty, what="reservation and claims gone")


def test_the_program_publishes_the_device_of_gangs_and_says_so(lab: Lab, tmp_path: Path) -> None:
    lab.api.apply_file(DAEMONSET / "crd.yaml")
    url = f"127.0.0.1:{free_port()}"
    given = ("--kubeconfig", str(lab.kubeconfig), "--listen", url, "--gangs", "--gang-claims")
    child = Child("aggregator", (sys.executable, "-m", "nvtopo", "aggregator", *given), log=tmp_path / "aggregator.log")

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://{url}/metrics", timeout=PATIENCE) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    try:
        kube.wait_for(lambda: "nvtopo_aggregator_gang_barrier 1" in page(), what="the barrier on the page")
        lab.gang("lonely", 2)
        said = kube.wait_for(lambda: lab.pods("lonely")[0]["metadata"]["annotations"].get(words.STATUS), what="why")
        assert "2 pods" in said, "the program has no NodeTopology"
        assert lab.api.get(f"{SLICES}/{gang_barrier.NAME}")["spec"]["devices"][0]["bindingConditions"] == [READY]
        assert "nvtopo_aggregator_gangs_held 0" in page()
    finally:
        child.stop()
        lab.end("lonely")


def is_refused(account: kube.Api, path: str, document: kube.Json) -> bool:
    """Whether it may not be made: a policy is in force some moments after it was written."""
    try:
        account.create(f"{path}?dryRun=All", document)
    except kube.ApiError:
        return True
    return False


def test_the_aggregator_may_do_no_more_than_it_does(lab: Lab) -> None:
    account = lab.plane.api(lab.plane.service_account_token("nvtopo", "nvtopo-aggregator"))
    request = {"name": "gpus", "exactly": {"deviceClassName": GPUS, "allocationMode": "ExactCount", "count": 1}}
    claim = {"metadata": {"name": "nobody-s"}, "spec": {"devices": {"requests": [request]}}}
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    slice_of = {"metadata": {"name": "x"}, "spec": {"driver": GPUS, "pool": pool, "allNodes": True, "devices": []}}
    for path, document in ((CLAIMS.format(SPACE), claim), (SLICES, slice_of)):
        kube.wait_for(partial(is_refused, account, path, document), what="the policy in force")
        with pytest.raises(kube.ApiError, match="nvtopo-aggregator: it writes") as refused:
            account.create(f"{path}?dryRun=All", document)
        assert refused.value.status in {403, 422}
    lab.api.create(CLAIMS.format(SPACE), claim)
    with pytest.raises(kube.ApiError, match="nvtopo-aggregator: it writes claims that belong to pods of gangs only"):
        account.delete(f"{CLAIMS.format(SPACE)}/nobody-s")
    lab.api.delete(f"{CLAIMS.format(SPACE)}/nobody-s")
