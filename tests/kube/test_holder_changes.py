"""Pods that hold claims of gangs: what they may do, and what is there already."""

from typing import Any, Final, cast

import msgspec
import pytest
from msgspec.structs import replace

from nvtopo.errors import ApiError, Conflict, NotFound
from nvtopo.gangs.steps import DropHolder, MakeHolder
from nvtopo.kube import holder_changes
from nvtopo.kube.client import Client, Response
from nvtopo.kube.gpu_pods import decoded
from nvtopo.placement.pods import GATE, GpuPod, Toleration

PATH: Final = "/api/v1/namespaces/team/pods/c-holder"


def step(**changes: Any) -> MakeHolder:
    pod = GpuPod(namespace="team", name="g-0", uid="u0", gpus=0, claimed=2, claim="gpus", gates=(GATE,), gang="g")
    return MakeHolder(replace(pod, **changes), "c", "c-holder", "n0")


def test_a_holder_is_read_as_what_it_was_made_as() -> None:
    found = decoded(msgspec.json.encode(holder_changes.document(step(), "pause")))
    assert found is not None
    assert (found.key, found.holds, found.owner) == (("team", "c-holder"), "c", "u0")
    assert (found.gang, found.claim, found.asks, found.waiting) == ("", "", 0, False)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {}},
        {"labels": {"nvtopo.io/gang-holder": "true", "nvtopo.io/gang": "g"}},
        {"ownerReferences": []},
        {"ownerReferences": [{"kind": "Pod", "uid": "u0"}]},
        {"ownerReferences": [{"kind": "ReplicaSet", "uid": "u0", "controller": True}]},
    ],
)
def test_a_pod_that_lacks_label_or_owner_holds_nothing(change: dict[str, Any]) -> None:
    document = holder_changes.document(step(), "pause")
    document["metadata"] |= change
    found = decoded(msgspec.json.encode(document))
    assert found is None or not found.holds


def test_a_holder_goes_where_the_gang_s_pod_may_go_and_ends_in_any_case() -> None:
    toleration = Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")
    spec = holder_changes.document(step(tolerations=(toleration,), priority_class="training"), "pause")["spec"]
    assert [*spec["tolerations"]] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert spec["priorityClassName"] == "training"
    assert spec["activeDeadlineSeconds"] == holder_changes.DEADLINE_SECONDS
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n0"]}]}


class Server:
    """What answers, in turn: errors and documents."""

    def __init__(self, *answers: Exception | bytes) -> None:
        self.answers = [*answers]
        self.asked: list[tuple[str, str]] = []

    def request(self, method: str, path: str, **_how: Any) -> Response:
        self.asked.append((method, path))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Response(200, answer)

    def create(self, path: str, _document: bytes) -> bytes:
        return self.request("POST", path).body

    def get(self, path: str) -> bytes:
        return self.request("GET", path).body

    def write(self, wanted: holder_changes.HolderChange) -> None:
        holder_changes.write(cast("Client", self), PATH, wanted)


MAKE: Final = holder_changes.change(step(), "pause")
THERE: Final = Conflict("there", status=409)


def other(**changes: Any) -> bytes:
    document = holder_changes.document(step(uid=changes.pop("owner", "u0")), "pause")
    document["metadata"] |= changes
    return msgspec.json.encode(document)


@pytest.mark.parametrize("answers", [(b"{}",), (THERE, other()), (THERE, NotFound("gone", status=404), b"{}")])
def test_one_that_is_there_is_as_wanted(answers: tuple[Exception | bytes, ...]) -> None:
    """A quota that is being counted conflicts too, and there is no pod then."""
    server = Server(*answers)
    server.write(MAKE)
    assert not server.answers
    assert server.asked[0] == ("POST", "/api/v1/namespaces/team/pods")


@pytest.mark.parametrize(
    "there", [other(owner="another"), b'{"metadata": {"name": "c-holder", "namespace": "team"}}'], ids=["owner", "pod"]
)
def test_another_pod_of_that_name_is_none(there: bytes) -> None:
    with pytest.raises(ApiError, match="holds nothing of the gang") as refused:
        Server(THERE, there).write(MAKE)
    assert refused.value.status == 422


def test_one_that_is_about_to_go_is_waited_for() -> None:
    with pytest.raises(Conflict):
        Server(THERE, other(deletionTimestamp="2026-01-01T00:00:00Z")).write(MAKE)
    gone = NotFound("gone", status=404)
    with pytest.raises(Conflict):
        Server(*(THERE, gone) * 3).write(MAKE)


@pytest.mark.parametrize("at_once", [False, True])
def test_one_that_is_gone_is_deleted_and_another_of_its_name_is_not(at_once: bool) -> None:
    holder = replace(step().pod, uid="h0")
    drop = holder_changes.change(DropHolder(holder, at_once), "pause")
    asked = {"preconditions": {"uid": "h0"}} | ({"gracePeriodSeconds": 0} if at_once else {})
    assert (drop.method, msgspec.json.decode(drop.document)) == ("DELETE", asked)
    Server(NotFound("gone", status=404)).write(drop)
    with pytest.raises(Conflict):
        Server(Conflict("another UID", status=409)).write(drop)
