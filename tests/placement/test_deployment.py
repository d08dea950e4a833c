"""A declarative deployment: what is read of it, where its replicas go, and whether there is room to grow."""

import pytest

from nvtopo.errors import ParseError, UsageError
from nvtopo.placement import deployment
from nvtopo.placement.deployment import Deployment
from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.replicas import Placed, placed
from nvtopo.reports import replicas

PUBLIC = """
apiVersion: dynamo.nvidia.com/v1
kind: InferenceDeployment
metadata: {name: llama-70b}
spec:
  model: {name: llama-3-70b, precision: fp8}
  parallelism: {tensorParallelism: 8, pipeline_parallelism: 1}
  topology: {affinity: same-nvlink-domain, antiAffinity: spread-across-racks}
  autoscaling: {minReplicas: 1, maxReplicas: 3, targetLatencyMs: 200, metrics: [queueDepth]}
  router: {policy: kv-aware}
"""


def rack(racks: int = 3, trays: int = 4, busy: int = 0) -> Fleet:
    whole = (tuple(range(4)),)
    hosts = []
    for number in range(racks * trays):
        place = {
            "nvlinkDomain": f"d{number // trays}",
            "rack": f"r{number // trays}",
            "leaf": f"l{number // trays // 2}",
        }
        hosts.append(Host(f"n{number:02}", place, () if number < busy else whole, whole))
    return fleet(hosts, ("nvlinkDomain", "rack", "leaf"))


def parsed(text: str = PUBLIC) -> Deployment:
    return deployment.parse(text.encode(), "input")


def racks(found: Placed) -> list[str]:
    return sorted({f"r{int(rank.node[1:]) // 4}" for one in found.replicas for rank in one.answer.ranks})


def test_every_field_is_read_or_named() -> None:
    found = parsed()
    assert (found.name, found.model) == ("llama-70b", "llama-3-70b")
    assert (found.tensor, found.pipeline, found.replicas, found.least, found.most) == (8, 1, 1, 1, 3)
    assert (found.near, found.apart) == ("nvlinkDomain", "rack")
    assert found.autoscaler == ("autoscaling.targetLatencyMs", "autoscaling.metrics")
    assert found.unused == ("model.precision", "router.policy")


@pytest.mark.parametrize(
    "spelled",
    ["tp: 8, pp: 2", "tensor_parallel_size: 8, pipeline-parallel-size: 2", "parallelism: {tensor: 8, pipeline: 2}"],
)
def test_names_are_spelled_in_many_ways(spelled: str) -> None:
    found = parsed(f"kind: InferenceDeployment\nspec: {{{spelled}, replicas: {{min: 2, max: 5}}}}")
    assert (found.tensor, found.pipeline, found.least, found.most, found.replicas) == (8, 2, 2, 5, 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Pod\nspec: {tp: 8}", "with kind and spec"),
        ("kind: InferenceDeployment\nspec: {replicas: 1}", "GPUs of a tensor-parallel group"),
        ("kind: InferenceDeployment\nspec: {tp: many}", "spec.tp: expected a whole number"),
        ("kind: InferenceDeployment\nspec: {tp: 8, tensor: 4}", "is 4, and 8 before"),
        ("kind: InferenceDeployment\nspec: {tp: 8, affinity: nearby}", "got 'nearby'"),
        ("kind: InferenceDeployment\nspec: {tp: 8, maxReplicas: 2, replicas: 3}", "got 3, 3, 2"),
        ("kind: InferenceDeployment\nspec: {tp: 8, maxReplicas: 1001}", "from 1 to 1000"),
        (
            "kind: InferenceDeployment\nspec: {tp: 8, affinity: same-node, topology: {affinity: same-rack}}",
            "asked for before",
        ),
    ],
)
def test_what_can_t_be_meant_is_refused(text: str, says: str) -> None:
    with pytest.raises(ParseError, match=says):
        parsed(text)


def test_replicas_are_apart_and_there_is_room_for_all() -> None:
    found = placed(parsed(PUBLIC.replace("minReplicas: 1", "minReplicas: 3")), rack(), {})
    assert (len(found.replicas), found.room, found.enough, found.no_fit) == (3, 3, True, None)
    assert racks(found) == ["r0", "r1", "r2"]
    assert all(one.answer.level == "nvlinkDomain" for one in found.replicas)


def test_room_for_the_most_replicas_is_checked_without_placing_them() -> None:
    found = placed(parsed(), rack(racks=2), {})
    assert (len(found.replicas), found.room, found.enough) == (1, 2, True)
    assert found.no_fit is not None
    assert found.no_fit.counts == {"its rack has a replica already": 8}
    said = replicas.people(found)
    assert "Room for 2 of at most 3 replicas; 1 are asked for." in said
    assert "Left to an autoscaler: autoscaling.targetLatencyMs, autoscaling.metrics." in said
    assert not placed(parsed(), rack(racks=1, busy=3), {}).enough


def test_a_new_replica_comes_near_to_a_healthy_one() -> None:
    text = PUBLIC.replace(", antiAffinity: spread-across-racks", "").replace("minReplicas: 1", "replicas: 2")
    cluster = rack(racks=4, trays=4)
    first = placed(parsed(text.replace("replicas: 2", "replicas: 1")), cluster, {}).replicas[0].answer
    away = fleet(
        [host._replace(excluded="not ready") if host.name < "n04" else host for host in cluster.hosts.values()],
        ("nvlinkDomain", "rack", "leaf"),
    )
    (second,) = placed(parsed(text), cluster, {}, (first,)).replicas
    assert second.answer.domain == first.domain
    assert second.source == ("n00", "n01")
    assert second.answer.cost.kv_transfer
    (other,) = placed(parsed(text), away, {}, (first,)).replicas
    assert (other.source, other.answer.cost.kv_transfer) == ((), None)


def test_stages_stay_inside_a_domain_if_a_replica_is_larger_than_one() -> None:
    text = PUBLIC.replace("pipeline_parallelism: 1", "pp: 3").replace(", antiAffinity: spread-across-racks", "")
    (one,) = placed(parsed(text), rack(racks=3, trays=3), {}).replicas
    domains = [int(rank.node[1:]) // 3 for rank in one.answer.ranks]
    assert [domains[at] for at in (0, 2, 4)] == [domains[at] for at in (1, 3, 5)]


def test_pods_that_do_not_divide_a_replica_are_refused() -> None:
    with pytest.raises(UsageError, match="8 GPUs of a replica in pods of 3"):
        placed(parsed(PUBLIC.replace("tensorParallelism", "gpusPerPod: 3, tensorParallelism")), rack(), {})
