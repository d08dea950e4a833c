"""One job: where its pods are, where they meet, and what is slowest between them; what nobody says is null."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from nvtopo.cluster.claims import Claim, Reading, SwitchPort
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.exporters import job_document
from nvtopo.exporters.job_document import JobDocument, JobPair
from nvtopo.model.records.allocation import Allocation, Held
from nvtopo.model.records.node import NodeTopology
from nvtopo.placement.pods import GpuPod
from nvtopo.reports import job as report
from tests.kube.machines import hgx


def pod(number: int, node: str, **changes: Any) -> GpuPod:
    made = GpuPod(namespace="team", name=f"w-{number}", uid=f"u{number}", gpus=2, node=node, gang="train", rank=number)
    return replace(made, **changes)


def holds(name: str, gpus: Sequence[int], nics: Sequence[str] = (), **more: Any) -> Held:
    return Held(namespace="team", pod=name, container="c", gpus=tuple(gpus), nics=tuple(nics), **more)


def graph(nodes: Mapping[str, NodeTopology], *claims: Claim, ports: Sequence[SwitchPort] = ()) -> ClusterGraph:
    return build(fold(Inventory(generation=6), Listed(nodes, {})), None, {"file": Reading(claims, tuple(ports))})


def leaves(**of: str) -> list[Claim]:
    return [Claim(node, "leaf", leaf, "file") for node, leaf in of.items()]


PODS = (pod(1, "b"), pod(0, "a"), pod(7, "a", gang="other"), pod(8, "a", namespace="others"))
HELD = {
    "a": Allocation(containers=(holds("w-0", [0, 1], ["mlx5_0"]), holds("w-7", [2]))),
    "b": Allocation(containers=(holds("w-1", [0, 4]),)),
}
TWO = {"a": hgx(), "b": hgx()}


def of(found: ClusterGraph, held: Mapping[str, Allocation] = HELD) -> JobDocument:
    document = job_document.job("team", "train", PODS, found, held.get)
    assert document is not None
    return document


def test_pods_come_by_rank_with_what_they_hold() -> None:
    found = of(graph(TWO, *leaves(a="l1", b="l1")))
    assert (found.generation, found.left_off, list(found.nodes)) == (7, 0, ["a", "b"])
    first, second = found.pods
    assert (first.name, first.rank, first.node) == ("w-0", 0, "a")
    assert (first.gpus, first.nics) == ({"GPU0": "ok", "GPU1": "ok"}, ("mlx5_0",))
    assert (second.nvlink_groups, second.nvlink_groups_possible) == (1, 1)
    assert second.slowest_pair is not None
    assert second.slowest_pair.link == "NV18"


def test_it_meets_in_the_closest_tier_that_all_share() -> None:
    claims = [*leaves(a="l1", b="l2"), Claim("a", "spine", "s", "file"), Claim("b", "spine", "s", "file")]
    found = of(graph(TWO, *claims))
    assert [(one.tier, [len(domain.nodes) for domain in one.domains]) for one in found.tiers] == [
        ("leaf", [1, 1]),
        ("spine", [2]),
    ]
    assert found.meets == "spine"
    assert of(graph(TWO, *leaves(a="l1", b="l1"))).meets == "leaf"


def test_a_tier_that_is_not_known_of_a_node_is_no_meeting() -> None:
    found = of(graph(TWO, *leaves(a="l1")))
    assert found.meets is None
    (tier,) = found.tiers
    assert tier.unknown == ("b",)


def test_on_one_node_there_is_no_network() -> None:
    one = job_document.job("team", "other", PODS, graph(TWO), HELD.get)
    assert one is not None
    assert (one.meets, one.slowest_nic) == ("node", None)


def test_the_slowest_nic_is_one_that_is_held_where_pods_hold_some() -> None:
    found = of(graph(TWO, *leaves(a="l1", b="l1"))).slowest_nic
    assert found is not None
    assert (found.node, found.nic, found.held) == ("a", "mlx5_0", True)
    slow = hgx()
    port = replace(slow.nics[3].ports[0], rate_bytes_per_second=1_250_000_000)
    nics = (*slow.nics[:3], replace(slow.nics[3], ports=(port,)), *slow.nics[4:])
    found = of(graph({"a": replace(hgx(), nics=nics), "b": replace(hgx(), nics=nics)})).slowest_nic
    assert found is not None
    assert (found.node, found.nic, found.bytes_per_second, found.held) == ("b", slow.nics[3].name, 1_250_000_000, False)


def test_what_nobody_says_is_null() -> None:
    found = of(graph({"a": hgx()}), {"a": Allocation(containers=(holds("w-0", [], unidentified=("MIG-1",)),))})
    first, second = found.pods
    assert (first.gpus, first.nics, first.nvlink_groups, first.slowest_pair) == (None, (), None, None)
    assert (second.gpus, second.nics) == (None, None)
    assert found.nodes["b"] is None
    assert found.meets is None


def test_a_pair_without_nvlink_is_slower_than_any_with() -> None:
    def pair(link: str | None, rate: int | None) -> JobPair:
        return JobPair(a="GPU0", b="GPU1", link=link, bytes_per_second=rate)

    pairs = [pair("NV1", 25), pair("SYS", None), pair(None, None), pair("NV18", 400)]
    assert job_document._worst(pairs) == pair("SYS", None)
    assert job_document._worst([*pairs, pair("PIX", 20)]) == pair("PIX", 20)
    assert job_document._worst([pair("NV18", None), pair("NV1", 25)]) == pair("NV1", 25)
    assert job_document._worst([pair(None, None)]) is None


def test_a_node_that_cant_be_worked_out_costs_no_other() -> None:
    found = job_document.job(
        "team", "train", PODS, graph(TWO), HELD.get, lambda node, do: do() if node.name == "b" else None
    )
    assert found is not None
    assert [one.slowest_pair is None for one in found.pods] == [True, False]


def test_more_pods_than_are_shown_are_counted_and_nothing_is_said_of_where_they_meet() -> None:
    pods = [pod(number, "a") for number in range(job_document.MOST_PODS + 3)]
    found = job_document.job("team", "train", pods, graph(TWO), HELD.get)
    assert found is not None
    assert (len(found.pods), found.left_off, found.meets) == (job_document.MOST_PODS, 3, None)


def test_the_list_has_gangs_and_what_controllers_made() -> None:
    pods = (*PODS, pod(9, "b", gang="", job="train-job"))
    found = job_document.jobs(pods)
    assert [(one.namespace, one.name, one.pods, one.nodes) for one in found.jobs] == [
        ("others", "train", 1, 1),
        ("team", "other", 1, 1),
        ("team", "train", 2, 2),
        ("team", "train-job", 1, 1),
    ]
    assert job_document.job("team", "nobody", pods, graph(TWO), HELD.get) is None


def test_pods_that_are_not_bound_or_have_ended_are_no_job() -> None:
    pods = (pod(0, ""), pod(1, "a", ended=True))
    assert job_document.job("team", "train", pods, graph(TWO), HELD.get) is None


def test_as_text() -> None:
    """What ``nvtopo pods --job team/train`` prints."""
    ports = [SwitchPort("a", 0, None, "mlx5_0", "sw-1", "p7", "file")]
    text = report.text(of(graph(TWO, *leaves(a="l1", b="l1"), ports=ports)))
    assert text.splitlines() == [
        "team/train: 2 pods on 2 nodes",
        "meets in: leaf",
        "slowest NIC: mlx5_0 of a, 400 Gb/s",
        "slowest pair: GPU0 - GPU1 over NV18, 478 GB/s",
        "",
        "RANK  POD  NODE  GPUS       NVLINK GROUPS  NICS    RAILS",
        "0     w-0  a     GPU0,GPU1  1              mlx5_0  0:sw-1",
        "1     w-1  b     GPU0,GPU4  1              -       ?",
        "",
        "leaf: leaf-l000001 (2 nodes)",
    ]
