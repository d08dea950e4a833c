"""The terms of a request as people write them, and what the answer says of those that nobody knows."""

import pytest

from nvtopo.errors import NvtopoError, UsageError
from nvtopo.placement import document, text
from nvtopo.placement.document import Parsed
from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.place import place
from nvtopo.placement.request import Kv, Load, Weights
from nvtopo.placement.result import Assignment

TIERS = ("nvlinkDomain", "leaf")
LOADED = (
    "load: {nodes: {n0: {queueDepth: 9, cacheHit: 0.25, ageSeconds: 5}, "
    "n1: {queueDepth: 0, cacheHit: 1, ageSeconds: 60}}}"
)


def parsed(spec: str) -> Parsed:
    return document.parse(f"spec: {{{spec}}}".encode(), "input")


def rack(hosts: int, domain: int = 2) -> Fleet:
    free = (tuple(range(4)),)
    tiers = [{"nvlinkDomain": f"d{number // domain}", "leaf": "l"} for number in range(hosts)]
    return fleet([Host(f"n{number}", own, free, free) for number, own in enumerate(tiers)], TIERS)


def placed(spec: str, cluster: Fleet) -> Assignment:
    answer = place(cluster, parsed(spec).request)
    assert isinstance(answer, Assignment)
    return answer


def test_what_is_written_is_what_is_priced() -> None:
    wishes = (
        "pods: 4, gpusPerPod: 2, parallelism: {tensor: 4, pipeline: 2, stageBytes: 7, expertBytes: 8}, "
        "kvTransfer: {bytes: 5, sources: [[a, b], [c]]}, weights: {allReduce: 160, queueNanoseconds: 3}, " + LOADED
    )
    request = parsed(wishes).request
    assert (request.tensor, request.pipeline, request.stage_bytes, request.expert_bytes) == (4, 2, 7, 8)
    assert request.kv == Kv(5, (("a", "b"), ("c",)))
    assert request.weights == Weights(160, 1, 1, 1, 3000, 10**9)
    assert request.load == {"n0": Load(9, 750_000), "n1": Load(0, 0)}


def test_a_shorter_queue_is_preferred() -> None:
    answer = placed("pods: 1, gpusPerPod: 4, " + LOADED, rack(2))
    assert [rank.node for rank in answer.ranks] == ["n1"]
    assert (answer.cost.queue, answer.cost.cache, answer.cost.unknown) == (0, 0, {})
    other = placed("pods: 1, gpusPerPod: 4, nodeSelector: {a: b}, " + LOADED, labelled(rack(2)))
    assert (other.cost.queue, other.cost.cache) == (9 * 10**9, 75 * 10**7)
    assert other.cost.total == other.cost.all_reduce + 9 * 10**9 + 75 * 10**7


def labelled(cluster: Fleet) -> Fleet:
    return fleet(
        [host._replace(labels={"a": "b"} if host.name == "n0" else {}) for host in cluster.hosts.values()], TIERS
    )


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (LOADED, "no fresh value of 1 of 3 nodes, such as n2"),
        (LOADED.replace("ageSeconds: 60", "ageSeconds: 61"), "no fresh value of 2 of 3 nodes, such as n1"),
        ("load: {nodes: {}}", "no fresh value of any node"),
    ],
)
def test_a_value_that_is_missing_or_old_makes_the_term_unknown(load: str, why: str) -> None:
    answer = placed(f"pods: 1, gpusPerPod: 4, {load}", rack(3))
    assert (answer.cost.queue, answer.cost.cache) == (None, None)
    assert answer.cost.unknown == {"queue": why, "cache": why}
    assert answer.cost.total == answer.cost.all_reduce
    assert f"queue: not known, {why}" in text.people(answer)


def test_a_gang_comes_near_to_what_prefills_for_it() -> None:
    answer = placed("pods: 1, gpusPerPod: 4, kvTransfer: {bytes: 900, sources: [[n2]]}", rack(6))
    assert answer.domain == "n2"
    assert answer.cost.kv_transfer == 3_400_000 + 1000
    nowhere = placed("pods: 1, gpusPerPod: 4, kvTransfer: {bytes: 900, sources: [[n2, gone]]}", rack(6))
    assert nowhere.cost.kv_transfer is None
    assert nowhere.cost.unknown == {"kvTransfer": "nobody knows where gone is"}


def test_stages_stay_in_a_domain_and_the_pipeline_crosses() -> None:
    answer = placed("pods: 9, gpusPerPod: 4, parallelism: {tensor: 12, pipeline: 3, stageBytes: 1}", rack(12, 4))
    domains = [int(rank.node[1:]) // 4 for rank in answer.ranks]
    assert all(len({*domains[first : first + 3]}) == 1 for first in (0, 3, 6))
    assert answer.cost.all_to_all is None
    assert answer.cost.stage_sends is not None
    assert "Sends between stages" in text.people(answer)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            "pods: 3, gpusPerPod: 4, parallelism: {tensor: 8, pipeline: 2}",
            "tensor times pipeline GPUs, got 8 times 2 for 12",
        ),
        ("pods: 3, gpusPerPod: 4, parallelism: {pipeline: 2}", "stages of whole pods"),
        ("pods: 5, parallelism: {pipeline: 2}", "got 2 times 2 for 5"),
        ("pods: 4, leader: {gpus: 4}, parallelism: {pipeline: 2}", "no leader"),
        ("pods: 4, slice: {pods: 2, tier: leaf}, parallelism: {pipeline: 2}", "no slices"),
    ],
)
def test_parallelism_that_does_not_fit_the_pods_is_refused(spec: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        place(rack(4), parsed(spec).request)


@pytest.mark.parametrize(
    "spec", ["load: {nodes: {n: {queueDepth: 1}}}", "load: {nodes: {n: {cacheHit: 2, ageSeconds: 1}}}"]
)
def test_a_value_without_an_age_or_out_of_range_is_refused(spec: str) -> None:
    with pytest.raises(NvtopoError, match="load"):
        parsed(f"pods: 1, {spec}")
