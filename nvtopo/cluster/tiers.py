"""Tiers: the nested neighbourhoods of a node, closest first, and which of them a node says it is in.

One internal order, closest first; the conventions of the field contradict each other (topograph's ``tier-0`` is the
closest, AWS's ``layer-1`` the farthest), so exporters convert and nobody else does. Leaf, spine, core and zone will
stand behind the NVLink domain, each with a reader of its own.
"""

from typing import Final

from nvtopo.model import fabric
from nvtopo.model.node import NodeTopology

NVLINK_DOMAIN: Final = "nvlinkDomain"

TIERS: Final = (NVLINK_DOMAIN,)
"""Every tier there is, closest first."""


def of(topology: NodeTopology) -> dict[str, str]:
    """Tier → domain ID, closest first; a tier that the node says nothing about is absent."""
    domain = fabric.domain(topology)
    return {} if domain is None else {NVLINK_DOMAIN: domain}
