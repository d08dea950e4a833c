"""The lines of a topology of Slurm, as they stand: what an export takes over from the file before."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from nvtopo.fabrics import documents, slurm_conf, slurm_yaml
from nvtopo.fabrics.documents import entries, mapping, text
from nvtopo.fabrics.hostlist import Expander


class Line(NamedTuple):
    """A switch or a block."""

    name: str
    nodes: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()


class Lines(NamedTuple):
    """All of a file, in its order."""

    switches: tuple[Line, ...] = ()
    blocks: tuple[Line, ...] = ()
    sizes: tuple[int, ...] = ()


def read(content: str) -> Lines:
    """``topology.conf``, ``topology.yaml``, or a ConfigMap with that. A text with nothing in it has no lines.

    Raises:
        Refused: it is none of them.
    """
    if slurm_conf.looks_like(content):
        return _conf(content)
    bare = "".join(line for line in content.splitlines(keepends=True) if not line.lstrip().startswith("#"))
    if not bare.strip():
        return Lines()
    found = [part for document in documents.load(content) for part in _topologies(document)]
    trees = (mapping(one["tree"], "tree") for one in found if "tree" in one)
    blocks = [mapping(one["block"], "block") for one in found if "block" in one]
    expand = Expander()
    return Lines(
        tuple(line for tree in trees for line in _switches(tree, expand)),
        tuple(line for block in blocks for line in _blocks(block, expand)),
        tuple(slurm_yaml.sizes_of(blocks[0].get("block_sizes")) if blocks else ()),
    )


def _conf(content: str) -> Lines:
    expand = Expander()
    switches, blocks, sizes = list[Line](), list[Line](), list[dict[str, str]]()
    for first, pairs in slurm_conf.lines_of(content):
        if first == "blocksizes":
            sizes.append(pairs)
            continue
        line = Line(pairs[first], expand(pairs.get("nodes", "")), expand(pairs.get("switches", "")))
        (switches if first == "switchname" else blocks).append(line)
    return Lines(tuple(switches), tuple(blocks), tuple(slurm_conf.sizes_of(iter(sizes))))


def _topologies(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, dict) and document.get("kind") == "ConfigMap":
        inside = text(mapping(document.get("data"), "data").get("topology.yaml"), "topology.yaml")
        return [dict(one) for part in documents.load(inside) for one in entries(part, "topologies")]
    return [dict(one) for one in entries(document, "topologies")]


def _switches(tree: Any, expand: Expander) -> Iterator[Line]:
    for one in entries(tree.get("switches"), "tree.switches"):
        nodes, inner = expand(slurm_yaml.hosts(one, "nodes")), expand(slurm_yaml.hosts(one, "children"))
        yield Line(text(one.get("switch"), "switch"), nodes, inner)


def _blocks(block: Any, expand: Expander) -> Iterator[Line]:
    for one in entries(block.get("blocks"), "block.blocks"):
        yield Line(text(one.get("block"), "block"), expand(slurm_yaml.hosts(one, "nodes")))
