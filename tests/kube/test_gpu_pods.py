"""Pods as the API server lists and watches them: what is kept of them, and what is written at them."""

import threading
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

from nvtopo.errors import ApiError, Forbidden, ParseError
from nvtopo.gangs.steps import Fail, Lift, Say
from nvtopo.kube import gpu_pods, pod_changes
from nvtopo.kube.client import Client, ListMetadata, ListPage
from nvtopo.kube.gpu_pods import GpuPods, decoded
from nvtopo.kube.stream import WatchEvent
from nvtopo.placement.pods import GpuPod, PodEvent, PodGone, PodSeen, PodsListed
from nvtopo.placement.result import Rank


def written(name: str = "p", gpus: int = 1, **spec: Any) -> dict[str, Any]:
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    containers = [{"resources": {"limits": limits}}]
    metadata = {"name": name, "namespace": "team", "uid": f"u-{name}", "resourceVersion": "7"}
    return {"metadata": metadata, "spec": {"containers": containers, **spec}, "status": {"phase": "Pending"}}


def read(document: dict[str, Any]) -> GpuPod | None:
    return decoded(msgspec.json.encode(document))


def asks(gpus: int, **more: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"nvidia.com/gpu": gpus}}, **more}


@pytest.mark.parametrize(
    ("spec", "gpus"),
    [
        ({"containers": [asks(2), asks(1)]}, 3),
        ({"containers": [asks(2)], "initContainers": [asks(4), asks(3)]}, 4),
        ({"containers": [asks(2)], "initContainers": [asks(1, restartPolicy="Always"), asks(1)]}, 3),
        ({"containers": [asks(1)], "initContainers": [asks(1, restartPolicy="Always"), asks(3)]}, 4),
        ({"containers": [{"resources": {"limits": {"nvidia.com/gpu": "8"}}}]}, 8),
    ],
)
def test_gpus_are_counted_as_kube_scheduler_counts_them(spec: dict[str, Any], gpus: int) -> None:
    found = read(written() | {"spec": spec})
    assert found is not None
    assert found.gpus == gpus


def test_what_asks_for_no_gpu_and_is_in_no_gang_is_not_kept() -> None:
    assert read(written(gpus=0)) is None
    odd = written(gpus=0)
    odd["metadata"]["labels"] = {"nvtopo.io/gang": "g"}
    found = read(odd)
    assert found is not None
    assert (found.gang, found.gpus) == ("g", 0)


def test_a_pod_is_of_no_gang_s_reservation_of_another_namespace() -> None:
    pod = written()
    for said, found in (("gang:team/g", "gang:team/g"), ("gang:other/g", ""), ("job-7", "job-7")):
        pod["metadata"]["annotations"] = {"nvtopo.io/reservation": said}
        kept = read(pod)
        assert kept is not None
        assert kept.reservation == found


def test_a_pod_says_its_gang_its_place_in_it_and_what_was_written_at_it() -> None:
    document = written(
        schedulingGates=[{"name": "nvtopo.io/placement"}, {"name": "other"}],
        priority=3,
        affinity={
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [1]}]}
            }
        },
    )
    document["metadata"] |= {
        "creationTimestamp": "1970-01-01T00:01:00Z",
        "deletionTimestamp": "1970-01-01T00:02:00Z",
        "labels": {
            "nvtopo.io/gang": "g",
            "nvtopo.io/gang-size": "4",
            "jobset.sigs.k8s.io/job-global-index": "1",
            "batch.kubernetes.io/job-completion-index": "2",
            "leaderworkerset.sigs.k8s.io/group-index": "5",
        },
        "annotations": {"nvtopo.io/placement": "required: rack", "nvtopo.io/rank": "6", "nvtopo.io/reservation": "r"},
    }
    document["spec"]["priorityClassName"] = "training"
    found = read(document)
    assert found == GpuPod(
        namespace="team",
        priority_class="training",
        leaving_at=120.0,
        name="p",
        uid="u-p",
        gpus=1,
        leaving=True,
        gates=("nvtopo.io/placement", "other"),
        gang="g",
        size="4",
        group="5",
        order=(1, 2),
        wishes="required: rack",
        rank=6,
        reservation="r",
        priority=3,
        created=60.0,
        terms=({"matchFields": [1]},),
    )
    document["status"]["phase"] = "Failed"
    document["metadata"]["annotations"]["nvtopo.io/rank"] = "-1"
    ended = read(document)
    assert ended is not None
    assert (ended.ended, ended.rank) == (True, None)


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ([("gpus", "nvtopo-gpus-4")], ("gpus", 4, "p-made")),
        ([("nic", "nvtopo-rail-0"), ("gpus", "nvtopo-gpus-8")], ("gpus", 8, "p-made")),
        ([("gpus", "other")], ("", 0, "")),
        ([("gpus", "nvtopo-gpus-32")], ("gpus", 0, "p-made")),
        ([("gpus", "nvtopo-gpus-many")], ("gpus", 0, "p-made")),
        ([("gpus", "nvtopo-gpus-1"), ("more", "nvtopo-gpus-1")], ("gpus", 0, "p-made")),
    ],
)
def test_a_claim_that_is_to_be_made_says_how_many_gpus(
    claims: list[tuple[str, str]], found: tuple[str, int, str]
) -> None:
    named = [{"name": name, "resourceClaimTemplateName": template} for name, template in claims]
    document = written(gpus=0, resourceClaims=named)
    document["status"]["resourceClaimStatuses"] = [{"name": "gpus", "resourceClaimName": "p-made"}, {"name": "x"}]
    document["metadata"]["annotations"] = {"nvtopo.io/claim": "c"}
    pod = read(document)
    assert pod is not None
    assert (pod.claim, pod.claimed, pod.claim_made) == found
    assert (pod.lifted_for, pod.asks, pod.gpus) == ("c", found[1], 0)


class Server:
    """Pages and watches, one after the other; an exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self._answers = iter(answers)
        self.stop = threading.Event()

    def _next(self) -> Any:
        answer = next(self._answers, None)
        if answer is None:
            self.stop.set()
            raise ApiError("over")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pages(self, path: str, *, fields: str, accept: str) -> Iterator[ListPage]:
        assert not fields
        assert (path, accept) == ("/api/v1/pods", "application/json")
        items = [msgspec.Raw(msgspec.json.encode(one)) for one in self._next()]
        yield ListPage(ListMetadata(resource_version="5"), items)

    def watch(self, _path: str, place: str, _stop: threading.Event, **how: Any) -> Iterator[WatchEvent]:
        del how
        assert place in ("5", "7")
        for kind, one in self._next():
            yield WatchEvent(kind, msgspec.Raw(one if isinstance(one, bytes) else msgspec.json.encode(one)))


def told(*answers: Any) -> list[PodEvent]:
    server = Server(*answers)
    return list(GpuPods(cast("Client", server), forbidden_seconds=0.0).events(server.stop))


def test_pods_are_listed_once_and_followed() -> None:
    events = told(
        [written("a"), written("plain", gpus=0)],
        [
            ("ADDED", written("b")),
            ("MODIFIED", written("plain", gpus=0)),
            ("ADDED", b'{"metadata": []}'),
            ("DELETED", written("a")),
            ("DELETED", written("plain", gpus=0)),
        ],
    )
    a, b = read(written("a")), read(written("b"))
    assert a is not None
    assert b is not None
    assert events == [PodsListed((a,)), PodSeen(b), PodGone("team", "a")]


def test_a_loss_and_a_refusal_end_in_a_new_list() -> None:
    a = read(written("a"))
    assert a is not None
    assert told(Forbidden("no", status=403), [written("a")]) == [PodsListed((a,))]


def test_no_more_pods_are_kept_than_a_cluster_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_pods, "MOST_PODS", 1)
    (listed, *more) = told([written("a"), written("b")], [("ADDED", written("c"))])
    assert isinstance(listed, PodsListed)
    assert [pod.name for pod in listed.pods] == ["a"]
    assert more == []


POD = GpuPod(namespace="team", name="p", uid="u", gpus=2, gates=("other", "nvtopo.io/placement"))
RANK = Rank(rank=3, node="n1", gpus=(0, 2))


def test_one_patch_lifts_the_gate_and_says_where_the_pod_goes() -> None:
    found = msgspec.json.decode(pod_changes.change(Lift(POD, "r", RANK), "mlx5_0").document)
    there = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
    assert found["metadata"] == {
        "uid": "u",
        "annotations": {
            "nvtopo.io/placement-status": None,
            "nvtopo.io/reservation": "r",
            "nvtopo.io/rank": "3",
            "nvtopo.io/gpus": "0,2",
            "nvtopo.io/nics": "mlx5_0",
        },
    }
    required = found["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required == {"nodeSelectorTerms": [{"matchFields": [there]}]}
    assert found["spec"]["schedulingGates"] == [{"name": "other"}]


def test_a_pod_s_own_terms_get_narrower() -> None:
    own = ({"matchExpressions": [1]}, {"matchFields": [2]})
    pod = msgspec.structs.replace(POD, terms=own, gates=("nvtopo.io/placement",))
    found = msgspec.json.decode(pod_changes.change(Lift(pod, "r", RANK)).document)
    required = found["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    there = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
    assert required["nodeSelectorTerms"] == [
        {"matchExpressions": [1], "matchFields": [there]},
        {"matchFields": [2, there]},
    ]
    assert found["spec"]["schedulingGates"] is None
    assert "nvtopo.io/nics" not in found["metadata"]["annotations"]


def test_a_pod_that_is_left_to_the_scheduler_gets_no_place() -> None:
    found = msgspec.json.decode(pod_changes.change(Lift(POD)).document)
    assert found["spec"] == {"schedulingGates": [{"name": "other"}]}
    assert found["metadata"]["annotations"] == {"nvtopo.io/placement-status": None}
    assert msgspec.json.decode(pod_changes.change(Say(POD, "why")).document) == {
        "metadata": {"uid": "u", "annotations": {"nvtopo.io/placement-status": "why"}}
    }
    failed = pod_changes.change(Fail(POD, "late"))
    assert failed.of_status
    assert msgspec.json.decode(failed.document)["status"]["message"] == "late"
    assert pod_changes.path_of("team", "p/..") == "/api/v1/namespaces/team/pods/p%2F.."


def test_a_pod_that_its_claim_binds_gets_no_node_affinity_and_may_get_another_place() -> None:
    found = msgspec.json.decode(pod_changes.change(Lift(POD, "r", RANK, "c"), "mlx5_0").document)
    assert found["spec"] == {"schedulingGates": [{"name": "other"}]}
    assert found["metadata"]["annotations"]["nvtopo.io/claim"] == "c"
    held = msgspec.structs.replace(POD, lifted_for="c", gates=())
    moved = msgspec.json.decode(pod_changes.change(Lift(held, "r", RANK, "d")).document)["metadata"]["annotations"]
    assert (moved["nvtopo.io/claim"], moved["nvtopo.io/nics"]) == ("d", None)
    left = msgspec.json.decode(pod_changes.change(Lift(held)).document)["metadata"]["annotations"]
    assert {name for name, value in left.items() if value is None} == {
        *("nvtopo.io/placement-status", "nvtopo.io/claim", "nvtopo.io/reservation"),
        *("nvtopo.io/rank", "nvtopo.io/gpus", "nvtopo.io/nics"),
    }


@pytest.mark.parametrize(
    ("bus", "step", "found"),
    [
        ("7.5e11", "0.25", (7.5e11, 0.25)),
        ("", "1", (None, 1.0)),
        ("fast", "-1", (None, None)),
        ("0", "nan", (None, None)),
        ("inf", "1" * 40, (None, None)),
    ],
)
def test_what_a_job_measured_is_a_positive_number_or_not_known(
    bus: str, step: str, found: tuple[float | None, float | None]
) -> None:
    document = written()
    notes = {"nvtopo.io/measured-bus-bandwidth": bus, "nvtopo.io/measured-step-seconds": step}
    document["metadata"]["annotations"] = notes
    pod = read(document)
    assert pod is not None
    assert pod.measured == found


@pytest.mark.parametrize(
    ("labels", "job"),
    [
        ({}, ""),
        ({"batch.kubernetes.io/job-name": "train"}, "train"),
        ({"batch.kubernetes.io/job-name": "set-w-0", "jobset.sigs.k8s.io/jobset-name": "set"}, "set"),
        ({"leaderworkerset.sigs.k8s.io/name": "serve"}, "serve"),
        ({"ray.io/cluster": ""}, ""),
    ],
)
def test_a_pod_s_job_is_what_its_outermost_controller_calls_it(labels: dict[str, str], job: str) -> None:
    document = written()
    document["metadata"]["labels"] = labels
    found = read(document)
    assert found is not None
    assert found.job == job


def test_a_pod_that_claims_devices_is_kept_though_it_asks_for_no_gpu() -> None:
    assert read(written(gpus=0)) is None
    found = read(written(gpus=0, resourceClaims=[{"name": "gpus", "resourceClaimName": "c"}]))
    assert found is not None
    assert found.gpus == 0


def test_terms_that_are_no_terms_are_refused_and_never_written() -> None:
    def of(term: dict[str, Any]) -> dict[str, Any]:
        required = {"nodeSelectorTerms": [term]}
        return written(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}})

    lift = Lift(cast("GpuPod", read(of({"matchFields": None}))), "gang:team/g", Rank(rank=0, node="a", gpus=(0,)))
    assert (
        b'"matchFields":[{"key":"metadata.name","operator":"In","values":["a"]}]' in pod_changes.change(lift).document
    )
    with pytest.raises(ParseError):
        read(of({"matchFields": 5}))
