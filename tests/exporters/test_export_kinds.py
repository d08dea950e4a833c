"""Each kind of export on one cluster, whole: what a change would change for a scheduler shows in the diff."""

import itertools
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.cli import export, main
from nvtopo.exporters.document import GraphDocument
from nvtopo.exporters.schedulers import hostlist, kinds, nfd, owned, podgroup, slurm, topograph, view
from nvtopo.model.formats import yaml
from tests.exporters import clusters
from tests.exporters.clusters import cluster
from tests.golden import check

GOLDEN = Path(__file__).parent / "golden" / "export"


def made(document: GraphDocument) -> kinds.Export:
    return kinds.Export(view.of(document), document)


#: The graph's own JSON has golden files of its own.
GOLDENS = [
    (name, kind)
    for name in clusters.CLUSTERS
    for kind in kinds.KINDS
    if (name, kind) == ("small", "json") or kind != "json"
]


@pytest.mark.parametrize(("name", "kind"), GOLDENS)
def test_each_kind_is_as_recorded(name: str, kind: str) -> None:
    check(kinds.text(kind, clusters.CLUSTERS[name]()), GOLDEN / name / f"{kind}.txt")


def test_the_command_names_every_kind() -> None:
    assert export.KINDS == kinds.KINDS
    assert set(export.APPLIED) == set(owned.COLLECTIONS)
    assert set(owned.COLLECTIONS) == kinds.OBJECTS.keys() - {"podgroup"}


def test_order_of_tiers() -> None:
    """Each consumer's own direction, from one closest-first order."""
    whole = made(cluster())
    keys = [view.LABELS[tier] for tier in whole.view.tiers]
    assert whole.view.tiers == ("nvlinkDomain", "leaf", "spine")
    for kind in ("kueue", "kai"):
        levels = kinds.OBJECTS[kind](whole)[0]["spec"]["levels"]
        assert [level["nodeLabel"] for level in levels] == [*reversed(keys), view.HOSTNAME]
    tiers = {found["spec"]["tierName"]: found["spec"]["tier"] for found in kinds.OBJECTS["volcano"](whole)}
    assert tiers == {"nvlinkdomain": 1, "leaf": 2, "spine": 3}
    layers = kinds.OBJECTS["koordinator"](whole)[0]["spec"]["networkTopologySpec"]
    assert (layers[0]["topologyLayer"], layers[-1]["topologyLayer"]) == ("SpineLayer", "NodeTopologyLayer")
    own = topograph.labels(whole.view, "n00")
    assert own["fabric.topograph.run/tier-0"] == whole.view.of["n00"]["leaf"]


def test_names_that_are_prefixes_are_different_members() -> None:
    whole = made(cluster(racks=12))
    for found in kinds.OBJECTS["volcano"](whole):
        assert all(set(member["selector"]) == {"exactMatch"} for member in found["spec"]["members"])


def test_a_node_of_no_place_is_said_and_in_no_switch() -> None:
    whole = made(cluster(lost="alone"))
    text = kinds.text("slurm-tree", whole)
    assert "# In no place that anybody knows of: alone" in text
    assert "alone" not in "".join(line for line in text.splitlines() if not line.startswith("#"))
    assert nfd.labels(whole.view, "alone") == {}


def test_two_fabrics_have_no_common_root() -> None:
    whole = made(cluster(racks=2, spines=2))
    text = slurm.tree(whole.view)
    assert text.count("Switches=") == 2


def test_a_switch_without_a_slurm_node_is_left_out() -> None:
    whole = made(cluster(racks=2))
    gone = dict.fromkeys(whole.view.places["leaf"][1].nodes)
    text = slurm.tree(whole.view, slurm.Wanted({"n00": "w-0", **gone}))
    assert "w-0" in text
    assert text.count("Nodes=") == 1


def test_block_sizes_double() -> None:
    blocks = [(f"b{number}", ("n",) * size) for number, size in enumerate((4, 4, 6, 0))]
    assert slurm.block_sizes(blocks) == (4, 8)
    assert slurm.is_nested(slurm.block_sizes(blocks))


NAMES = st.lists(st.from_regex(r"[a-z]{1,2}-?[0-9]{0,3}[a-z]?", fullmatch=True), max_size=12, unique=True)


@given(NAMES)
def test_a_host_list_gives_back_the_names(names: list[str]) -> None:
    assert list(unfolded(hostlist.folded(names))) == names


def test_numbers_that_slurm_would_not_read_are_not_folded() -> None:
    long = ["n1234567890", "n1234567891"]
    assert hostlist.folded(long) == ",".join(long)


def unfolded(text: str) -> list[str]:
    """As Slurm reads it: written anew here, so that both would have to be wrong."""
    found: list[str] = []
    while text:
        prefix, bracket, rest = text.partition("[")
        if not bracket or "," in prefix:
            name, _, text = text.partition(",")
            found.append(name)
            continue
        inside, _, text = rest.partition("]")
        text = text.removeprefix(",")
        for part in inside.split(","):
            first, _, last = part.partition("-")
            numbers = range(int(first), int(last or first) + 1)
            found += [f"{prefix}{number:0{len(first) if first[0] == '0' else 0}}" for number in numbers]
    return found


def test_a_tier_that_is_cut_is_said_with_the_domain_that_cuts_it(tmp_path: Path) -> None:
    tiers = "tiers: {rack: {r1: [a], r2: [b, c]}, leaf: {l1: [a, b], l2: [c]}}"
    (tmp_path / "t.yaml").write_text(f"apiVersion: nvtopo.io/v1alpha1\nkind: ClusterTopology\n{tiers}\n")
    found = CliRunner().invoke(main, ["export", "kueue", "--from", str(tmp_path)])
    said = "export: leaf is left out: rack-r000002 lies in two of its domains, and schedulers take a tree\n"
    assert (found.exit_code, found.stderr) == (0, said)
    assert "topology.rack" in found.stdout
    assert "topology.leaf" not in found.stdout
    assert not CliRunner().invoke(main, ["export", "json", "--from", str(tmp_path)]).stderr


@pytest.mark.slow
def test_what_did_not_change_is_not_written(tmp_path: Path) -> None:
    rack = str(Path(__file__).resolve().parents[2] / "fixtures/clusters/gb200-nvl72-rack")
    output = tmp_path / "topology.conf"
    arguments = ["export", "slurm-block", "--from", rack, "--output", str(output)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    before, before_text = output.stat(), output.read_text(encoding="utf-8")
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert output.stat().st_ino == before.st_ino
    assert CliRunner().invoke(main, [*arguments, "--check"]).exit_code == 0
    output.write_text(before_text.replace("BlockSizes", "# by hand\nBlockSizes"), encoding="utf-8")
    checked = CliRunner().invoke(main, [*arguments, "--check"])
    assert checked.exit_code == 1
    assert "-# by hand" in checked.stdout
    assert "# by hand" in output.read_text(encoding="utf-8")


def test_label_values_are_unique_and_sort_as_the_racks_stand() -> None:
    whole = made(cluster(racks=12))
    names = [place.name for place in whole.view.places["nvlinkDomain"]]
    assert names == sorted(set(names))
    assert list(itertools.chain.from_iterable(place.nodes for place in whole.view.places["leaf"])) == list(
        whole.view.nodes
    )


def test_the_next_release_s_podgroup_is_recorded_and_no_server_has_seen_it() -> None:
    found = podgroup.documents(clusters.small().view, "nvtopo", podgroup.NEXT_API_VERSION)
    text = "---\n".join(yaml.text_of(one) for one in found)
    check(text, GOLDEN / "small" / "podgroup-1.37.unvalidated.txt")
