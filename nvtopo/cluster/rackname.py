"""Short, stable names of domains, such as ``rack-1822725100200`` of an NVLink domain and ``leaf-000012`` of a leaf.

Some schedulers sort by label values, so names sort in physical order. A name must not change when another rack appears
or disappears, so it depends only on the domain's own content and is never a running number. NVML has no floor plan; the
closest to a place is the chassis' serial number, which is also on the rack's sticker.
"""

import re
from typing import Final

from nvtopo.cluster.claims import NVLINK_DOMAIN, Tier

DEFAULT_CLIQUE: Final = "32766"
"""The default partition, which spans the whole rack (a GB300's capture names it): names leave it out."""

_DIGITS: Final = 6
_LONGEST: Final = 63
"""What a Kubernetes label value may hold."""
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._]+")


def by_id(tier: Tier, domain: str) -> str:
    """The name of a domain whose short name another one has."""
    return f"{'rack' if tier == NVLINK_DOMAIN else tier}-{domain}"


def name(tier: Tier, domain: str, serials: tuple[str, ...] = ()) -> str:
    """An NVLink domain's name by its first chassis, or by its cluster UUID where no chassis is known.

    A partition of a rack adds its clique, as wide as a clique can be. A domain of another tier is named by its ID.
    """
    if tier != NVLINK_DOMAIN:
        place = _padded(domain.removeprefix(f"{tier}/").removeprefix(f"{tier}-"))
        short = f"{tier}-{place}"
        return short if place and len(short) <= _LONGEST else by_id(tier, domain)
    cluster, _, clique = domain.rpartition(".")
    place = _padded(min(serials)) if serials else _fit(cluster.split("-")[0])
    suffix = "" if clique == DEFAULT_CLIQUE else f"-{clique:0>5}"
    short = f"rack-{place}{suffix}"
    return short if place and len(short) <= _LONGEST else by_id(tier, domain)


def _padded(serial: str) -> str:
    """The serial number with its digits zero-padded: ``A7`` sorts before ``A12``."""
    return re.sub(r"[0-9]+", lambda run: f"{run.group():0>{_DIGITS}}", _fit(serial))


def _fit(text: str) -> str:
    return _UNFIT.sub("", text)
