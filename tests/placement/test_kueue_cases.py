"""The published table of Kueue's topology-aware scheduling, and the cases collected from trackers: the same verdicts.

Where another domain is chosen, ours costs less or the same, which each test checks with Kueue's own answer.
"""

from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nvtopo.errors import UsageError
from nvtopo.placement import cost, links
from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.place import domains_used, place
from nvtopo.placement.request import Request, Slice
from nvtopo.placement.result import Assignment, NoFit, PlacementResult

CASES = Path(__file__).resolve().parents[3] / "shared/cases"
KUEUE = CASES / "cluster_kueue/kueue_tas_cases.json"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not there")

HOSTNAME = "kubernetes.io/hostname"
RESOURCES = {"cpu_milli": ("cpu", 1000), "example.com/gpu": ("example.com/gpu", 1), "memory_bytes": ("memory", 1)}


def kueue() -> list[dict[str, Any]]:
    return list(msgspec.json.decode(KUEUE.read_bytes())["cases"]) if KUEUE.is_file() else []


def quantity(text: str) -> Fraction:
    if text.endswith("m"):
        return Fraction(text[:-1]) / 1000
    return Fraction(text.removesuffix("Gi")) * (1 << 30 if text.endswith("Gi") else 1)


def host(node: dict[str, Any], case: dict[str, Any], tiers: list[str]) -> Host:
    """Each pod that fits is one GPU."""
    rooms = [int(node["allocatable"].get("pods", "0"))]
    for resource, amount in case["requests"].items():
        name, scale = RESOURCES[resource]
        rooms.append(quantity(node["allocatable"].get(name, "0")) * scale // amount)
    gpus = tuple(range(min(rooms)))
    lacking = [level for level in case["levels"] if level not in node["labels"]]
    return Host(
        name=node["name"],
        tiers={tier: node["labels"][tier] for tier in tiers if tier in node["labels"]},
        free=tuple((gpu,) for gpu in gpus),
        groups=tuple((gpu,) for gpu in gpus),
        excluded=f"no label {lacking[0]}" if lacking else None if node["ready"] else "not ready",
    )


def asked(case: dict[str, Any]) -> Request:
    wish = case["topology_request"]
    tier = {HOSTNAME: "node"}
    sliced = wish.get("PodSetSliceRequiredTopology")
    if sliced and "PodSetSliceSize" not in wish:
        raise UsageError("request: a slice's tier without its pods")
    required, preferred = wish.get("Required"), wish.get("Preferred")
    return Request(
        pods=case["count"],
        required=tier.get(required, required),
        preferred=tier.get(preferred, preferred),
        slice=Slice(wish["PodSetSliceSize"], tier.get(sliced, sliced)) if sliced else None,
    )


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in kueue()])
def test_the_verdict_is_kueues(case: dict[str, Any]) -> None:
    tiers = [level for level in reversed(case["levels"]) if level != HOSTNAME]
    cluster = fleet([host(node, case, tiers) for node in case["nodes"]], tiers)
    try:
        answer: PlacementResult | None = place(cluster, asked(case), tiers=tuple(tiers))
    except UsageError:
        answer = None
    if case["want_assignment"] is None:
        assert not isinstance(answer, Assignment)
        return
    assert isinstance(answer, Assignment)
    theirs = their_hosts(case)
    if theirs is not None and not (case["topology_request"].get("Preferred") and answer.level != "fleet"):
        assert answer.cost.total <= their_cost(theirs, cluster, asked(case))


def their_hosts(case: dict[str, Any]) -> list[str] | None:
    """The nodes of Kueue's answer; None where it names no nodes."""
    if case["want_assignment"]["levels"] != [HOSTNAME]:
        return None
    names = {node["labels"].get(HOSTNAME): node["name"] for node in case["nodes"]}
    return [names[domain["values"][0]] for domain in case["want_assignment"]["domains"]]


def their_cost(names: list[str], cluster: Fleet, request: Request) -> int:
    leaves = [domain for domain in cluster.domains(0) if domain.host is not None and domain.host.name in names]
    used = domains_used(leaves, len(cluster.levels) - 1)
    return cost.ring(links.table(cluster.levels), used[: used.index(1) + 1], request.ranks, request.message_bytes)


def racks(**free: int) -> Fleet:
    """Racks of trays with one GPU each."""
    return fleet(
        [
            Host(f"{rack}-{tray}", {"rack": rack}, ((0,),), ((0,),))
            for rack, trays in free.items()
            for tray in range(trays)
        ],
        ("rack",),
    )


def inside(answer: PlacementResult) -> set[str]:
    return {rank.node.split("-")[0] for rank in answer.ranks} if isinstance(answer, Assignment) else set()


def test_the_tightest_domain_is_taken_so_that_all_gangs_run() -> None:
    free = {"A": 4, "B": 3, "C": 6}
    for gang, domain in ((3, "B"), (4, "A"), (6, "C")):
        answer = place(racks(**free), Request(gang, required="rack"))
        assert inside(answer) == {domain}
        free[domain] -= gang


def test_a_domain_that_is_too_small_takes_nothing() -> None:
    assert inside(place(racks(A=2, B=4), Request(4, required="rack"))) == {"B"}
    assert isinstance(place(racks(A=2, B=3), Request(4, required="rack")), NoFit)


def test_preferred_and_required_may_be_the_same() -> None:
    free = racks(r1=3, r2=5)
    assert inside(place(free, Request(4, required="rack", preferred="rack"))) == {"r2"}


@pytest.mark.parametrize(
    ("free", "fits"), [({"a": 4, "b": 4, "c": 3}, True), ({"a": 4, "b": 4, "c": 1, "d": 1}, False)]
)
def test_the_last_slice_may_be_short_but_stays_together(free: dict[str, int], fits: bool) -> None:
    answer = place(racks(**free), Request(10, slice=Slice(4, "rack")))
    assert isinstance(answer, Assignment) == fits
    if isinstance(answer, Assignment):
        counts = [sum(rank.node.startswith(rack) for rank in answer.ranks) for rack in free]
        assert sorted(counts) == [2, 4, 4]


def test_a_leader_takes_room_of_its_workers() -> None:
    rooms = {("b1", "r1", "x1"): 3, ("b1", "r2", "x2"): 3, ("b1", "r3", "x3"): 8, ("b2", "r1", "x4"): 11}
    hosts = [
        Host(name, {"block": block, "rack": rack}, (tuple(range(gpus)),), (tuple(range(gpus)),))
        for (block, rack, name), gpus in rooms.items()
    ]
    cluster = fleet(hosts, ("rack", "block"))
    answer = place(cluster, Request(7, leader_gpus=5, required="block"), tiers=("rack", "block"))
    assert isinstance(answer, Assignment)
    assert answer.domain == "b1"
    assert [rank.node for rank in answer.ranks if rank.leader] == ["x3"]
    assert len({domain.path for domain in cluster.domains(1) if domain.id == "r1"}) == 2


def test_a_node_that_is_called_like_its_block_counts() -> None:
    blocks = {"b1": "b1", "n2": "b1", "n3": "b1", "n4": "b2"}
    cluster = fleet([Host(name, {"rack": block}, ((0,),), ((0,),)) for name, block in blocks.items()], ("rack",))
    answer = place(cluster, Request(3, required="rack"))
    assert isinstance(answer, Assignment)
    assert {rank.node for rank in answer.ranks} == {"b1", "n2", "n3"}
    refused = place(cluster, Request(4, required="rack"))
    assert isinstance(refused, NoFit)
    assert "is 3" in refused.reason


def test_a_soft_gang_takes_two_whole_leaves_of_one_spine() -> None:
    leaves = {"s0": ("n1", "n2"), "s1": ("n3", "n4"), "s2": ("n5", "n6")}
    spines = {"s0": "s3", "s1": "s3", "s2": "s4"}
    hosts = [
        Host(name, {"leaf": leaf, "spine": spines[leaf]}, ((0,),), ((0,),))
        for leaf, names in leaves.items()
        for name in names
    ]
    answer = place(fleet(hosts, ("leaf", "spine")), Request(4, preferred="leaf"))
    assert isinstance(answer, Assignment)
    assert [rank.node for rank in answer.ranks] == ["n1", "n2", "n3", "n4"]
