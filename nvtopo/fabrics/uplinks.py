"""Cables between switches that are missing: what a switch has against what its peers below the same switches have."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nvtopo.fabrics.grouping import grouped
from nvtopo.model.conclusions.order import natural


class Short(NamedTuple):
    """Fewer cables between two switches than peers have."""

    lower: str
    upper: str
    have: int
    want: int


def short(uplinks: Mapping[str, Counter[str]], alike: Mapping[str, object]) -> Iterator[Short]:
    """Missing cables. ``uplinks`` says how many cables a switch has to each switch above.

    Peers share more than half of what is above them. One that has nothing above it has the peers that are ``alike``,
    such as the leaves of the same rail.
    """
    groups = grouped({switch: frozenset(above) for switch, above in uplinks.items()})
    families: dict[str, list[str]] = {}
    for switch, group in groups.members.items():
        families.setdefault(group, []).append(switch)
    for group in sorted(families, key=natural):
        yield from _of_peers(families[group], families[group], uplinks)
    for switch in sorted(uplinks, key=natural):
        if not uplinks[switch]:
            peers = [other for other in groups.members if alike.get(other) == alike.get(switch)]
            if len({groups.members[peer] for peer in peers}) == 1:
                yield from _of_peers([switch], peers, uplinks)


def _of_peers(switches: list[str], peers: list[str], uplinks: Mapping[str, Counter[str]]) -> Iterator[Short]:
    above = sorted({upper for peer in peers for upper in uplinks[peer]}, key=natural)
    for upper in above:
        counts = sorted((uplinks[peer][upper] for peer in peers), reverse=True)
        # What at least half of the peers have.
        want = counts[(len(counts) - 1) // 2]
        for switch in sorted(switches, key=natural):
            if uplinks[switch][upper] < want:
                yield Short(switch, upper, uplinks[switch][upper], want)
