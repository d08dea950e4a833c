"""Gangs by claims where kube-scheduler has no binding conditions: pods of ours hold them until all have their GPUs.

The API server, scheduler and controllers are real, with the feature gates off. There is no kubelet: a pod that is bound
has its claim, and what a kubelet does to one that is to end is done here.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import pytest
from click.testing import CliRunner

from nvtopo.cli import main
from nvtopo.errors import ApiError
from nvtopo.gangs.steps import MakeHolder
from nvtopo.kube import holder_changes
from nvtopo.placement import pods as words
from nvtopo.placement.pods import GpuPod
from tests.aggregator import test_real_gang_claims as claims
from tests.aggregator.test_real_gang_claims import PODS, SIZE, SPACE, Lab, is_exact, is_refused, laboratory, uuid
from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.placement.seeds import seeded

pytestmark = [pytest.mark.lab, pytest.mark.slow]

OFF: Final = ("DRADeviceBindingConditions", "DRAConsumableCapacity")
COMPONENTS: Final = (
    *claims.COMPONENTS,
    *("components/gang-holders/rbac.yaml", "components/gang-holders/admission.yaml"),
)
HOLDERS: Final = f"{PODS}?labelSelector={words.HOLDER}"
KILLS: Final = 2
SECONDS: Final = 60.0


@pytest.fixture(name="lab", scope="module")
def _lab(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with (
        ControlPlane(lab_binaries, tmp_path_factory.mktemp("gates-off"), gates_off=OFF) as plane,
        laboratory(plane, COMPONENTS, "registry.k8s.io/pause:3.10") as lab,
        kubelet(lab),
    ):
        yield lab


@contextmanager
def kubelet(lab: Lab) -> Iterator[None]:
    """Lets pods go that are to end."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.1):
            for pod in lab.api.get(PODS)["items"]:
                if "deletionTimestamp" in pod["metadata"] and pod["spec"].get("nodeName"):
                    lab.api.delete(f"{PODS}/{pod['metadata']['name']}")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def allocated(lab: Lab) -> int:
    return sum(bool(claim.get("status", {}).get("allocation")) for claim in lab.claims())


def holders(lab: Lab) -> list[kube.Json]:
    return list(lab.api.get(HOLDERS)["items"])


def finished(lab: Lab, gang: str) -> None:
    """Nothing of ours is left but the claims, which the gang's own pods have; and after it nothing at all."""
    pods = lab.bound(gang)
    assert is_exact(lab, pods)
    kube.wait_for(lambda: not holders(lab), what="the holders gone")
    uids = {pod["metadata"]["uid"] for pod in pods}
    found = lab.claims()
    assert len(found) == SIZE
    assert {one["uid"] for claim in found for one in claim["status"]["reservedFor"]} == uids
    lab.end(gang)
    kube.wait_for(lab.empty, what="reservation and claims gone")


def lifts_seen(lab: Lab) -> tuple[list[int], Callable[[str, str, bytes], None]]:
    """How many claims had their GPUs when each gate was lifted, and what notes it."""
    seen: list[int] = []

    def before(method: str, _path: str, body: bytes) -> None:
        if method == "PATCH" and words.CLAIM.encode() in body:
            seen.append(allocated(lab))

    return seen, before


def test_a_job_gets_exactly_the_gpus_that_were_chosen_and_no_gate_is_lifted_before_all_are_held(lab: Lab) -> None:
    seen, before = lifts_seen(lab)
    with lab.keeper(before=before) as (keeper, _client):
        lab.job("exact")
        lab.bound("exact")
        assert keeper.barrier is False
        assert seen == [SIZE] * SIZE
        finished(lab, "exact")


def test_a_rival_leaves_nobody_bound_and_the_gang_is_placed_anew(lab: Lab) -> None:
    taken: list[str] = []
    bound: list[int] = []

    def before(method: str, path: str, body: bytes) -> None:
        """Somebody takes a GPU of the last holder once the others have theirs."""
        if method == "POST" and path == PODS and not taken and b"contested-3" in body:
            if allocated(lab) < SIZE - 1:
                raise ApiError("not yet", status=503)
            (reservation,) = lab.ledger().values()
            last = reservation.answer.ranks[-1]
            taken.append(uuid(last.node, last.gpus[0]))
            lab.rival("rival", taken)
        if method == "DELETE" and path.startswith(PODS) and taken:
            bound.append(sum(bool(pod["spec"].get("nodeName")) for pod in lab.pods("contested")))

    with lab.keeper(before=before):
        lab.gang("contested")
        pods = lab.bound("contested")
        assert taken[0] not in {gpu for pod in pods for gpu in lab.gpus_of(pod)}
        assert bound[: SIZE - 1] == [0] * (SIZE - 1), "those that held GPUs were deleted before anybody was bound"
        finished(lab, "contested")
    lab.end_rival("rival")


@pytest.mark.timeout(100 * (KILLS + 1))
def test_a_leader_that_is_killed_in_the_middle_leaves_no_half_gang_and_nothing_behind(lab: Lab) -> None:
    """Its writes: class, slice and ledger; then for each pod claim, holder, gate, and the holder's end."""
    draw = seeded(5)
    for number in range(KILLS):
        name = f"killed-{number}"
        lab.gang(name)
        with lab.keeper(writes=draw.randrange(3, 3 + 4 * SIZE)) as (_keeper, client):
            assert client.killed.wait(SECONDS)
        if any(pod["spec"].get("nodeName") for pod in lab.pods(name)):
            assert allocated(lab) == SIZE
        with lab.keeper():
            finished(lab, name)


def test_a_quota_that_refuses_holders_leaves_no_gpu_reserved_and_says_so(lab: Lab) -> None:
    path = f"/api/v1/namespaces/{SPACE}/resourcequotas"
    lab.api.create(path, {"metadata": {"name": "few"}, "spec": {"hard": {"pods": str(SIZE + 1)}}})
    kube.wait_for(lambda: lab.api.get(f"{path}/few").get("status", {}).get("hard"), what="the quota counted")
    with lab.keeper() as (keeper, _client):
        lab.gang("over")
        said = kube.wait_for(lambda: status(lab, "over"), what="why it waits", seconds=SECONDS)
        assert said.startswith("a pod that is to hold its GPUs is refused, so they are given back: POST")
        assert "exceeded quota: few" in said
        kube.wait_for(lab.empty, what="reservation and claims gone")
        kube.wait_for(lambda: not holders(lab), what="the holders gone")
        assert keeper.figures == (1, 0)
    lab.api.delete(f"{path}/few")
    with lab.keeper():  # who leads next tries at once
        finished(lab, "over")


def test_release_leaves_no_pod_waiting_when_all_of_ours_is_gone(lab: Lab) -> None:
    """The leader ends when all claims are held and no gate is lifted, and nobody comes after it."""
    lab.gang("left")
    with lab.keeper() as (_keeper, client):

        def before(method: str, _path: str, body: bytes) -> None:
            if method == "PATCH" and words.CLAIM.encode() in body:
                client.killed.set()

        client.before = before
        assert client.killed.wait(SECONDS)
    config = str(lab.plane.admin_kubeconfig)
    asked = CliRunner().invoke(main, ["release", "left", "-n", SPACE, "--kubeconfig", config])
    assert (asked.exit_code, asked.output) == (0, f"released {SIZE} pods\n")
    lab.bound("left")
    assert len(holders(lab)) == SIZE, "they end by themselves"
    with lab.keeper():  # who comes back after all
        kube.wait_for(lambda: not holders(lab), what="the holders gone")
        lab.end("left")
        kube.wait_for(lab.empty, what="reservation and claims gone")


def status(lab: Lab, gang: str) -> str | None:
    said = lab.pods(gang)[0]["metadata"]["annotations"].get(words.STATUS)
    return said if said and "refused" in said else None


def test_the_strictest_namespace_takes_a_holder_and_the_aggregator_may_make_and_delete_no_other_pod(lab: Lab) -> None:
    account = lab.plane.api(lab.plane.service_account_token("nvtopo", "nvtopo-aggregator"))
    strict = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.create_namespace(lab.api, "strict")
    lab.api.patch("/api/v1/namespaces/strict", {"metadata": {"labels": strict}})
    owner = GpuPod(namespace="strict", name="g-0", uid="u", gpus=0)
    place = "/api/v1/namespaces/strict/pods"

    def refused(document: kube.Json, said: str) -> None:
        with pytest.raises(kube.ApiError, match=said):
            account.create(f"{place}?dryRun=All", document)

    def made() -> kube.Json:
        found: kube.Json = msgspec.json.decode(
            msgspec.json.encode(holder_changes.document(MakeHolder(owner, "c", "c-holder", "n"), "pause"))
        )
        return found

    kube.wait_for(lambda: account.create(f"{place}?dryRun=All", made()), what="a holder taken")
    nobody_s = made()
    nobody_s["metadata"]["labels"] = {}
    kube.wait_for(lambda: is_refused(account, place, nobody_s), what="the policy in force")
    (owned,) = made()["metadata"]["ownerReferences"]
    whose: tuple[kube.Json, ...] = (
        {"labels": {}},
        {"labels": {words.HOLDER: "", words.GANG: "g"}},
        {"ownerReferences": []},
        {"ownerReferences": [{**owned, "kind": "ReplicaSet", "apiVersion": "apps/v1"}]},
    )
    for change in whose:
        document = made()
        document["metadata"] |= change
        refused(document, "it makes and deletes pods that hold a claim of a gang only")
    (container,) = made()["spec"]["containers"]
    what: tuple[tuple[kube.Json, str], ...] = (
        ({"automountServiceAccountToken": True}, "what holds a claim"),
        ({"hostNetwork": True}, "has no token|PodSecurity"),
        ({"volumes": [{"name": "v", "emptyDir": {}}]}, "has no token"),
        ({"activeDeadlineSeconds": 901}, "ends by itself"),
        ({"nodeName": "n"}, "does nothing"),
        ({"initContainers": [{**container, "name": "first"}]}, "does nothing"),
        ({"containers": [{**container, "command": ["sh"]}]}, "does nothing"),
        ({"containers": [{**container, "resources": {"claims": [{"name": "gpus"}]}}]}, "does nothing"),
    )
    for change, said in what:
        document = made()
        document["spec"] |= change
        refused(document, said)
    kube.create_pod(lab.api, SPACE, "somebody-s")
    with pytest.raises(kube.ApiError, match="it makes and deletes pods that hold a claim of a gang only"):
        account.request("DELETE", f"{PODS}/somebody-s")
    lab.api.delete(f"{PODS}/somebody-s")
