"""Volcano's ``HyperNode`` objects: a tree of groups with numbered tiers, 1 the closest."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from nvtopo.cluster.claims import Reading
from nvtopo.cluster.findings import NodeFinding
from nvtopo.fabrics import checks, tree
from nvtopo.fabrics.documents import entries, mapping, text
from nvtopo.fabrics.fabric import Known
from nvtopo.fabrics.refused import Refused
from nvtopo.fabrics.tree import Tree

SOURCE: Final = "volcano"
_LONGEST_PATTERN: Final = 256
_MOST_REPEATS: Final = 3
_REPEATS: Final = re.compile(r"(?<!\\)[*+?{]")
#: Of a group or of a repeat, and what refers to a group: of these a short name can take longer than anyone waits.
_REPEATS_OF_MANY: Final = re.compile(r"\)[*+?{]|[*+?}][*+{]|\\\d")


def is_discovery(document: Any) -> bool:
    """Whether it is the configuration that says where Volcano looks, which has no topology."""
    return isinstance(document, dict) and "networkTopologyDiscovery" in document


def is_hypernode(item: Any) -> bool:
    """Whether it is one of the objects."""
    return isinstance(item, dict) and item.get("kind") == "HyperNode"


def read(items: Iterable[Mapping[str, Any]], known: Known) -> Reading:
    """The tree of all objects. ``known`` has the nodes among which patterns choose, and the labels of Nodes.

    Raises:
        Refused: it is no tree.
    """
    objects: dict[str, list[Mapping[str, Any]]] = {}
    tiers: dict[str, int] = {}
    for item in items:
        name = text(mapping(item.get("metadata"), "metadata").get("name"), "metadata.name")
        if name in objects:
            raise Refused(f"expected each HyperNode once, {name} is defined twice")
        spec = mapping(item.get("spec"), f"spec of {name}")
        objects[name] = list(entries(spec.get("members") or [], f"members of {name}"))
        tier = spec.get("tier")
        if isinstance(tier, int):
            tiers[name] = tier
    nodes: dict[str, tuple[str, ...]] = {}
    children: dict[str, tuple[str, ...]] = {}
    for name, members in objects.items():
        below = list(_members(members, "HyperNode", [other for other in objects if other != name], name))
        hosts = list(_members(members, "Node", known.nodes | known.labels.keys(), name))
        hosts += _labelled(members, known.labels, name)
        if hosts or not below:
            nodes[name] = tuple(dict.fromkeys(hosts))
        if below:
            children[name] = tuple(dict.fromkeys(below))
    _check_tiers(children, tiers)
    if not any(nodes.values()):
        raise Refused(
            "expected HyperNodes with nodes, found none: patterns and labels select captures in the same folder"
        )
    found = tree.reading(Tree(nodes, children), SOURCE)
    return found if known.labels else found._replace(findings=tuple(_unknown(objects)))


def _unknown(objects: Mapping[str, Iterable[Mapping[str, Any]]]) -> Iterator[NodeFinding]:
    """A finding if some choose by labels, which nobody says."""
    by_labels = [name for name, members in objects.items() if any(_label_match(member) for member in members)]
    if by_labels:
        words = f"{len(by_labels)} HyperNodes, {by_labels[0]} among them, choose nodes by labels, which are not known"
        yield checks.source(checks.PARTIAL, (), SOURCE, f"{words}: give `kubectl get nodes -o json` as well")


def _label_match(member: Mapping[str, Any]) -> Mapping[str, Any] | None:
    selector = member.get("selector")
    found = selector.get("labelMatch") if member.get("type") == "Node" and isinstance(selector, dict) else None
    return found if isinstance(found, dict) else None


def _labelled(
    members: Iterable[Mapping[str, Any]], labels: Mapping[str, Mapping[str, str]], name: str
) -> Iterator[str]:
    """Nodes that label selectors choose."""
    for member in members:
        chosen = _label_match(member)
        if chosen is not None:
            equal = mapping(chosen.get("matchLabels") or {}, f"matchLabels of {name}")
            rules = entries(chosen.get("matchExpressions") or [], f"matchExpressions of {name}")
            for node, own in sorted(labels.items()):
                same = all(own.get(str(key)) == str(value) for key, value in equal.items())
                if same and all(_holds(rule, own, name) for rule in rules):
                    yield node


def _holds(rule: Mapping[str, Any], own: Mapping[str, str], name: str) -> bool:
    value = own.get(text(rule.get("key"), f"a key in matchExpressions of {name}"))
    values = rule.get("values") or []
    match rule.get("operator"), values:
        case "In", list():
            return value in values
        case "NotIn", list():
            return value not in values
        case "Exists", _:
            return value is not None
        case "DoesNotExist", _:
            return value is None
    raise Refused(f"expected In, NotIn, Exists or DoesNotExist in {name}, got {rule.get('operator')!r:.60}")


def _check_tiers(children: Mapping[str, Iterable[str]], tiers: Mapping[str, int]) -> None:
    for name, below in children.items():
        for child in below:
            if name in tiers and child in tiers and tiers[child] >= tiers[name]:
                raise Refused(
                    f"expected lower tiers below {name} (tier {tiers[name]}), {child} has tier {tiers[child]}"
                )


def _members(members: Iterable[Mapping[str, Any]], kind: str, known: Collection[str], name: str) -> Iterator[str]:
    for member in members:
        if member.get("type") != kind:
            continue
        selector = mapping(member.get("selector") or {}, f"a selector of {name}")
        if "exactMatch" in selector:
            yield text(mapping(selector["exactMatch"], f"exactMatch of {name}").get("name"), f"a member of {name}")
        elif "regexMatch" in selector:
            given = text(mapping(selector["regexMatch"], f"regexMatch of {name}").get("pattern"), f"pattern of {name}")
            yield from _matching(given, known, name)


def _matching(pattern: str, known: Collection[str], name: str) -> Iterator[str]:
    """Names that a pattern finds; only plain patterns, since others can take forever."""
    plain = pattern.replace("(?:", "(")
    if (
        len(pattern) > _LONGEST_PATTERN
        or len(_REPEATS.findall(plain)) > _MOST_REPEATS
        or _REPEATS_OF_MANY.search(plain) is not None
    ):
        raise Refused(
            f"expected a plain pattern in {name}, with at most {_MOST_REPEATS} of * + ? {{}} and none of a group, "
            f"got {pattern!r:.60}"
        )
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise Refused(f"expected a regular expression in {name}, got {pattern!r:.60}: {error}") from error
    return (one for one in sorted(known) if compiled.search(one))
