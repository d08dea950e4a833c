"""Grove: a ``ClusterTopologyBinding``, broad to narrow, in Grove's own words for domains, and what packs by it."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from nvtopo.exporters.schedulers.view import HOSTNAME, LABELS, View

#: Grove's conventional domains; an NVLink domain is its rack.
_DOMAINS: Final[Mapping[str, str]] = MappingProxyType(
    {"nvlinkDomain": "rack", "rack": "rack", "leaf": "block", "spine": "spine", "core": "datacenter", "zone": "zone"}
)
_HOST: Final = "host"
NODE: Final = "node"
"""The tier of one node alone."""


def documents(view: View, name: str) -> list[dict[str, Any]]:
    """The object. Of two tiers that Grove calls the same, the closer one counts."""
    tiers = _tiers(view.tiers)
    ordered = [{"domain": domain, "key": LABELS[tier]} for domain, tier in reversed(tiers.items())]
    ordered.append({"domain": _HOST, "key": HOSTNAME})
    return [
        {
            "apiVersion": "grove.io/v1alpha1",
            "kind": "ClusterTopologyBinding",
            "metadata": {"name": name},
            "spec": {"levels": ordered},
        }
    ]


def _tiers(tiers: Iterable[str]) -> dict[str, str]:
    """Grove's domain → tier, closest first."""
    found: dict[str, str] = {}
    for tier in tiers:
        found.setdefault(_DOMAINS[tier], tier)
    return found


def packed(name: str, tier: str, tiers: Iterable[str], topology: str) -> dict[str, Any] | None:
    """A PodCliqueSet's fields such that each of its replicas is inside one domain of a tier; to be merged into it.

    None if the topology has no such domain: the cluster has no such tier, or a closer one has Grove's name for it.
    """
    known = _tiers(one for one in tiers if one in _DOMAINS)
    found = {closest: domain for domain, closest in known.items()} | {NODE: _HOST}
    if tier not in found:
        return None
    constraint = {"topologyName": topology, "pack": {"required": found[tier]}}
    return {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": {"name": name},
        "spec": {"template": {"topologyConstraint": constraint}},
    }
