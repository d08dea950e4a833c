"""What a node says of the tiers that it is in itself: NVML's fabric names its NVLink domain, the platform its rack."""

import re
from typing import Final

from nvtopo.cluster.claims import NVLINK_DOMAIN, RACK, Claim
from nvtopo.cluster.position import Position
from nvtopo.model.conclusions import fabric
from nvtopo.model.records.node import NodeTopology

_LIKE_A_DOMAIN: Final = re.compile(r"\.[0-9]+$")


def of(name: str, topology: NodeTopology, place: Position) -> tuple[Claim, ...]:
    """The node's claims, closest tier first; tiers that are not known are absent."""
    domain = fabric.domain(topology)
    said = []
    if domain is not None:
        said.append(Claim(name, NVLINK_DOMAIN, domain, "nvml"))
    if place.chassis is not None:
        said.append(Claim(name, RACK, _rack(place.chassis), "platform"))
    return tuple(said)


def _rack(serial: str) -> str:
    """The rack's ID: the serial number of its chassis, unless it could be the ID of an NVLink domain."""
    return f"{RACK}/{serial}" if _LIKE_A_DOMAIN.search(serial) else serial
