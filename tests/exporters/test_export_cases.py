"""Exports of clusters that trip schedulers: other people's cases, and others of the same kinds."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import nvtopo
from nvtopo.cli import main
from nvtopo.cluster.claims import TIERS
from nvtopo.cluster.nodes import readable
from nvtopo.exporters.document import DomainEntry, GraphDocument, NodeEntry
from nvtopo.exporters.schedulers import kinds, koordinator, nfd, nrt, slurm, view, volcano
from nvtopo.exporters.schedulers.slurm_kept import Before, Switch
from nvtopo.fabrics import slurm_conf, slurm_yaml
from nvtopo.model.conclusions.health_kinds import Level
from tests.exporters import clusters, schemas
from tests.exporters.clusters import NOWHERE
from tests.hosts.test_health import MACHINES

CASES: Final = Path(nvtopo.__file__).resolve().parents[2] / "shared" / "cases" / "second" / "cluster"
Tiers = Mapping[str, str]
PLAIN: Final = slurm.Wanted()


def case(name: str) -> dict[str, Any]:
    """A case, or the test is skipped."""
    path = CASES / f"{name}.json"
    if not path.exists():
        pytest.skip(f"no case {name} beside the project")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def graph(nodes: Mapping[str, Tiers], names: Mapping[str, str] | None = None) -> GraphDocument:
    """Node → tier → what the domain is called there; it is its name, unless ``names`` has another."""
    members: dict[tuple[str, str], list[str]] = {}
    for node, tiers in nodes.items():
        for tier, key in tiers.items():
            members.setdefault((tier, key), []).append(node)
    entries = {
        node: NodeEntry(
            tiers={tier: f"{tier}/{key}" for tier, key in tiers.items()},
            gpus=8,
            health={},
            fabric=None,
            position=NOWHERE,
            problems=(),
        )
        for node, tiers in nodes.items()
    }
    domains = {
        f"{tier}/{key}": DomainEntry(
            tier=tier, parent=None, name=(names or {}).get(key, key), nodes=tuple(group), chassis=(), silent=()
        )
        for (tier, key), group in sorted(members.items(), key=lambda one: TIERS.index(one[0][0]))
    }
    return GraphDocument(generation=1, nodes=entries, domains=domains)


def exported(nodes: Mapping[str, Tiers], wanted: slurm.Wanted = PLAIN) -> kinds.Export:
    document = graph(nodes)
    return kinds.Export(view.of(document), document, slurm=wanted)


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def members(export: kinds.Export) -> dict[str, list[tuple[str, str]]]:
    """HyperNode → its members."""
    return {
        found["metadata"]["name"]: [
            (one["type"], one["selector"]["exactMatch"]["name"]) for one in found["spec"]["members"]
        ]
        for found in volcano.documents(export.view, "nvtopo")
    }


@pytest.mark.parametrize("name", clusters.CLUSTERS)
@pytest.mark.parametrize("kind", kinds.OBJECTS)
def test_consumers_take_what_is_exported(name: str, kind: str) -> None:
    for found in kinds.OBJECTS[kind](clusters.CLUSTERS[name]()):
        assert schemas.complaints(found) == []


def test_the_schemas_would_refuse() -> None:
    (found, *_) = kinds.OBJECTS["kai"](clusters.small())
    assert schemas.complaints(found | {"spec": {"levels": [{"label": "x"}]}})
    assert schemas.complaints(found | {"spec": {"levels": []}})


def test_x02_a_node_that_is_gone_is_in_no_object() -> None:
    right = case("x02-node-gone")["right_answer"]
    before, after = (members(exported({node: {"leaf": "s0"} for node in right[key]})) for key in ("before", "after"))
    assert [name for _, name in before["nvtopo-leaf-s00000"]] == right["before"]
    assert [name for _, name in after["nvtopo-leaf-s00000"]] == right["after"]


def test_x02_a_leaf_without_nodes_has_no_object() -> None:
    document = graph({"node0": {"leaf": "s0"}})
    empty = DomainEntry(tier="leaf", parent=None, name="s1", nodes=(), chassis=(), silent=())
    found = view.of(GraphDocument(generation=1, nodes=document.nodes, domains={**document.domains, "s1": empty}))
    assert [one["metadata"]["name"] for one in volcano.documents(found, "nvtopo")] == ["nvtopo-leaf-s00000"]


def test_x04_two_fabrics_stay_two() -> None:
    given = case("x04-two-fabrics")
    nodes = {
        node: {"leaf": leaf, "spine": fabric}
        for fabric, leaves in given["input"]["fabrics"].items()
        for leaf, group in leaves.items()
        for node in group
    }
    found = {tuple(line.split()) for line in lines(kinds.text("slurm-tree", exported(nodes)))}
    assert found == {tuple(line.replace("A0", "A00000").replace("B0", "B00000").split()) for line in _want(given)}


def _want(given: Mapping[str, Any]) -> Sequence[str]:
    found: Sequence[str] = given["right_answer"]["topology.conf"]
    return found


def test_x06_a_node_that_slurm_does_not_run_on_has_no_switch() -> None:
    nodes = case("x06-label-without-slurmd")["input"]["nodes"]
    export = exported({name: {"leaf": one["leaf"], "spine": "root"} for name, one in nodes.items()})
    names = {name: one["slurm"] for name, one in nodes.items()}
    text = kinds.text("slurm-tree", export._replace(slurm=slurm.Wanted(names)))
    assert lines(text) == ["SwitchName=root Switches=leaf00001", "SwitchName=leaf00001 Nodes=w-0"]


def test_p01_a_node_called_like_its_block_counts() -> None:
    given = case("p01-hostname-equals-block")
    block = given["input"]["levels"][0]
    nodes = {one["name"]: {"rack": one["labels"][block]} for one in given["input"]["nodes"]}
    export = exported(nodes)
    found = members(export)
    assert [name for _, name in found["nvtopo-rack-b00001"]] == given["right_answer"]["block b1 nodes"]
    assert lines(kinds.text("slurm-block", export))[0] == "BlockName=b00001 Nodes=b1,n[2-3]"
    vertices = [line for line in kinds.text("graphml", export).splitlines() if "<node " in line]
    assert len(set(vertices)) == len(vertices) == 6


def test_p05_racks_of_one_name_in_two_blocks_are_two() -> None:
    free = case("p05-leader-takes-room")["input"]["free_gpus"]
    nodes = {}
    for path in free:
        block, rack, node = path.split("/")
        nodes[node] = {"rack": f"{block}/{rack}", "leaf": block}
    document = graph(nodes, {f"{one['leaf']}/{rack}": rack for one in nodes.values() for rack in ("r1", "r2", "r3")})
    names = {node: tiers["rack"] for node, tiers in view.of(document).of.items()}
    assert len(set(names.values())) == 4
    assert names["x1"].startswith("r00001-")


def test_names_that_begin_alike_are_told_apart() -> None:
    export = exported({f"rack-{number}": {"rack": "rack-1" if number < 10 else "rack-10"} for number in range(1, 21)})
    for found in volcano.documents(export.view, "nvtopo"):
        assert all(set(one["selector"]) == {"exactMatch"} for one in found["spec"]["members"])
    assert {len(group) for group in members(export).values()} == {9, 11}


def test_domains_of_two_tiers_with_one_name_are_two_objects_and_two_switches() -> None:
    export = exported({f"n{number}": {"leaf": "a", "spine": "a"} for number in range(2)})
    assert len(members(export)) == 2
    text = kinds.text("slurm-tree", export)
    slurm_conf.read(text)
    assert text.count("SwitchName=") == 2


def test_a_domain_over_two_racks_has_one_parent() -> None:
    nodes = {f"n{number}": {"nvlinkDomain": "d1", "rack": f"r{number % 2}", "leaf": "l1"} for number in range(4)}
    export = exported(nodes)
    assert export.view.tiers == ("nvlinkDomain", "leaf")
    assert members(export)["nvtopo-leaf-l00001"] == [("HyperNode", "nvtopo-nvlink-d00001")]


def test_a_node_whose_leaf_is_not_known_gives_its_domain_no_second_parent() -> None:
    nodes = {
        "n1": {"nvlinkDomain": "d1", "leaf": "l1", "spine": "s1"},
        "n2": {"nvlinkDomain": "d1", "spine": "s1"},
        "n3": {"spine": "s1"},
    }
    export = exported(nodes)
    found = [one for group in members(export).values() for one in group]
    assert len(found) == len(set(found))
    text = kinds.text("slurm-tree", export)
    slurm_conf.read(text)
    assert "Nodes=n3" in text


def test_numbers_in_names_sort_as_people_count() -> None:
    export = exported({f"n{number}": {"leaf": f"leaf-{number}"} for number in range(1, 13)})
    values = [nfd.labels(export.view, f"n{number}")["nvtopo.io/topology.leaf"] for number in range(1, 13)]
    assert values == sorted(values)
    assert [place.name for place in export.view.places["leaf"]] == values


def test_each_shape_of_kueue_is_complete() -> None:
    export = clusters.edge()
    found = kinds.OBJECTS["kueue"](export)
    flavors = [one for one in found if one["kind"] == "ResourceFlavor"]
    topologies = {one["metadata"]["name"]: one["spec"]["levels"] for one in found if one["kind"] == "Topology"}
    for flavor in flavors:
        selector = flavor["spec"]["nodeLabels"][view.LEVELS_LABEL]
        levels = [level["nodeLabel"] for level in topologies[flavor["spec"]["topologyName"]]][:-1]
        chosen = [nfd.labels(export.view, node) for node in export.view.nodes]
        chosen = [labels for labels in chosen if labels.get(view.LEVELS_LABEL) == selector]
        assert chosen
        assert all(set(levels) <= labels.keys() for labels in chosen)


def test_numa_minus_one_is_no_place() -> None:
    export = clusters.edge()
    (device,) = (one for one in kinds.OBJECTS["koordinator-device"](export) if one["metadata"]["name"] == "flat")
    assert len(device["spec"]["devices"]) >= 4
    assert not any("topology" in one for one in device["spec"]["devices"])
    (zones,) = (one["zones"] for one in kinds.OBJECTS["nrt"](export) if one["metadata"]["name"] == "flat")
    assert "nvidia.com/gpu" not in {resource["name"] for zone in zones for resource in zone["resources"]}


@pytest.mark.parametrize("level", get_args(Level))
def test_exports_that_say_which_gpus_may_be_used_agree(level: Level) -> None:
    """One of which nobody knows how it is, or of a node that is not heard any more, is none."""
    node = readable("a", MACHINES["hgx-h200-8gpu"].node)
    nodes = {"a": dataclasses.replace(node, health=dict.fromkeys(node.health, level))}
    ((device,), (zones,)) = koordinator.devices(nodes), [one["zones"] for one in nrt.documents(nodes)]
    well = [one["health"] for one in device["spec"]["devices"] if one["type"] == "gpu"]
    offered = [int(one["available"]) for zone in zones for one in zone["resources"] if one["name"] == "nvidia.com/gpu"]
    assert well == [level in ("ok", "degraded")] * 8
    assert sum(offered) == sum(well)


def test_claims_on_domains_always_say_how_large() -> None:
    found = [
        one for one in kinds.OBJECTS["dra"](clusters.nvl72()) if one["metadata"]["name"] == "nvtopo-nvlink-domain-18"
    ]
    (template,) = found
    (request,) = template["spec"]["spec"]["devices"]["requests"]
    assert "nodes.orValue(0) >= 18" in request["exactly"]["selectors"][0]["cel"]["expression"]


BEFORE: Final = Before(
    {"spine1": Switch("spine1", ("leaf1", "leaf9"), ()), "leaf1": Switch("leaf1", (), ("n1", "n2", "n7")),
     "leaf9": Switch("leaf9", (), ("n9",))},
    (("gone", ("old",)), ("b2", ("n3", "n4")), ("before", ("n1", "n8", "n2"))),
    (2, 4),
)  # fmt: skip


def test_blocks_stay_where_they_were_when_racks_are_renamed_and_nodes_are_away() -> None:
    nodes = {"n1": "b1", "n2": "b1", "n3": "b2", "n4": "b2", "n5": "b3", "n6": "b3"}
    names = {f"n{number}": f"n{number}" for number in range(1, 10)}
    export = exported({node: {"nvlinkDomain": name} for node, name in nodes.items()}, slurm.Wanted(names, (), BEFORE))
    assert lines(kinds.text("slurm-block", export)) == [
        "BlockName=gone",
        "BlockName=b00002 Nodes=n[3-4]",
        "BlockName=b00001 Nodes=n[1,8,2]",
        "BlockName=b00003 Nodes=n[5-6]",
        "BlockSizes=2,4",
    ]


def test_nodes_that_are_away_stay_below_their_switches() -> None:
    nodes = {"n1": {"leaf": "leaf1", "spine": "spine1"}, "n2": {"leaf": "leaf1", "spine": "spine1"}}
    document = graph(nodes)
    export = kinds.Export(view.of(document), document, slurm=slurm.Wanted(before=_padded(BEFORE)))
    assert lines(kinds.text("slurm-tree", export)) == [
        "SwitchName=spine00001 Switches=leaf[00001,00009]",
        "SwitchName=leaf00001 Nodes=n[1-2,7]",
        "SwitchName=leaf00009 Nodes=n9",
    ]


def _padded(before: Before) -> Before:
    def new(name: str) -> str:
        return f"{name[:-1]}0000{name[-1]}"

    switches = {
        new(one.name): Switch(new(one.name), tuple(map(new, one.switches)), one.nodes)
        for one in before.switches.values()
    }
    return before._replace(switches=switches)


NODES = st.dictionaries(st.integers(1, 40).map("n{}".format), st.integers(1, 5).map("b{}".format), max_size=20)


@given(NODES, NODES)
@pytest.mark.slow
def test_no_block_moves_and_no_node_is_twice(before: dict[str, str], after: dict[str, str]) -> None:
    first = exported({node: {"nvlinkDomain": name, "leaf": name} for node, name in before.items()})
    old = Before(
        {one.name: one for one in slurm.switches(first.view)},
        tuple(slurm.blocks(first.view)),
    )
    wanted = slurm.Wanted(before=old)
    second = exported({node: {"nvlinkDomain": name, "leaf": name} for node, name in after.items()}, wanted)
    found = slurm.blocks(second.view, wanted)
    listed = [node for _name, nodes in found for node in nodes]
    assert len(listed) == len(set(listed))
    assert set(listed) == before.keys() | after.keys()
    assert len({name for name, _nodes in found}) == len(found) >= len(old.blocks)
    same = [(name, place) for place, (name, _nodes) in enumerate(old.blocks) if name in {name for name, _ in found}]
    assert all(found[place][0] == name for name, place in same)
    if before or after:
        slurm_conf.read(kinds.text("slurm-tree", second))
        slurm_conf.read(kinds.text("slurm-block", second))
        slurm_yaml.read(yaml.safe_load(kinds.text("slurm-yaml", second)))


@pytest.mark.parametrize("name", clusters.CLUSTERS)
@pytest.mark.parametrize("kind", ["slurm-tree", "slurm-block", "slurm-yaml"])
def test_slurm_s_rules_hold(name: str, kind: str) -> None:
    """The same reader refuses every broken file of ``cases/cluster_slurm``; ``make cases`` holds it to that."""
    export = clusters.CLUSTERS[name]()
    text = kinds.text(kind, export)
    if kind == "slurm-yaml":
        document = yaml.safe_load(text)
        if document[0].get("flat") is not True:
            slurm_yaml.read(document)
    elif lines(text):
        slurm_conf.read(text)


RACK: Final = str(Path(__file__).resolve().parents[2] / "fixtures/clusters/gb200-nvl72-rack")


def test_the_command_keeps_places_of_what_it_wrote_before(tmp_path: Path) -> None:
    output = tmp_path / "topology.yaml"
    arguments = ["export", "slurm-yaml", "--from", RACK, "--output", str(output)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    text = output.read_text(encoding="utf-8")
    assert text.count("- block: ") == 1
    output.write_text(text.replace("    - block: ", "    - block: rack-gone\n    - block: "), encoding="utf-8")
    assert CliRunner().invoke(main, [*arguments, "--check"]).exit_code == 0
    output.write_text("no topology", encoding="utf-8")
    refused = CliRunner().invoke(main, arguments, standalone_mode=False)
    assert "no topology of Slurm to keep places from" in str(refused.exception)


def test_names_of_slurm_come_from_lines_or_from_pods(tmp_path: Path) -> None:
    node = "nvl72-r01-t00"
    lined, pods = tmp_path / "names", tmp_path / "pods.json"
    lined.write_text(f"# node name\n{node} w-0\n", encoding="utf-8")
    pod = {"metadata": {"labels": {"slurm.node.name": "w-0"}}, "spec": {"nodeName": node, "hostname": "other"}}
    pods.write_text(json.dumps({"kind": "List", "items": [pod, {"spec": {}}]}), encoding="utf-8")
    outputs = [
        CliRunner().invoke(main, ["export", "slurm-block", "--from", RACK, "--slurm-names", str(path)]).stdout
        for path in (lined, pods)
    ]
    assert outputs[0] == outputs[1]
    assert "Nodes=w-0\n" in outputs[0]
    lined.write_text(f"{node} w-0\nnvl72-r01-t01 w-0\n", encoding="utf-8")
    twice = CliRunner().invoke(
        main, ["export", "slurm-block", "--from", RACK, "--slurm-names", str(lined)], standalone_mode=False
    )
    assert "each name of Slurm once" in str(twice.exception)


def test_facts_of_nodes_are_not_at_an_aggregator() -> None:
    refused = CliRunner().invoke(main, ["export", "nrt", "--server", "http://127.0.0.1:1"], standalone_mode=False)
    assert "nrt needs all facts of nodes" in str(refused.exception)
