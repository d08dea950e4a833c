"""ResourceClaims as the API server has them, and what is asked of it about those of a gang's pods."""

from typing import Any, Final, cast

import msgspec
import pytest

from nvtopo.errors import ApiError, Conflict, NotFound, ParseError, ReadError
from nvtopo.gangs.steps import ClaimStep, DropClaim, FreeClaim, MakeClaim, OpenClaim
from nvtopo.kube import claim_changes, gang_barrier, resource_claims
from nvtopo.kube.apply_queue import Outcome, outcome_of
from nvtopo.kube.client import Client, Response
from nvtopo.placement.device_claims import DeviceClaim, GangDevice
from nvtopo.placement.pods import GpuPod
from nvtopo.placement.result import Rank

NOW: Final = "2026-11-30T01:02:03Z"
POD: Final = GpuPod(namespace="team", name="p", uid="u", gpus=0, claimed=2, claim="gpus")
RANK: Final = Rank(rank=0, node="n1", gpus=(0, 2))
CLAIM: Final = DeviceClaim("team", "c", "u-c", "7", allocated=True, gang=GangDevice("nvtopo-gangs", "gang", "s1"))


def read(document: dict[str, Any]) -> DeviceClaim:
    return resource_claims.read(msgspec.Raw(msgspec.json.encode(document))).value


def allocated(*results: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"allocation": {"devices": {"results": list(results)}}, **status}


GPU_RESULT: Final = {"driver": "gpu.nvidia.com", "pool": "n1", "device": "gpu-0", "request": "gpus"}
GANG_RESULT: Final = {"driver": "topo.nvtopo.io", "pool": "nvtopo-gangs", "device": "gang", "shareID": "s1"}


def conditions(kind: str, share: str = "s1", status: str = "True") -> dict[str, Any]:
    place = {"driver": "topo.nvtopo.io", "pool": "nvtopo-gangs", "device": "gang", "shareID": share}
    return {**place, "conditions": [{"type": kind, "status": status}]}


def test_what_a_claim_was_given_and_whose_it_is() -> None:
    step = MakeClaim(POD, "c", "gang:team/g", RANK, barrier=True)
    document = claim_changes.document(step, ("GPU-b", "GPU-a"))
    document["metadata"] |= {"uid": "u-c", "resourceVersion": "7", "creationTimestamp": "1970-01-01T00:01:00Z"}
    made = read(document)
    assert made == DeviceClaim("team", "c", "u-c", "7", created=60.0, pod="u", reservation="gang:team/g", barrier=True)
    admin = {**GPU_RESULT, "device": "gpu-7", "adminAccess": True}
    shadow = {"driver": "topo.nvtopo.io", "pool": "n1/gpus", "device": "gpu-0"}
    document["status"] = allocated(shadow, GPU_RESULT, admin, GANG_RESULT)
    found = read(document)
    assert (found.allocated, found.gpus, found.gang) == (True, (("n1", "gpu-0"),), CLAIM.gang)
    assert (found.ready, found.failed, found.leaving) == (False, False, False)
    document["metadata"]["deletionTimestamp"] = NOW
    assert read(document).leaving


@pytest.mark.parametrize(
    ("said", "ready", "failed"),
    [
        (conditions("nvtopo.io/gang-ready"), True, False),
        (conditions("nvtopo.io/gang-failed"), False, True),
        (conditions("nvtopo.io/gang-ready", status="False"), False, False),
        (conditions("nvtopo.io/gang-ready", share="of an earlier allocation"), False, False),
        ({"driver": "gpu.nvidia.com", "pool": "n1", "device": "gpu-0"}, False, False),
    ],
)
def test_conditions_count_for_the_share_that_a_claim_has_now(
    said: dict[str, Any], *, ready: bool, failed: bool
) -> None:
    document = {"metadata": {"name": "c", "namespace": "team"}, "status": allocated(GANG_RESULT, devices=[said])}
    found = read(document)
    assert (found.ready, found.failed) == (ready, failed)


def test_a_claim_of_others_is_nobody_s_of_ours() -> None:
    owner = {"kind": "Pod", "uid": "u", "controller": True}
    metadata: dict[str, Any] = {"name": "c", "namespace": "team", "ownerReferences": [owner]}
    document = {"metadata": metadata, "spec": {}}
    assert read(document).pod == ""
    metadata["annotations"] = {"nvtopo.io/reservation": "r"}
    assert read(document).pod == "u"
    metadata["ownerReferences"] = [{**owner, "controller": False}]
    assert read(document).pod == ""
    with pytest.raises(ParseError):
        resource_claims.read(b'{"metadata": {"name": 1}}')


def test_a_claim_names_its_gpus_and_goes_with_its_pod() -> None:
    found = claim_changes.document(MakeClaim(POD, "c", "gang:team/g", RANK), ("GPU-b", "GPU-a"))
    assert found["metadata"] == {
        "name": "c",
        "namespace": "team",
        "annotations": {
            "resource.kubernetes.io/pod-claim-name": "gpus",
            "nvtopo.io/reservation": "gang:team/g",
        },
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True}],
    }
    (request,) = found["spec"]["devices"]["requests"]
    assert request["exactly"] == {
        "deviceClassName": "gpu.nvidia.com",
        "allocationMode": "ExactCount",
        "count": 2,
        "selectors": [
            {"cel": {"expression": 'device.attributes["gpu.nvidia.com"].?uuid.orValue("") in ["GPU-a", "GPU-b"]'}}
        ],
    }
    (any_gpus,) = claim_changes.document(MakeClaim(POD, "c"), ())["spec"]["devices"]["requests"]
    assert any_gpus["exactly"] == {"deviceClassName": "gpu.nvidia.com", "allocationMode": "ExactCount", "count": 2}


@pytest.mark.parametrize("uuid", ["", 'GPU-1"] || true || "" in ["', "GPU 1", "x" * 65])
def test_a_uuid_is_no_way_into_the_selector(uuid: str) -> None:
    with pytest.raises(ReadError, match="expected a GPU's UUID"):
        claim_changes.change(MakeClaim(POD, "c", "r", RANK), (uuid, "GPU-1"), NOW)


class Server:
    """Answers each request with the next of these, or raises it."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, Any]] = []

    def request(self, method: str, path: str, *, body: bytes, **_how: Any) -> Response:
        self.asked.append((method, path, msgspec.json.decode(body)))
        answer = self._answers.pop(0) if self._answers else b"{}"
        if isinstance(answer, Exception):
            raise answer
        return Response(200, answer)

    def create(self, path: str, document: bytes) -> bytes:
        return self.request("POST", path, body=document).body

    def get(self, path: str) -> bytes:
        return self.request("GET", path, body=b"null").body

    def apply(self, path: str, document: bytes, *, manager: str) -> Response:
        assert manager == "nvtopo-gangs"
        return self.request("PATCH", path, body=document)


def sent(step: ClaimStep, *answers: Any) -> tuple[str, str, Any]:
    server = Server(*answers)
    uuids = ("GPU-a", "GPU-b") if isinstance(step, MakeClaim) else ()
    claim_changes.write(cast("Client", server), claim_changes.path_of(step), claim_changes.change(step, uuids, NOW))
    (asked,) = server.asked
    return asked


def test_each_step_is_one_request() -> None:
    claims = "/apis/resource.k8s.io/v1/namespaces/team/resourceclaims"
    method, path, made = sent(MakeClaim(POD, "c", "r", RANK))
    assert (method, path, made["metadata"]["name"]) == ("POST", claims, "c")
    for step, kind in ((OpenClaim(CLAIM), "nvtopo.io/gang-ready"), (FreeClaim(CLAIM), "nvtopo.io/gang-failed")):
        method, path, said = sent(step)
        assert (method, path, said["metadata"]["uid"]) == ("PATCH", f"{claims}/c/status", "u-c")
        (device,) = said["status"]["devices"]
        assert {name: device[name] for name in ("driver", "pool", "device", "shareID")} == {
            "driver": "topo.nvtopo.io",
            "pool": "nvtopo-gangs",
            "device": "gang",
            "shareID": "s1",
        }
        (condition,) = device["conditions"]
        assert (condition["type"], condition["status"], condition["lastTransitionTime"]) == (kind, "True", NOW)
    assert sent(DropClaim(CLAIM)) == (
        "DELETE",
        f"{claims}/c",
        {"preconditions": {"uid": "u-c", "resourceVersion": "7"}},
    )


def test_what_is_as_wanted_already_is_no_failure() -> None:
    sent(DropClaim(CLAIM), NotFound("gone", status=404))
    with pytest.raises(Conflict):
        sent(DropClaim(CLAIM), Conflict("changed", status=409))


def claim_of(uid: str, leaving: str | None = None) -> bytes:
    owner = {"kind": "Pod", "name": "p", "uid": uid, "controller": True}
    notes = {"nvtopo.io/reservation": "r"}
    metadata = {"name": "c", "namespace": "team", "annotations": notes, "ownerReferences": [owner]}
    metadata |= {"deletionTimestamp": leaving} if leaving else {}
    return msgspec.json.encode({"metadata": metadata})


def test_a_claim_that_is_there_is_as_wanted_if_it_was_made_for_the_pod() -> None:
    there = Conflict("exists", status=409)
    step = MakeClaim(POD, "c", "r", RANK)
    uuids = ("GPU-a", "GPU-b")

    def make(*answers: Any) -> list[tuple[str, str, Any]]:
        server = Server(*answers)
        claim_changes.write(cast("Client", server), claim_changes.path_of(step), claim_changes.change(step, uuids, NOW))
        return server.asked

    assert make(there, claim_of("u"))[1][:2] == ("GET", claim_changes.path_of(step))
    for answers in ((there, claim_of("other")), (there, b'{"metadata": {}}')):
        with pytest.raises(ApiError) as refused:
            make(*answers)
        assert outcome_of(refused.value) is Outcome.REFUSED
        assert not isinstance(refused.value, Conflict)


def test_a_claim_that_is_about_to_go_is_no_refusal() -> None:
    there, gone = Conflict("exists", status=409), NotFound("gone", status=404)
    step = MakeClaim(POD, "c", "r", RANK)

    def make(*answers: Any) -> list[tuple[str, str, Any]]:
        server = Server(*answers)
        change = claim_changes.change(step, ("GPU-a", "GPU-b"), NOW)
        claim_changes.write(cast("Client", server), claim_changes.path_of(step), change)
        return server.asked

    assert [asked[0] for asked in make(there, gone)] == ["POST", "GET", "POST"]
    for answers in ((there, gone) * 3, (there, claim_of("other", leaving="2026-11-01T00:00:00Z"))):
        with pytest.raises(Conflict):
            make(*answers)


def test_no_claim_is_left_out_for_what_its_owners_are() -> None:
    """What has no limit at the API server must not hide that a claim holds GPUs."""
    others = [{"kind": "K" * 1000, "uid": "x" * 1000, "controller": False}] * 1000
    mine = {"kind": "Pod", "uid": "u" * 1000, "controller": True}
    notes = {"nvtopo.io/reservation": "gang:team/g", "other": "y" * 200_000}
    metadata = {"name": "c", "namespace": "team", "annotations": notes, "ownerReferences": [*others, mine]}
    found = read({"metadata": metadata, "status": allocated(GPU_RESULT)})
    assert found.gpus == (("n1", "gpu-0"),)
    assert (found.pod, found.reservation) == ("", ""), "no pod has such a UID"


def test_a_barrier_is_there_if_the_api_server_keeps_what_it_is_of() -> None:
    device_class, whole = gang_barrier.documents()
    (device,) = whole["spec"]["devices"]
    without = {**whole, "spec": {**whole["spec"], "devices": [{"name": device["name"]}]}}
    shared = {**whole, "spec": {**whole["spec"], "devices": [{**device, "bindingConditions": None}]}}
    for kept, is_one in ((whole, True), (without, False), (shared, False)):
        server = Server(b"{}", msgspec.json.encode(kept))
        assert gang_barrier.raise_barrier(cast("Client", server)) is is_one
        assert [asked[2]["metadata"]["name"] for asked in server.asked] == [
            device_class["metadata"]["name"],
            whole["metadata"]["name"],
        ]
    with pytest.raises(ParseError):
        gang_barrier.raise_barrier(cast("Client", Server(b"{}", b"[]")))
