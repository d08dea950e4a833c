"""Topology files: Slurm, topograph, Volcano, labels of nodes, the operator's own file and expected cabling."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.cluster.claims import Reading
from nvtopo.fabrics import hostlist, recognise
from nvtopo.fabrics.fabric import Known
from nvtopo.fabrics.refused import Refused
from tests.fabrics.ibfabric import Shape, host, text, wired
from tests.fabrics.reading import absent, evidence, partition, read, read_files

SETS = {frozenset({"n1", "n2"}), frozenset({"n3", "n4"})}


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("n[1-3,7]", "n1 n2 n3 n7"),
        ("n[08-11]", "n08 n09 n10 n11"),
        ("r[0-1]n[00-01]", "r0n00 r0n01 r1n00 r1n01"),
        ("a1,b[1-2]-ib, c", "a1 b1-ib b2-ib c"),
        ("[1101-1102]", "1101 1102"),
        ("tara-dgx1-[001-002]", "tara-dgx1-001 tara-dgx1-002"),
        ("", ""),
    ],
)
def test_hostlists(written: str, names: str) -> None:
    assert hostlist.expand(written) == tuple(names.split())


@pytest.mark.parametrize(
    "written", ["n[1-", "n]1[", "n[3-1]", "n[a-b]", "n[1-9999999]", "n[1-999]m[1-999]", "n[[1]]", "n[]", "a b"]
)
def test_what_is_no_hostlist(written: str) -> None:
    with pytest.raises(Refused, match="expected"):
        hostlist.expand(written)


TREE = """
SwitchName=s1 Nodes=n[1-2]  LinkSpeed=5 # the first
switchname=s2 \\
   nodes=n[3-4]
SwitchName=top Switches=s[1-2]
"""


@pytest.mark.parametrize("line", ["a", " ", "a ", 'a="', "a=b ", "=", "\\\n"])
@pytest.mark.slow
def test_a_long_line_of_slurm_is_looked_through_once(line: str) -> None:
    """Searching for its next pair from each of a million places would take hours."""
    script = (
        "from nvtopo.fabrics import slurm_conf; from nvtopo.fabrics.refused import Refused\n"
        f"text = 'SwitchName=s Nodes=n1 ' + {line!r} * 1_000_000 + '!'\n"
        "try: slurm_conf.read(text)\n"
        "except Refused: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "refused\n", done.stderr


def test_a_tree_of_slurm() -> None:
    reading = read(TREE)
    assert partition(reading) == SETS
    assert partition(reading, "spine") == {frozenset({"n1", "n2", "n3", "n4"})}


def test_a_leaf_below_the_root_beside_a_deeper_branch_is_a_leaf() -> None:
    reading = read(TREE + "SwitchName=far Nodes=n5\nSwitchName=root Switches=top,far\n")
    assert partition(reading) == {*SETS, frozenset({"n5"})}
    assert partition(reading, "spine") == {frozenset({"n1", "n2", "n3", "n4"})}
    assert partition(reading, "core") == {frozenset({"n1", "n2", "n3", "n4", "n5"})}


def test_parallel_spines_are_one_domain() -> None:
    reading = read(TREE + "SwitchName=top2 Switches=s[1-2]\n")
    assert partition(reading, "spine") == {frozenset({"n1", "n2", "n3", "n4"})}


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ("SwitchName=s1 Nodes=n9", "s1 is defined twice"),
        ("SwitchName=x Switches=s9", "x names s9, which is not"),
        ("SwitchName=x Switches=x", "x is below itself"),
        ("SwitchName=x Switches=y\nSwitchName=y Switches=x", "is below itself by way of other switches"),
        ("SwitchName=x Switches=s1 Nodes=n9", "x has both"),
        ("SwitchName=x Knobs=1", "expected a key of topology.conf, got 'knobs'"),
        ("BlockName=b Nodes=n9", "one kind of topology"),
        ("SwitchName=x Nodes=n[9-", "unbalanced brackets"),
        ("nonsense", "expected Key=Value"),
        ("Include more.conf", "the whole topology in one file"),
        ("BlockSizes=4", "with switches"),
        (f"SwitchName={'x' * 65} Nodes=n9", "at most 64 characters"),
    ],
)
def test_trees_that_slurm_refuses(added: str, says: str) -> None:
    assert says in (read(TREE + added + "\n").refused or "")


@pytest.mark.parametrize(
    ("sizes", "says"),
    [("4,12", "times a power of two"), ("0", "above 0"), ("4,six", "expected BlockSizes"), ("4,6", "power of two")],
)
def test_block_sizes(sizes: str, says: str) -> None:
    blocks = f"BlockName=b1 Nodes=n[1-2]\nBlockName=b2 Nodes=n[3-4]\nBlockSizes={sizes}\n"
    assert says in (read(blocks).refused or "")
    assert partition(read(blocks.replace(sizes, "2,4")), "nvlinkDomain") == SETS


def test_an_empty_block_keeps_its_place_and_a_node_is_in_one() -> None:
    assert (
        partition(read("BlockName=b1 Nodes=n[1-2]\nBlockName=gap\nBlockName=b2 Nodes=n[3-4]\n"), "nvlinkDomain") == SETS
    )
    assert "n1 is in b1 and b2" in (read("BlockName=b1 Nodes=n1\nBlockName=b2 Nodes=n1\n").refused or "")


YAML_TREE = """
- topology: t
  cluster_default: true
  tree:
    switches:
    - {switch: top, children: "s[1-2]"}
    - {switch: s1, nodes: "n[1-2]"}
    - {switch: s2, nodes: "n[3-4]"}
"""


def test_topologies_of_slurm_in_yaml_stand_beside_each_other() -> None:
    reading = read(YAML_TREE + "- topology: b\n  block: {block_sizes: [2], blocks: [{block: x, nodes: 'n[1-4]'}]}\n")
    assert partition(reading) == SETS
    assert partition(reading, "nvlinkDomain") == {frozenset({"n1", "n2", "n3", "n4"})}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("tree: []", "expected a mapping as tree"),
        ("tree: {switches: s1}", "expected a list of mappings as tree.switches"),
        ("tree: {switches: [{nodes: n1}]}", "expected a name as switch"),
        ("tree: {switches: [{switch: s, children: t}]}", "s names t, which is not"),
        ("tree: {switches: []}", "at least one switch"),
        ("flat: true", "a flat topology has no tiers"),
        ("flat: 5", "expected true or options as flat"),
        ("mesh: {}", "expected exactly one of"),
        ("torus3d: {toruses: [{torus: t, x: 2, y: 2, z: 1, nodes: 'n[1-3]'}]}", "expected 4 nodes in torus t of 2x2x1"),
        ("torus3d: {toruses: [{torus: t, dims: {x: 0, y: 2, z: 1}, nodes: n1}]}", "expected x, y and z above 0"),
        ("torus3d: nothing", "expected a mapping as torus3d"),
        (
            "torus3d: {toruses: {torus: t, x: 2, y: 1, z: 1, nodes: 'n[1-2]', placements: [{x: 3, y: 1, z: 1}]}}",
            "expected placements within 2x1x1",
        ),
    ],
)
def test_yaml_that_slurm_refuses(body: str, says: str) -> None:
    assert says in (read(f"- topology: t\n  {body}\n").refused or "")


def test_a_topology_without_a_name_is_refused_and_one_alone_is_read() -> None:
    alone = YAML_TREE.replace("- topology", "  topology")
    assert partition(read("\n".join(line[2:] for line in alone.splitlines()))) == SETS
    nameless = YAML_TREE.replace("- topology: t\n ", "-")
    assert "expected a name as topology" in (read(nameless).refused or "")


def test_yaml_of_slurm_in_a_config_map() -> None:
    data = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "data": {"topology.conf": TREE}})
    assert partition(read(data)) == SETS


def test_broken_yaml_says_so() -> None:
    assert "expected" in (read("- topology: t\n  tree: {\n").refused or "")


@pytest.mark.parametrize(
    "written",
    [
        "".join(f"SwitchName=s{at} Nodes=n[1-400000]\n" for at in range(3)),
        "".join(f"SwitchName=s{at} Switches=n[1-400000]\n" for at in range(3)),
        "".join(f"BlockName=s{at} Nodes=n{at}[1-400000]\n" for at in range(3)),
        "switches: {}\nblocks:\n" + "- {switch: s, nodes: ['n[1-400000]']}\n" * 3,
        "apiVersion: nvtopo.io/v1\nkind: ClusterTopology\ntiers: {leaf: {a: 'a[1-400000]', b: 'b[1-400000]'}}\n",
        "".join(f"SwitchName=s{at} Switches=s{at + 1}\n" for at in range(30)) + "SwitchName=s30 Nodes=n1\n",
    ],
)
@pytest.mark.slow
def test_a_few_lines_do_not_make_more_than_a_cluster_has(written: str) -> None:
    assert "at most" in (read(written).refused or "")


MODEL = {
    "switches": {"top": {"switches": ["s[1-2]"]}, "s1": {"labels": {"topology.kubernetes.io/zone": "z1"}}},
    "blocks": [
        {
            "switch": "s1",
            "nodes": ["n[1-2]"],
            "annotations": {"accelerator.x/domain": "d1", "accelerator.x/sub-domain": "r"},
        },
        {
            "switch": "s2",
            "nodes": ["n3", "n4"],
            "annotations": {"accelerator.x/domain": "d2", "accelerator.x/sub-domain": "r"},
        },
    ],
}


def test_a_model_of_topograph() -> None:
    reading = read(json.dumps(MODEL))
    for tier in ("leaf", "nvlinkDomain", "rack"):
        assert partition(reading, tier) == SETS
    assert partition(reading, "zone") == {frozenset({"n1", "n2"})}


def test_a_model_that_is_no_tree_is_refused() -> None:
    model = MODEL | {"switches": {"top": {"switches": ["s1", "s2", "s3"]}}}
    assert "top names s3, which is not" in (read(json.dumps(model)).refused or "")


def test_topographs_answer_counts_from_the_closest() -> None:
    instances = [{"id": f"n{at}", "network_layers": [f"l{(at + 1) // 2}", "sp", "co"]} for at in range(1, 5)]
    reading = read(json.dumps({"instances": instances}))
    assert partition(reading) == SETS
    assert {claim.id for claim in reading.claims if claim.tier == "core"} == {"co"}


def hypernode(name: str, tier: int, kind: str, *members: str) -> str:
    listed = "".join(f"\n  - {{type: {kind}, selector: {member}}}" for member in members)
    head = f"---\napiVersion: topology.volcano.sh/v1alpha1\nkind: HyperNode\nmetadata: {{name: {name}}}\n"
    return f"{head}spec:\n  tier: {tier}\n  members:{listed}\n"


def exact(name: str) -> str:
    return f"{{exactMatch: {{name: {name}}}}}"


def test_hypernodes_of_volcano() -> None:
    leaves = hypernode("h1", 1, "Node", exact("n1"), exact("n2")) + hypernode(
        "h2", 1, "Node", "{regexMatch: {pattern: '^n[34]$'}}"
    )
    both = leaves + hypernode("h3", 2, "HyperNode", exact("h1"), exact("h2"))
    reading = read(both, Known({}, frozenset({"n1", "n2", "n3", "n4", "n34"})))
    assert partition(reading) == SETS
    assert partition(reading, "spine") == {frozenset({"n1", "n2", "n3", "n4"})}


@pytest.mark.parametrize(
    ("text_", "says"),
    [
        (hypernode("h", 1, "Node", exact("n1")) * 2, "h is defined twice"),
        (hypernode("h", 1, "HyperNode", exact("gone")), "found none"),
        (hypernode("h", 1, "Node", "{regexMatch: {pattern: '(a+)+$'}}"), "expected a plain pattern"),
        (hypernode("h", 1, "Node", "{regexMatch: {pattern: '(n|n)+$'}}"), "expected a plain pattern"),
        (hypernode("h", 1, "Node", "{regexMatch: {pattern: '(n|nn)*x'}}"), "expected a plain pattern"),
        (hypernode("h", 1, "Node", "{regexMatch: {pattern: '(?:n?){40}x'}}"), "expected a plain pattern"),
        (hypernode("h", 1, "Node", "{regexMatch: {pattern: '.*.*.*.*x'}}"), "expected a plain pattern"),
        (hypernode("h", 1, "Node", "{regexMatch: {pattern: 'n?n?n?n?x'}}"), "expected a plain pattern"),
        (hypernode("h", 1, "Node", exact("n")) + hypernode("g", 1, "HyperNode", exact("h")), "expected lower tiers"),
    ],
)
def test_hypernodes_that_are_refused(text_: str, says: str) -> None:
    assert says in (read(text_).refused or "")


def node(name: str, **labels: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def of_labels(*nodes: dict[str, object]) -> dict[str, Reading]:
    return read_files({"nodes": json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes})})


@pytest.mark.parametrize(
    ("source", "labels", "tiers"),
    [
        (
            "aws",
            {f"topology.k8s.aws/network-node-layer-{layer}": f"nn-{layer}" for layer in (1, 2, 3)},
            {"leaf": "nn-3", "spine": "nn-2", "core": "nn-1"},
        ),
        ("aws", {"topology.k8s.aws/network-node-layer-2": "nn-2"}, {"spine": "nn-2"}),
        (
            "topograph",
            {"fabric.topograph.run/tier-0": "a", "fabric.topograph.run/tier-1": "b"},
            {"leaf": "a", "spine": "b"},
        ),
        (
            "topograph-old",
            {f"network.topology.nvidia.com/{tier}": tier for tier in ("accelerator", "leaf", "spine", "core")},
            {"nvlinkDomain": "accelerator", "leaf": "leaf", "spine": "spine", "core": "core"},
        ),
        (
            "gcp",
            {"cloud.google.com/gce-topology-block": "b", "cloud.google.com/gce-topology-subblock": "s"},
            {"leaf": "s", "spine": "b"},
        ),
        (
            "oci",
            {"oci.oraclecloud.com/rdma.local_block_id": "l", "oci.oraclecloud.com/rdma.hpc_island_id": "i"},
            {"leaf": "l", "core": "i"},
        ),
        (
            "coreweave",
            {"ib.coreweave.cloud/leafgroup": "3", "node.coreweave.cloud/rack": "r"},
            {"leaf": "3", "rack": "r"},
        ),
        ("crusoe", {"crusoe.ai/pod.id": "p"}, {"spine": "p"}),
        ("nvidia", {"nvidia.com/gpu.clique": "u.1"}, {"nvlinkDomain": "u.1"}),
        ("kubernetes", {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"}, {"zone": "z"}),
    ],
)
def test_labels_of_nodes(source: str, labels: dict[str, str], tiers: dict[str, str]) -> None:
    (reading,) = of_labels(node("n1", **labels)).values()
    assert {claim.tier: claim.id for claim in reading.claims} == tiers
    assert {claim.source for claim in reading.claims} == {f"labels/{source}"}


HYPER_BY_LABELS = """
apiVersion: topology.volcano.sh/v1alpha1
kind: HyperNode
metadata: {name: s0}
spec: {tier: 1, members: [{type: Node, selector: {exactMatch: {name: n1}}}]}
---
apiVersion: topology.volcano.sh/v1alpha1
kind: HyperNode
metadata: {name: s1}
spec:
  tier: 1
  members:
  - type: Node
    selector:
      labelMatch:
        matchLabels: {rack: r1}
        matchExpressions: [{key: gpu, operator: In, values: [h100, b200]}, {key: broken, operator: DoesNotExist}]
"""


def test_hypernodes_choose_nodes_by_the_labels_of_nodes_beside_them() -> None:
    labelled = [
        node("n2", rack="r1", gpu="h100"),
        node("n3", rack="r1", gpu="l40s"),
        node("n4", rack="r1", gpu="b200", broken="1"),
    ]
    found = read_files({"hyper.yaml": HYPER_BY_LABELS, "nodes.json": json.dumps({"kind": "List", "items": labelled})})
    assert {(claim.node, claim.id) for claim in found["volcano"].claims} == {("n1", "s0"), ("n2", "s1")}
    assert found["volcano"].findings == ()


def test_hypernodes_that_choose_by_labels_nobody_says_are_named() -> None:
    (reading,) = read_files({"hyper.yaml": HYPER_BY_LABELS}).values()
    assert [finding.reason.partition(",")[0] for finding in reading.findings] == ["1 HyperNodes"]


def test_a_node_that_lacks_the_fourth_layer_of_aws_is_in_the_tiers_of_those_beside_it() -> None:
    layers = {f"topology.k8s.aws/network-node-layer-{at}": f"nn-{at}" for at in range(1, 5)}
    fewer = {label: value for label, value in layers.items() if not label.endswith("4")}
    (reading,) = of_labels(node("n1", **layers), node("n2", **fewer)).values()
    assert {claim.tier: claim.id for claim in reading.claims if claim.node == "n2"} == {
        "spine": "nn-3",
        "core": "nn-2",
        "zone": "nn-1",
    }


def test_nodes_without_such_labels_are_refused_with_that_reason() -> None:
    (reading,) = of_labels(node("n1", **{"kubernetes.io/hostname": "n1"})).values()
    assert reading.refused == "expected labels of tiers on nodes, found none on 1"


def test_neighbours_that_are_not_those_expected() -> None:
    prefix = "ib.coreweave.cloud/neighbors"
    labels = {f"{prefix}.expected.ib{at}.device": f"leaf{at}" for at in range(3)} | {
        f"{prefix}.current.ib0.device": "leaf0",
        f"{prefix}.current.ib1.device": "leaf7",
    }
    reading = of_labels(node("n1", **labels))["labels/coreweave-neighbors"]
    assert evidence(reading) == [
        "n1: ib1 is on leaf7, should be on leaf1",
        "n1: ib2 has no neighbour, should have leaf2",
    ]
    assert absent(reading) == {frozenset({"n1", "leaf1"}), frozenset({"n1", "leaf2"})}


OWN = "apiVersion: nvtopo.io/v1alpha1\nkind: ClusterTopology\n"


def test_an_operators_file() -> None:
    reading = read(f"{OWN}wins: true\ntiers:\n  leaf: {{a: 'n[1-2]', b: [n3, n4]}}\nnodes:\n  n1: {{rack: r1}}\n")
    assert partition(reading) == SETS
    assert {claim.source for claim in reading.claims} == {"file/wins"}


def test_zones_of_an_operators_file() -> None:
    reading = read(f"{OWN}zones:\n  power: {{feed-a: 'n[1-2]', feed-b: [n3]}}\n  cooling: {{cdu-1: n1}}\n")
    assert reading.claims == ()
    said = {("n1", "power", "feed-a"), ("n2", "power", "feed-a"), ("n3", "power", "feed-b"), ("n1", "cooling", "cdu-1")}
    assert set(reading.zones) == said


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("tiers: {floor: {a: n1}}", "expected a tier"),
        ("teirs: {}", "got 'teirs'"),
        ("wins: maybe", "expected true or false"),
        ("tiers: {leaf: {a: n1, b: n1}}", "n1 is in a and b"),
        ("guids: {n1: [xyz]}", "expected a GUID"),
        ("tiers: {}", "found none"),
        ("zones: {leaf: {a: n1}}", "no tier, got 'leaf'"),
        ("zones: {'a b': {a: n1}}", "expected a kind of zones"),
        ("zones: {power: {a: n1, b: 'n[1-2]'}}", "one power zone for each node, n1 is in a and b"),
        ("zones: {power: [n1]}", "expected a mapping as zones.power"),
        (f"zones: {{{', '.join(f'k{number}: {{a: n1}}' for number in range(17))}}}", "at most 16 kinds"),
    ],
)
def test_an_operators_file_that_does_not_match(body: str, says: str) -> None:
    assert says in (read(f"{OWN}{body}\n").refused or "")


SMALL = wired(Shape(racks=2, hosts=3, rails=2, spines=2))
CABLING = "apiVersion: nvtopo.io/v1alpha1\nkind: ExpectedCabling\ncables:\n"


def test_guids_of_an_operators_file_name_the_hosts_of_a_fabric() -> None:
    guids = "".join(
        f'  {said.split()[0]}: ["{key[2:]}"]\n' for key, said in SMALL.said.items() if said.endswith("mlx5_0")
    )
    nameless = {key: "ConnectX" if key.startswith("H") else name for key, name in SMALL.said.items()}
    readings = read_files({"ib": text(SMALL._replace(said=nameless)), "own": f"{OWN}guids:\n{guids}"})
    assert len(partition(readings["ib"])) == 2


def test_expected_cabling_against_what_is_seen() -> None:
    one, two, three = host(0, 0), host(0, 1), host(0, 2)
    cables = [
        f"{{node: {one}, nic: mlx5_0, switch: sw-k0-r0, port: 1}}",
        f"{{node: {two}, nic: mlx5_0, switch: sw-k1-r0}}",
        f"{{node: {three}, switch: sw-k9}}",
        "{switch: sw-k0-r0, to: sp0-0}",
        "{switch: sw-k0-r0, to: sp0-9}",
    ]
    readings = read_files({"ib": text(SMALL), "should": CABLING + "".join(f"- {one}\n" for one in cables)})
    words = evidence(readings["expected"])
    assert f"{two} mlx5_0 is on sw-k0-r0 2, expected on sw-k1-r0" in words
    assert f"{three} has no cable to sw-k9, which is expected" in words
    assert "sp0-9 has no cable to sw-k0-r0, which is expected" in words
    assert any(f"{one} mlx5_1 is on sw-k0-r1" in said and "no cable is expected" in said for said in words)
    assert frozenset({"sp0-9", "sw-k0-r0"}) in absent(readings["expected"])
    assert not any(said.startswith(f"{one} mlx5_0") for said in words)


def test_expected_cabling_alone_has_nothing_to_compare_with() -> None:
    reading = read(f"{CABLING}- {{switch: a, to: b}}\n")
    assert "nothing to compare" in evidence(reading)[0]


@pytest.mark.parametrize(
    "cable", ["{switch: a}", "{switch: a, to: b, node: c}", "{to: b}", "{switch: a, to: b, color: red}"]
)
def test_cabling_that_does_not_match(cable: str) -> None:
    assert "expected" in (read(f"{CABLING}- {cable}\n").refused or "")


@given(st.text(alphabet="SwitchName=BlockRgNodes[]0-9,n# \\\n\t:{}'\"-", max_size=200))
def test_whatever_the_text_is_it_is_read_or_refused(text_: str) -> None:
    for reading in read_files({"x": text_, "y": "SwitchName=" + text_, "z": "- topology: " + text_}).values():
        assert reading.refused is None or (reading.refused and not reading.claims)


_KEYS = re.findall(
    r"[\w-]+",
    "lldp interface chassis port id type value topology tree block blocks nodes switches switch instances kind spec"
    " network_layers metadata members tier eth0 items labels apiVersion cables tiers guids torus3d toruses ring rings"
    " data links compounded_nodes system_name peer_node_name DomainUUID Name local-chassis",
)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(_KEYS),
            inner | st.sampled_from(["HyperNode", "Node", "v1", "nvtopo.io/v1", "ClusterTopology", "ExpectedCabling"]),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(JSONS)
def test_whatever_the_document_is_it_is_read_or_refused(document: object) -> None:
    parts = recognise.parts(recognise.Given("x", json.dumps(document)))
    for reading in recognise.read(parts).values():
        assert reading.refused != ""
