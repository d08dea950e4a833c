"""NVIDIA topograph's files: models of a cluster (switches and blocks), and what its ``graph`` engine answers."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nvtopo.cluster.claims import Claim, Reading, Tier
from nvtopo.fabrics import tree
from nvtopo.fabrics.documents import entries, mapping, text
from nvtopo.fabrics.hostlist import Expander
from nvtopo.fabrics.refused import Refused
from nvtopo.fabrics.tree import TIERS_BY_HEIGHT, Tree

SOURCE: Final = "topograph"
_ZONES: Final = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
_LAYERS: Final = ("network_layers", "networkLayers")
#: What the last parts of an annotation's or a key's name say, outermost words left out.
_ACCELERATOR: Final[Mapping[str, Tier]] = {"domain": "nvlinkDomain", "sub-domain": "rack"}


def is_model(document: Any) -> bool:
    """Whether it has switches and blocks of nodes on them."""
    return isinstance(document, dict) and "blocks" in document and "switches" in document


def is_graph(document: Any) -> bool:
    """Whether it is a list of instances with their layers."""
    return isinstance(document, dict) and isinstance(document.get("instances"), list)


def read_model(document: Any) -> Reading:
    """The tree of switches, accelerator domains, and zones.

    Raises:
        Refused: it is no tree.
    """
    given = mapping(document.get("switches") or {}, "switches")
    children: dict[str, tuple[str, ...]] = {}
    labels: dict[str, Mapping[str, Any]] = {}
    expand = Expander()
    for name, body in given.items():
        switch = mapping(body or {}, f"switch {name}")
        below = switch.get("switches") or []
        if not isinstance(below, list):
            raise Refused(f"expected a list as the switches below {name}, got {below!r:.60}")
        children[str(name)] = tuple(child for one in below for child in expand(text(one, "a switch")))
        labels[str(name)] = mapping(switch.get("labels") or {}, f"labels of {name}")
    nodes: dict[str, tuple[str, ...]] = {}
    own: list[Claim] = []
    for block in entries(document.get("blocks"), "blocks"):
        switch_name = text(block.get("switch"), "the switch of a block")
        names = _nodes(block, expand)
        nodes[switch_name] = (*nodes.get(switch_name, ()), *names)
        own += _accelerators(block, names)
    shape = _checked(Tree(nodes, {name: below for name, below in children.items() if below}), children)
    found = tree.reading(shape, SOURCE)
    return found._replace(claims=(*found.claims, *own, *_zones(shape, labels)))


def _checked(shape: Tree, defined: Mapping[str, tuple[str, ...]]) -> Tree:
    """With the switches that have neither nodes nor switches."""
    both = sorted(name for name in shape.nodes if shape.children.get(name))
    if both:
        raise Refused(f"expected nodes or switches below a switch, {both[0]} has both")
    empty: dict[str, tuple[str, ...]] = {name: () for name in defined if name not in shape.nodes and not defined[name]}
    return Tree({**shape.nodes, **empty}, shape.children)


def _nodes(block: Mapping[str, Any], expand: Expander) -> tuple[str, ...]:
    given = block.get("nodes") or []
    parts = given if isinstance(given, list) else [given]
    return tuple(name for part in parts for name in expand(text(part, "nodes")))


def _accelerators(block: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Claim]:
    """The domain, and the sub-domain inside it, of which other domains may have one of the same name."""
    said = _by_last_part(mapping(block.get("annotations") or block.get("labels") or {}, "annotations of a block"))
    for part, tier in _ACCELERATOR.items():
        if part in said:
            outer = f"{said['domain']}." if part == "sub-domain" and "domain" in said else ""
            yield from (Claim(node, tier, outer + said[part], SOURCE) for node in names)


def _by_last_part(given: Mapping[str, Any]) -> dict[str, str]:
    return {str(key).rpartition("/")[2]: str(value) for key, value in given.items() if value not in ("", None)}


def _zones(shape: Tree, labels: Mapping[str, Mapping[str, Any]]) -> Iterator[Claim]:
    """The zone that a switch's label says, for the nodes below it; the region where no switch says a zone."""
    for label in _ZONES:
        found: dict[str, str] = {}
        for name, given in labels.items():
            if label in given:
                found |= dict.fromkeys(_below(shape, name), str(given[label]))
        if found:
            yield from (Claim(node, "zone", zone, SOURCE) for node, zone in found.items())
            return


def _below(shape: Tree, switch: str) -> Iterator[str]:
    seen: set[str] = set()
    left = [switch]
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            yield from shape.nodes.get(one, ())
            left.extend(shape.children.get(one, ()))


def read_graph(document: Any) -> Reading:
    """The layers of each instance, closest first.

    Raises:
        Refused: an instance has no name, or there is none.
    """
    claims: list[Claim] = []
    for one in entries(document.get("instances"), "instances"):
        node = text(one.get("id", one.get("name")), "the id of an instance")
        layers: Any = next((one[key] for key in _LAYERS if one.get(key) is not None), [])
        if not isinstance(layers, list):
            raise Refused(f"expected a list as network_layers of {node}, got {layers!r:.60}")
        claims += [
            Claim(node, tier, text(layer, "a layer"), SOURCE)
            for tier, layer in zip(TIERS_BY_HEIGHT, layers, strict=False)
            if layer
        ]
        claims += _of_instance(node, one)
    if not claims:
        raise Refused("expected instances with network_layers, found none")
    return Reading(claims=tuple(claims))


def _of_instance(node: str, one: Mapping[str, Any]) -> Iterator[Claim]:
    labels = {str(key): str(value) for key, value in mapping(one.get("labels") or {}, f"labels of {node}").items()}
    domain = next((str(one[key]) for key in ("accelerator_domain", "xclr_domain", "accelerator") if one.get(key)), "")
    domain = domain or labels.get("accelerator.topograph.run/domain", "")
    if domain:
        yield Claim(node, "nvlinkDomain", domain, SOURCE)
    inner = labels.get("accelerator.topograph.run/sub-domain", "")
    if inner:
        yield Claim(node, "rack", f"{domain}.{inner}" if domain else inner, SOURCE)
    zone = next((labels[key] for key in _ZONES if labels.get(key)), "")
    if zone:
        yield Claim(node, "zone", zone, SOURCE)
