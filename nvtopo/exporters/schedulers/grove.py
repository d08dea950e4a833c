"""Grove: a ``ClusterTopologyBinding``, broad to narrow, in Grove's own words for domains."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from nvtopo.exporters.schedulers.view import HOSTNAME, LABELS, View

#: Grove's conventional domains; an NVLink domain is its rack.
_DOMAINS: Final[Mapping[str, str]] = MappingProxyType(
    {"nvlinkDomain": "rack", "rack": "rack", "leaf": "block", "spine": "spine", "core": "datacenter", "zone": "zone"}
)


def documents(view: View, name: str) -> list[dict[str, Any]]:
    """The object. Of two tiers that Grove calls the same, the closer one counts."""
    levels: dict[str, str] = {"host": HOSTNAME}
    for tier in view.tiers:
        levels.setdefault(_DOMAINS[tier], LABELS[tier])
    ordered = [{"domain": domain, "key": key} for domain, key in reversed(levels.items())]
    return [
        {
            "apiVersion": "grove.io/v1alpha1",
            "kind": "ClusterTopologyBinding",
            "metadata": {"name": name},
            "spec": {"levels": ordered},
        }
    ]
