"""Gangs inside one zone, and spread over zones, as the Nodes' own labels name them."""

import msgspec
import pytest

from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Listed, TiersReported, fold
from nvtopo.fabrics import labels
from nvtopo.gangs.gang import Key, asked
from nvtopo.placement import hosts
from nvtopo.placement.document import parse
from nvtopo.placement.result import Assignment, NoFit
from nvtopo.placement.state import State
from tests.cluster import machines
from tests.gangs.test_policy import pod

ZONE = "topology.kubernetes.io/zone"


def graph(zones: int) -> ClusterGraph:
    """Four racks of two trays, so many of them in zones of their own."""
    nodes = machines.racks(4, 2)
    said = [
        {"metadata": {"name": name, "labels": {ZONE: f"zone-{name[:4]}"}}} for name in nodes if int(name[1:4]) <= zones
    ]
    known = fold(Inventory(), Listed(nodes, {}))
    return build(fold(known, TiersReported("labels", labels.read(said))))


def racks(wishes: str, pods: int, zones: int = 4) -> list[str] | NoFit:
    """The racks where a gang's pods go."""
    waiting = [pod(number, pods, gpus=4, wishes=wishes) for number in range(pods)]
    request = asked(Key("team", "g"), waiting).parsed.request
    answer = State(hosts.of_graph(graph(zones))).place(request)
    return [rank.node[:4] for rank in answer.ranks] if isinstance(answer, Assignment) else answer


@pytest.mark.parametrize("wishes", ["antiAffinity: spread-across-zones", "spread: {tier: zone}"])
def test_a_gang_is_spread_over_zones(wishes: str) -> None:
    assert racks(wishes, 4) == ["r001", "r002", "r003", "r004"]
    five = racks(wishes, 5)
    assert isinstance(five, NoFit)
    three = racks(wishes, 4, zones=3)
    assert isinstance(three, NoFit)
    assert three.counts["its zone is not known"] == 2


@pytest.mark.parametrize("wishes", ["affinity: same-zone", "required: zone"])
def test_a_gang_stays_in_one_zone(wishes: str) -> None:
    assert racks(wishes, 2) == ["r001", "r001"]
    three = racks(wishes, 3)
    assert isinstance(three, NoFit)
    assert three.reason == "no zone has room for all 3 pods of the gang; the most that one has room for is 2"


@pytest.mark.parametrize(
    ("word", "tier"), [("same-core", "core"), ("same-zone", "zone"), ("spread-across-spines", "spine")]
)
def test_each_word_is_a_tier(word: str, tier: str) -> None:
    field = "affinity" if word.startswith("same") else "antiAffinity"
    request = parse(msgspec.json.encode({"spec": {"pods": 2, field: word}}), "input").request
    assert tier in (request.required, request.spread_tier)
