"""Other people's clusters: fabrics, LLDP and topology files, against their answers.

The answers of ``second/cluster`` lie beside its texts. Of the others it is stated here how many domains each tier has,
and how many nodes, or what the refusal must say.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from nvtopo.aggregator import fleet
from nvtopo.cluster.claims import TIERS
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, fold
from nvtopo.errors import ReadError
from nvtopo.fabrics import recognise
from nvtopo.fabrics.fabric import Known

KINDS: Final = ("cluster_topograph", "cluster_slurm", "cluster_volcano", "cluster", "cluster/real")
_BLOCKS: Final = {"nvlinkDomain": 8, "nodes": 32}
_CHOOSE_ONE: Final = "expected exactly one of"

STATED: Final[Mapping[str, Mapping[str, Any]]] = {
    "ci__expected.slinky-dra-block.conf": {"nvlinkDomain": 12, "nodes": 96},
    "ci__expected.slinky-oci-sim-tree.conf": {"leaf": 12, "spine": 6, "core": 1, "nodes": 96},
    "models__dual-xclr-regular.yaml": {
        "nvlinkDomain": 2,
        "rack": 12,
        "leaf": 12,
        "spine": 6,
        "core": 1,
        "zone": 3,
        "nodes": 96,
    },
    "models__medium.yaml": {"nvlinkDomain": 4, "leaf": 4, "spine": 2, "core": 1, "zone": 2, "nodes": 8},
    "models__small-tree.yaml": {
        "nvlinkDomain": 2,
        "leaf": 2,
        "spine": 1,
        "nodes": 6,
        "sets": [["I21", "I22", "I25"], ["I34", "I35", "I36"]],
    },
    "output__ibnetdiscover__example-bad.out": {"refused": "without any cable"},
    "backfill-topology.conf": _BLOCKS,
    "check-topology.conf": _BLOCKS,
    "test133_1-tc1-topology.conf": {"leaf": 500, "spine": 26, "core": 2, "zone": 1, "nodes": 10_000},
    "test133_1-tc3-topology.conf": {"leaf": 20, "spine": 2, "core": 1, "nodes": 400},
    "test133_1-tc6-topology.conf": {"leaf": 5, "spine": 2, "nodes": 40},
    "block_bad_options.yaml": {"refused": "a power of two, got 12"},
    "block_blocks_not_list.yaml": {"refused": "block.blocks, got a text"},
    "block_not_dict.yaml": {"refused": "expected a mapping as block, got a list"},
    "flat_bad_options.yaml": {"refused": _CHOOSE_ONE},
    "flat_bool_mutually_exclusive.yaml": {"refused": "got block and flat"},
    "flat_dict_mutually_exclusive.yaml": {"refused": "got block and flat"},
    "ring_bad_options.yaml": {"refused": "at most 16 nodes in a ring, ring0 has 17"},
    "ring_mutually_exclusive.yaml": {"refused": "got block and ring"},
    "ring_not_dict.yaml": {"refused": "expected a mapping as ring, got a text"},
    "ring_rings_not_list.yaml": {"refused": "ring.rings, got a text"},
    "example.yaml": {"refused": "which says where to look"},
    "ibnetdiscover-p-osc.txt": {"leaf": 2, "spine": 1, "nodes": 3, "sets": [["o0001", "o0002"], ["p0001"]]},
    "ibtopotool-1.topo": {"refused": "no host names; 4 adapters on 2 leaves"},
    "ibtopotool-2.topo": {"leaf": 1, "nodes": 2},
    "sichek-lldp-bjg45.json": {"leaf": 1, "nodes": 1},
    "sichek-lldp-dracog24.json": {"leaf": 1, "nodes": 1},
    "sichek-lldp-empty.json": {"refused": "expected neighbours"},
    "sichek-lldp-lmg86.transcribed.json": {
        "leaf": 1,
        "nodes": 1,
        "rails": {"eth1": 50, "eth2": 50, "eth3": 51, "eth4": 51},
    },
    "slurm-nstda-topology.conf": {"leaf": 4, "spine": 1, "nodes": 10},
    "slurm-unsw-topology.conf": {"leaf": 4, "spine": 1, "nodes": 13},
}


class Result(NamedTuple):
    """What became of one input."""

    refused: str
    """Empty where it was answered."""
    lines: tuple[str, ...]
    """What is wrong with it."""


def inputs(folder: Path) -> Iterator[Path]:
    """The inputs of one kind; answers, sources and traces of jobs are none."""
    for path in sorted(folder.glob("*")):
        answer = _answer_of(path)
        if path.name in STATED or (path.suffix in (".txt", ".json") and answer.exists() and path != answer):
            yield path


def judged(path: Path) -> Result:
    """One input against its answer."""
    stated = STATED.get(path.name)
    answer = {} if stated is not None else json.loads(_answer_of(path).read_text(encoding="utf-8"))
    try:
        given = fleet.read(path)
    except ReadError as error:
        return _refused(str(error), stated or answer, path)
    graph = build(fold(Inventory(), given.listed), None, given.readings)
    found = _stated(graph, stated) if stated is not None else _answered(graph, answer)
    return Result("", tuple(found))


def _answer_of(path: Path) -> Path:
    """``t01-sharp-aggregation.ibnetdiscover.txt`` has its answer in ``t01-sharp-aggregation.json``."""
    return path.with_name(path.name.partition(".")[0] + ".json")


def _refused(error: str, expected: Mapping[str, Any], path: Path) -> Result:
    says = expected.get("refused")
    right = expected.get("right_answer", {})
    if "without NodeTopology" in right:
        # With the GUIDs of the nodes the same text has an answer.
        says = right["without NodeTopology"].removeprefix("refuse: ")
        guids = {guid: (node, guid) for node, several in expected["input"]["guids"].items() for guid in several}
        lines = [] if _with_guids(path, guids) == 2 else ["want 2 groups with GUIDs"]
        return Result(error, (*lines, *(() if says in error else (f"want {says!r}, got {error!r}",))))
    if says is None:
        return Result(error, (f"refused: {error}",))
    return Result(error, () if says in error else (f"want a refusal that says {says!r}, got {error!r}",))


def _with_guids(path: Path, guids: Mapping[str, tuple[str, str]]) -> int:
    parts = recognise.parts(recognise.Given(path.name, path.read_text(encoding="utf-8")))
    (reading,) = recognise.read(parts, Known(guids)).values()
    return len({claim.id for claim in reading.claims if claim.tier == "leaf"})


def _stated(graph: ClusterGraph, stated: Mapping[str, Any]) -> Iterator[str]:
    if "refused" in stated:
        yield f"want a refusal that says {stated['refused']!r}, got {len(graph.nodes)} nodes"
        return
    sets = _sets(graph)
    counts = {tier: len(sets[tier]) for tier in TIERS if sets[tier]} | {"nodes": len(graph.nodes)}
    want = {key: value for key, value in stated.items() if key not in ("sets", "rails")}
    if counts != want:
        yield f"want {want}, got {counts}"
    if "sets" in stated and sets["leaf"] != {frozenset(one) for one in stated["sets"]}:
        yield f"want {stated['sets']}, got {sets['leaf']}"
    if "rails" in stated:
        (node,) = graph.nodes.values()
        rails = {port.nic: int(port.leaf.rpartition("-")[2]) for port in node.rails}
        if rails != stated["rails"]:
            yield f"want {stated['rails']}, got {rails}"


def _answered(graph: ClusterGraph, answer: Mapping[str, Any]) -> Iterator[str]:
    right = answer["right_answer"]
    evidence = " ".join(finding.reason for finding in graph.drift)
    if "groups" in right and _sets(graph)["leaf"] != {frozenset(one) for one in right["groups"]}:
        yield f"want {right['groups']}, got {_sets(graph)['leaf']}"
    if "compute_nodes" in right and sorted(graph.nodes) != sorted(right["compute_nodes"]):
        yield f"want {right['compute_nodes']}, got {list(graph.nodes)}"
    wanted = [
        word.strip(",;:") for word in right.get("finding", "").split() if any(letter.isdigit() for letter in word)
    ]
    missing = [word for word in wanted if word not in evidence and "→" not in word]
    if missing:
        yield f"want a finding with {missing}, got {evidence!r}"
    if "finding" not in right and graph.drift:
        yield f"want no finding, got {evidence!r}"
    rails = {port.nic: port for node in graph.nodes.values() for port in node.rails}
    for nic, want in right.items():
        if isinstance(want, dict) and "switch" in want:
            have = rails.get(nic)
            if have is None or (have.leaf, have.port) != (want["switch"], want["port"]):
                yield f"{nic}: want {want}, got {have}"
        elif want is None and nic in rails:
            yield f"{nic}: want no switch, got {rails[nic]}"


def _sets(graph: ClusterGraph) -> dict[str, set[frozenset[str]]]:
    """Tier → the sets of nodes that it makes."""
    found: dict[str, dict[str, set[str]]] = {tier: {} for tier in TIERS}
    for name, node in graph.nodes.items():
        for tier, domain in node.tiers.items():
            found[tier].setdefault(domain, set()).add(name)
    return {tier: {frozenset(nodes) for nodes in domains.values()} for tier, domains in found.items()}
