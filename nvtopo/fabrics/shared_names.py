"""Hosts that share one description, and adapters that have none: whose cables they are can't be told."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from nvtopo.cluster.findings import NodeFinding
from nvtopo.fabrics import checks
from nvtopo.fabrics.fabric import Fabric
from nvtopo.fabrics.rails import Attachment
from nvtopo.model.conclusions.order import natural

_MOST_NAMES: Final = 4


def of(fabric: Fabric, attachments: Iterable[Attachment]) -> dict[str, tuple[str, ...]]:
    """Name → the adapters that claim one device of it several times.

    A way of naming in which most hosts have several adapters of one name says no device, and harms nobody.
    """
    keys: dict[tuple[str, str], list[str]] = {}
    for key, adapter in fabric.adapters.items():
        if adapter.node and adapter.nic and adapter.role == "compute":
            keys.setdefault((adapter.node, adapter.nic), []).append(key)
    doubled: dict[str, list[str]] = {}
    for (node, _), several in sorted(keys.items()):
        if len(several) > 1:
            doubled.setdefault(node, []).extend(several)
    hosts = {one.node for one in attachments}
    if len(hosts) > 1 and 2 * len(doubled.keys() & hosts) > len(hosts):
        return {}
    return {node: tuple(sorted(several)) for node, several in doubled.items()}


def placed(
    attachments: Iterable[Attachment], doubles: Mapping[str, tuple[str, ...]], switches: Mapping[str, str]
) -> dict[str, str]:
    """The group of a shared name, if all cables of that name are in one."""
    found: dict[str, set[str]] = {}
    for one in attachments:
        if one.node in doubles and one.leaf in switches:
            found.setdefault(one.node, set()).add(switches[one.leaf])
    return {node: next(iter(groups)) for node, groups in found.items() if len(groups) == 1}


def findings(doubles: Mapping[str, tuple[str, ...]], fabric: Fabric, known: Mapping[str, str]) -> Iterator[NodeFinding]:
    """A finding for each name that several hosts have."""
    for node, keys in sorted(doubles.items()):
        nics = sorted({fabric.adapters[key].nic for key in keys}, key=natural)
        guids = ", ".join(keys[:_MOST_NAMES]) + (" …" if len(keys) > _MOST_NAMES else "")
        left = "" if node in known else "; it is left out, since its cables lead to several leaf groups"
        evidence = f"{len(keys)} adapters are called {node} {nics[0]}" if len(nics) == 1 else ""
        evidence = evidence or f"{len(keys)} adapters share the names {node} {', '.join(nics[:_MOST_NAMES])}"
        yield checks.source(
            checks.NAMES_SHARED, (node,), node, f"{evidence}, so that several hosts are {node}: {guids}{left}"
        )


def nameless(fabric: Fabric) -> Iterator[NodeFinding]:
    """One finding for all adapters of which nobody says which host they are in."""
    keys = sorted(key for key, adapter in fabric.adapters.items() if adapter.role == "unknown")
    if keys:
        named = ", ".join(f"{key} {fabric.adapters[key].said!r}" for key in keys[:_MOST_NAMES])
        evidence = f"{len(keys)} adapters name no host and are left out: {named}"
        yield checks.source(checks.NAMES_MISSING, (), keys[0], evidence)


def surplus(fabric: Fabric, homes: Mapping[str, str]) -> dict[str, int]:
    """Leaf → how many more adapters without a host's name are on it than on the usual leaf of its group.

    A host without any name has one on each; what is on one leaf alone belongs to a host that has a name elsewhere.
    """
    on = Counter(
        far.key
        for one, other in fabric.cables
        for near, far in ((one, other), (other, one))
        if near.key in fabric.adapters and fabric.adapters[near.key].role == "unknown"
    )
    groups: dict[str, list[str]] = {}
    for leaf, group in homes.items():
        groups.setdefault(group, []).append(leaf)
    usual = {group: sorted(on[leaf] for leaf in leaves)[(len(leaves) - 1) // 2] for group, leaves in groups.items()}
    return {leaf: more for leaf, group in homes.items() if (more := on[leaf] - usual[group]) > 0}
