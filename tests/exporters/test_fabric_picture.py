"""What the page draws of the network, computed by its own script from the graph's document."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

import nvtopo
from nvtopo.cluster.claims import Cable, Claim, Reading
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.exporters import document
from tests.exporters.page_fabric import Cluster, cable, cluster, faulty
from tests.fabrics.ibfabric import Shape, host, wired

SCRIPT = Path(nvtopo.__file__).parent / "exporters/page/fabric.js"
ALL = "const fabric = fabricOf(given); return fabric.groups.map((one) => ({...one, ...picture(fabric, one)}));"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")]


def pictures(found: Cluster, returned: str = ALL) -> Any:
    """Every group as it is drawn."""
    graph = build(fold(Inventory(), Listed(found.nodes)), None, {"network": found.reading})
    given = document.encode(document.of(graph)).decode()
    script = f"{SCRIPT.read_text(encoding='utf-8')}\nconst given = {given};\n"
    script += f"console.log(JSON.stringify((() => {{ {returned} }})()));"
    done = subprocess.run(
        ["node", "--input-type=module"], input=script.encode(), check=False, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout)


def wrong(picture: Any) -> set[tuple[str, frozenset[str]]]:
    return {(one["state"], frozenset((one["from"], one["to"]))) for one in picture["cables"] if one["state"] != "there"}


def labels(picture: Any, column: int) -> list[str]:
    return [box["label"] for box in picture["columns"][column]["boxes"]]


def test_what_is_missing_or_swapped_is_drawn_in_its_group() -> None:
    first, second, third = pictures(faulty())
    assert wrong(first) == {("missing", frozenset((host(0, 3), "sw-k0-r2")))}
    assert wrong(second) == {("misplaced", frozenset((host(1, 2), f"sw-k1-r{rail}"))) for rail in range(2)}
    assert {one["words"] for one in second["cables"] if one["state"] == "misplaced"} == {
        f"{host(1, 2)} - sw-k1-r0: mlx5_1 should be on sw-k1-r1",
        f"{host(1, 2)} - sw-k1-r1: mlx5_0 should be on sw-k1-r0",
    }
    assert wrong(third) == {("missing", frozenset(("sw-k2-r3", "sp0-1")))}
    assert [len(one["findings"]) for one in (first, second, third)] == [1, 1, 1]
    assert labels(first, 0) == [host(0, at) for at in range(6)]
    assert labels(first, 1) == [f"sw-k0-r{rail}" for rail in range(4)]
    assert labels(first, 2) == ["sp0-0", "sp0-1"]
    assert [box["words"] for box in first["columns"][1]["boxes"]] == [f"rail {rail}" for rail in range(4)]
    assert len(first["cables"]) == 6 * 4 + 4 * 2


def test_a_cable_in_another_racks_switch_is_drawn_to_it() -> None:
    fabric = wired(Shape(racks=2, hosts=6, spines=2))
    gone = cable(fabric, host(0, 1), "sw-k0-r1")
    moved = fabric.without(gone).with_cables((gone[0], (fabric.key("sw-k1-r1"), 50)))
    first, second = pictures(cluster(moved, 2, 6))
    assert wrong(first) == {
        ("misplaced", frozenset((host(0, 1), "sw-k1-r1"))),
        ("missing", frozenset((host(0, 1), "sw-k0-r1"))),
    }
    assert "sw-k1-r1" in labels(first, 1)
    assert wrong(second) == set()


def test_a_leaf_without_a_node_is_a_leaf_and_a_core_is_above_the_spines() -> None:
    fabric = wired(Shape(racks=2, hosts=3, rails=2, spines=2))
    idle = [ends for ends in fabric.host_cables() if "sw-k1-r1" in fabric.names(ends)]
    *_, none = sorted(pictures(cluster(fabric.without(*idle), 2, 3)), key=lambda one: -len(one["nodes"]))
    assert (none["nodes"], labels(none, 1), labels(none, 2)) == ([], ["sw-k1-r1"], ["sp0-0", "sp0-1"])
    assert none["columns"][1]["boxes"][0]["words"] == "no node"
    *groups, above = pictures(cluster(wired(Shape(racks=4, hosts=3, rails=2, spines=2, pods=2, cores=2)), 4, 3))
    assert [labels(one, 2) for one in groups] == [["sp0-0", "sp0-1"]] * 2 + [["sp1-0", "sp1-1"]] * 2
    assert (labels(above, 1), labels(above, 2)) == (["sp0-0", "sp0-1", "sp1-0", "sp1-1"], ["top-0", "top-1"])


def test_a_picture_stays_small_and_what_is_wrong_is_in_it() -> None:
    fabric = wired(Shape(racks=1, hosts=90, rails=2, spines=40))
    gone = [cable(fabric, host(0, at), "sw-k0-r1") for at in range(3, 9)]
    gone.append(cable(fabric, "sw-k0-r0", "sp0-39"))
    found = cluster(fabric.without(*gone), 1, 90)
    (picture,) = pictures(found)
    assert labels(picture, 0) == [*(host(0, at) for at in range(3, 9)), "84 nodes of rack-1820100000001"]
    assert len(labels(picture, 2)) == 32
    assert picture["columns"][2]["left"] == 8
    assert len(wrong(picture)) == 7
    assert "sp0-39" in labels(picture, 2)
    assert len(picture["cables"]) == 7 * 2 + 2 * 32


def test_names_that_every_object_has_are_names_like_others() -> None:
    evil = ("constructor", "__proto__", "toString")
    claims = tuple(Claim(name, "leaf", "constructor", "slurm") for name in ("a", "valueOf"))
    cables = tuple(Cable(min(pair), max(pair), "slurm") for pair in [("a", evil[0]), ("valueOf", evil[0])])
    above = tuple(Cable(min(pair), max(pair), "slurm", present=False) for pair in [(evil[0], evil[1]), evil[::2]])
    (picture,) = pictures(Cluster({}, Reading(claims=claims, cables=(*cables, *above))))
    assert (labels(picture, 0), labels(picture, 1)) == (["a", "valueOf"], [evil[0]])
    assert labels(picture, 2) == ["__proto__", "toString"]


def test_without_a_cable_nothing_is_drawn() -> None:
    assert pictures(Cluster(faulty().nodes, Reading())) == []


def test_three_hundred_racks_are_three_hundred_small_pictures() -> None:
    """One rack's part of the graph 300 times, below the same spines."""
    returned = """
        const many = { nodes: {}, domains: {}, edges: [], drift: [] };
        for (let rack = 0; rack < 300; rack += 1) {
          const text = JSON.stringify(given).replaceAll("sw-k0", `sw-k${rack}`).replaceAll("node-0", `node-${rack}`);
          const { nodes, domains, edges } = JSON.parse(text);
          Object.assign(many.nodes, nodes);
          Object.assign(many.domains, domains);
          many.edges.push(...edges);
        }
        const fabric = fabricOf(many);
        return fabric.groups.map((one) => picture(fabric, one).cables.length);
    """
    found = cluster(wired(Shape(racks=1, hosts=18, spines=16)), 1, 18)
    assert pictures(found, returned) == [18 * 4 + 4 * 16] * 300
