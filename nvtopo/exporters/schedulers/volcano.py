"""Volcano: a ``HyperNode`` for each domain; tier 1 is the closest.

A leaf of Volcano's tree lists its nodes by exact name: a pattern would take ``rack-1`` for ``rack-10``. A node or
HyperNode may have one parent only.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from nvtopo.exporters.schedulers.names import object_name
from nvtopo.exporters.schedulers.view import Branch, View, branches
from nvtopo.model.formats.object_name import is_subdomain

Key = tuple[str, str]
"""Tier and name of a domain."""


def documents(view: View, name: str) -> list[dict[str, Any]]:
    """The objects, tier by tier; ``name`` goes before each of their names."""
    names = hyper_nodes(view, name)
    return [_hyper_node(view, branch, names) for branch in branches(_of_nodes(view), view.tiers)]


def _of_nodes(view: View) -> View:
    """Without what can't be a Node: Volcano refuses a HyperNode that names one."""
    places = {
        tier: tuple(replace(place, nodes=tuple(filter(is_subdomain, place.nodes))) for place in found)
        for tier, found in view.places.items()
    }
    return replace(view, nodes=tuple(filter(is_subdomain, view.nodes)), places=places)


def hyper_nodes(view: View, name: str) -> dict[Key, str]:
    """Domain → the name of its HyperNode. Two domains of different tiers may go by one name, so it says the tier."""
    keys = [(tier, place.name) for tier in view.tiers for place in view.places[tier]]
    short = {key: _short(name, *key) for key in keys}
    times = Counter(short.values())
    return {key: short[key] if times[short[key]] == 1 else object_name(name, "tier", *key) for key in keys}


def _short(name: str, tier: str, domain: str) -> str:
    if tier == "nvlinkDomain":
        return object_name(name, "nvlink", domain)
    return object_name(name, *(() if domain.startswith(f"{tier}-") else (tier,)), domain)


def _hyper_node(view: View, branch: Branch, names: Mapping[Key, str]) -> dict[str, Any]:
    place = branch.place
    return {
        "apiVersion": "topology.volcano.sh/v1alpha1",
        "kind": "HyperNode",
        "metadata": {"name": names[place.tier, place.name]},
        "spec": {
            "tier": view.tiers.index(place.tier) + 1,
            "tierName": place.tier.lower(),
            "members": [
                {"type": kind, "selector": {"exactMatch": {"name": member}}} for kind, member in _members(branch, names)
            ],
        },
    }


def _members(branch: Branch, names: Mapping[Key, str]) -> Iterator[tuple[str, str]]:
    """The domains directly below, and the nodes that are in none of them."""
    yield from (("HyperNode", names[inner.tier, inner.name]) for inner in branch.inner)
    yield from (("Node", node) for node in branch.nodes)
