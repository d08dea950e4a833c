"""Short, stable names of NVLink domains, such as ``rack-1822725100200``.

Some schedulers rank by the lexicographic order of label values, so names sort in physical order; and a name must not
move when another rack arrives or falls silent, so it is a function of the domain's own content and never a running
number. NVML knows no floor plan: the nearest thing to a place is the chassis' serial number, which is also what the
sticker on the rack says.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

DEFAULT_CLIQUE: Final = "32766"
"""The default partition, which spans the whole rack (a GB300's capture names it): it needs no mention."""

_DIGITS: Final = 6
_LONGEST: Final = 63
"""What a Kubernetes label value may hold."""
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._]+")


def unique(chassis: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Domain ID → name. Where two domains would share one, each of them goes by its ID instead."""
    names = {domain: name(domain, serials) for domain, serials in chassis.items()}
    times = Counter(names.values())
    return {domain: short if times[short] == 1 else _by_id(domain) for domain, short in names.items()}


def name(domain: str, serials: tuple[str, ...]) -> str:
    """A domain's name by its first chassis, or by its cluster UUID where no chassis is known.

    A partition of a rack adds its clique, as wide as a clique can be.
    """
    cluster, _, clique = domain.rpartition(".")
    place = _padded(min(serials)) if serials else _fit(cluster.split("-")[0])
    suffix = "" if clique == DEFAULT_CLIQUE else f"-{clique:0>5}"
    short = f"rack-{place}{suffix}"
    return short if place and len(short) <= _LONGEST else _by_id(domain)


def _by_id(domain: str) -> str:
    return f"rack-{domain}"


def _padded(serial: str) -> str:
    """The serial number with its digits zero-padded: ``A7`` sorts before ``A12``."""
    return re.sub(r"[0-9]+", lambda run: f"{run.group():0>{_DIGITS}}", _fit(serial))


def _fit(text: str) -> str:
    return _UNFIT.sub("", text)
