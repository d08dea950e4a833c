"""NVLink between GPUs of one node: which pairs have a usable path, how wide it is, which groups that makes.

A link counts only where both sides have it, is up, and the driver allows peer access over it: trained links alone
prove nothing (a fabric that never registered trains its links all the same).
"""

from typing import NamedTuple

from nvtopo.model.address import PciAddress
from nvtopo.model.cpulist import format_cpulist, parse_cpulist
from nvtopo.model.facts import NvLink
from nvtopo.model.node import Gpu, NodeTopology, NvLinkBundle
from nvtopo.model.record import Problem

#: Version → bytes per second of one link in one direction, where the driver reports no speed.
#: Nominal rates of each generation; vendors print both directions of all links.
NOMINAL_BYTES_PER_SECOND = {
    "1.0": 20_000_000_000,
    "2.0": 25_000_000_000,
    "2.2": 25_000_000_000,
    "3.0": 25_000_000_000,
    "3.1": 25_000_000_000,
    "4.0": 25_000_000_000,
    "5.0": 50_000_000_000,
    "6.0": 50_000_000_000,
}

#: What stands for the version of AMD's GPU links, which RCCL's files list: a GPU has as many as its place needs.
XGMI = "xGMI"


class Path(NamedTuple):
    """A usable NVLink path between two GPUs."""

    links: int
    """``NV<links>`` in nvidia-smi's matrix: the lesser of both sides."""
    bytes_per_second: int | None
    """One direction, all links together."""
    source: str | None
    """``driver`` where the rate is the driver's, ``table`` where it is the generation's nominal one."""


_UNKNOWN_RATE = (None, None)


def bundles(links: tuple[NvLink, ...]) -> tuple[NvLinkBundle, ...]:
    """Links folded with their likes, in the order of their first link. The remote port is left to the metrics."""
    alike: dict[tuple[str | int | None, ...], list[NvLink]] = {}
    for link in sorted(links, key=lambda link: link.link):
        key = (link.state, link.version, link.bytes_per_second, link.remote)
        alike.setdefault(key, []).append(link)
    return tuple(
        NvLinkBundle(
            links=format_cpulist(link.link for link in group),
            state=group[0].state,
            version=group[0].version,
            bytes_per_second=group[0].bytes_per_second,
            remote=group[0].remote,
            peers=_peers(group),
        )
        for group in alike.values()
    )


def _peers(links: list[NvLink]) -> dict[PciAddress, str]:
    ends: dict[PciAddress, list[int]] = {}
    for link in links:
        if link.remote_address is not None:
            ends.setdefault(link.remote_address, []).append(link.link)
    return {address: format_cpulist(numbers) for address, numbers in sorted(ends.items())}


def paths(node: NodeTopology) -> dict[tuple[int, int], Path]:
    """Usable NVLink paths, by pair of GPU indices (lesser first)."""
    blocked = {(pair.a, pair.b) for pair in node.pairs if pair.nvlink_p2p is not None}
    found = {(pair.a, pair.b): Path(pair.nvlinks, *_UNKNOWN_RATE) for pair in node.pairs if pair.nvlinks}
    for position, one in enumerate(node.gpus):
        for other in node.gpus[position + 1 :]:
            pair = (one.index, other.index)
            if pair in blocked or one.mig or other.mig:
                continue
            path = _path(one, other)
            if path is not None:
                found[pair] = path
    return found


def joined(one: Gpu, other: Gpu) -> bool:
    """Whether the links of two GPUs alone would make a path; the driver may still not allow it."""
    return _path(one, other) is not None


def groups(node: NodeTopology) -> tuple[tuple[int, ...], ...] | None:
    """Connected components of more than one GPU over usable NVLink.

    None where it can't be known: the driver hides the links of a GPU in MIG mode, the input can't show NVLink, links
    train after boot (h100-links-training), or there are GPUs and no driver answers for any (h100-no-driver).
    """
    if node.nvlink_hidden or any(gpu.mig or gpu.nvlink_training for gpu in node.gpus) or unanswered(node):
        return None
    group_of = {gpu.index: {gpu.index} for gpu in node.gpus}
    for a, b in paths(node):
        if group_of[a] is not group_of[b]:
            merged = group_of[a] | group_of[b]
            for index in merged:
                group_of[index] = merged
    distinct = {min(members): members for members in group_of.values()}
    return tuple(tuple(sorted(members)) for _, members in sorted(distinct.items()) if len(members) > 1)


def unanswered(node: NodeTopology) -> bool:
    """Whether the driver should have answered for GPUs, and did not answer for any."""
    return not node.gpus and any(problem.source == "nvml" for problem in node.problems)


def is_full_mesh(group: tuple[int, ...], found: dict[tuple[int, int], Path]) -> bool:
    """Whether every pair of the group has a usable path."""
    return all((a, b) in found for position, a in enumerate(group) for b in group[position + 1 :])


def one_sided(gpus: tuple[Gpu, ...]) -> tuple[Problem, ...]:
    """Links that one GPU has to another and the other does not have back; asymmetric links exist, and carry nothing."""
    problems = []
    for position, one in enumerate(gpus):
        for other in gpus[position + 1 :]:
            there = sum(count for _, count in _towards(one, other))
            back = sum(count for _, count in _towards(other, one))
            if there != back:
                reason = f"{there} usable NVLinks from {one.key}, {back} from {other.key}"
                problems.append(Problem(source="nvml", subject=f"{one.key}-{other.key}", reason=reason))
    return tuple(problems)


def degraded(node: NodeTopology) -> tuple[int, ...]:
    """Indices of the GPUs that lack links: on a board, those with fewer usable ones than its best GPU has links.

    While links train, nobody lacks any yet.
    """
    if any(gpu.nvlink_training for gpu in node.gpus):
        return ()
    gpus = [gpu for gpu in node.gpus if not gpu.mig]
    if _are_cards(node):
        return tuple(sorted(_degraded_cards(gpus) | _stated_degraded(node)))
    due = expected(node)
    short = {gpu.index for gpu in gpus if _usable(gpu.nvlinks) < due[gpu.index]}
    return tuple(sorted(short | _stated_degraded(node)))


def usable(node: NodeTopology) -> dict[int, int]:
    """GPU index → NVLinks that can carry traffic, of the GPUs that show theirs."""
    return {gpu.index: _usable(gpu.nvlinks) for gpu in node.gpus if gpu.nvlinks and not gpu.mig}


def expected(node: NodeTopology) -> dict[int, int]:
    """GPU index → NVLinks that should be usable: as many as the board's best GPU has.

    Empty for cards: how many links of one a bridge takes, nobody says.
    """
    if _are_cards(node):
        return {}
    most = max((_link_count(gpu) for gpu in node.gpus), default=0)
    return {gpu.index: max(most, _link_count(gpu)) for gpu in node.gpus if not gpu.mig}


def pair_access(node: NodeTopology) -> dict[tuple[int, int], bool]:
    """Pairs of GPU indices that links join → whether the driver allows peer access over them."""
    blocked = {(pair.a, pair.b) for pair in node.pairs if pair.nvlink_p2p is not None}
    found = paths(node)
    wired = (
        (one.index, other.index)
        for position, one in enumerate(node.gpus)
        for other in node.gpus[position + 1 :]
        if (one.index, other.index) in found or ((one.index, other.index) in blocked and joined(one, other))
    )
    return {pair: pair not in blocked for pair in wired}


def _are_cards(node: NodeTopology) -> bool:
    """Whether these GPUs are PCIe cards, which bridges join in pairs if at all: no board, no switch, no fabric.

    A card has no place on a board (module id 0), and no links to several others, as in a mesh (dgx1-v100-cube-mesh).
    """
    return not node.nvswitches and not any(
        gpu.module_id
        or (gpu.fabric is not None and gpu.fabric.state not in (None, "not-supported"))
        or any(bundle.remote == "switch" for bundle in gpu.nvlinks)
        or len({address for bundle in gpu.nvlinks for address in bundle.peers}) > 1
        for gpu in node.gpus
    )


def _degraded_cards(gpus: list[Gpu]) -> set[int]:
    """Cards that lost a link. One without a bridge is as inactive as a broken one (a800-partial-bridges).

    So inactive links alone are no evidence. An odd number is, for bridges carry even ones; so are two sides that
    disagree, and more links than bridges come with in part.
    """
    usable = {gpu.index: _usable(gpu.nvlinks) for gpu in gpus}
    most = max(usable.values(), default=0)
    short = {gpu.index for gpu in gpus if usable[gpu.index] % 2 and usable[gpu.index] < _link_count(gpu)}
    short |= {index for index, links in usable.items() if _MOST_BRIDGED_LINKS < links < most}
    return short | {
        one.index
        for one in gpus
        for other in gpus
        if sum(count for _, count in _towards(one, other)) < sum(count for _, count in _towards(other, one))
    }


#: No bridge and no mesh joins two GPUs by more links (H100 NVL: three bridges of four); an SXM board has 18.
_MOST_BRIDGED_LINKS = 12
#: From here on links are wired in twos, so an odd number next to a better pair is a lost link. Below it, cube meshes
#: mix NV1 and NV2 by design.
_WIRED_IN_TWOS = 4
#: The most links that a GPU wires to others directly; pairs that add up to more share them through switches.
_MOST_WIRED_LINKS = 18


def _stated_degraded(node: NodeTopology) -> set[int]:
    """GPUs that lack links by what another tool states of pairs alone.

    Pairs with fewer links than others are no evidence by themselves: bridges come as NV4, NV8, NV12, in part fitted.
    """
    stated = {(pair.a, pair.b): pair.nvlinks for pair in node.pairs if pair.nvlinks}
    best: dict[int, int] = {}
    total: dict[int, int] = {}
    for pair, links in stated.items():
        for index in pair:
            best[index] = max(best.get(index, 0), links)
            total[index] = total.get(index, 0) + links
    most = max(best.values(), default=0)
    short = {pair.nvlink_short for pair in node.pairs} - {None}
    if max(total.values(), default=0) > _MOST_WIRED_LINKS:
        found = {index for index, links in best.items() if links < most}
    else:
        found = {index for pair, links in stated.items() if _lacks(links, most) for index in pair}
    return found | {index for index in short if index is not None}


def _lacks(links: int, most: int) -> bool:
    """Whether a wired pair has lost links, seen next to the best pair of the node."""
    odd = links % 2 == 1 and most >= _WIRED_IN_TWOS
    return links < most and (odd or links > _MOST_BRIDGED_LINKS)


def _link_count(gpu: Gpu) -> int:
    if any(bundle.version == XGMI for bundle in gpu.nvlinks):
        return 0
    return max(gpu.nvlink_count or 0, sum(bundle.count for bundle in gpu.nvlinks))


def _usable(nvlinks: tuple[NvLinkBundle, ...]) -> int:
    return sum(bundle.count for bundle in nvlinks if bundle.usable)


def _path(one: Gpu, other: Gpu) -> Path | None:
    for mine, theirs in (
        (_towards(one, other), _towards(other, one)),
        (_to_switches(one), _to_switches(other)),
    ):
        links = min(sum(count for _, count in mine), sum(count for _, count in theirs))
        if links:
            rate, source = _rate([bundle for bundle, _ in (*mine, *theirs)])
            return Path(links, None if rate is None else rate * links, source)
    return None


def _towards(gpu: Gpu, peer: Gpu) -> list[tuple[NvLinkBundle, int]]:
    """Usable links that end at ``peer`` itself, by bundle: a bridge, or a mesh without switches."""
    if peer.pci_address is None:
        return []
    ends = [(bundle, bundle.peers.get(peer.pci_address)) for bundle in gpu.nvlinks if bundle.usable]
    return [(bundle, len(parse_cpulist(links))) for bundle, links in ends if links]


def _to_switches(gpu: Gpu) -> list[tuple[NvLinkBundle, int]]:
    """Usable links that end at an NVSwitch, by bundle, if its fabric is ready to route."""
    if gpu.fabric is not None and gpu.fabric.state in ("not-started", "in-progress"):
        return []
    return [(bundle, bundle.count) for bundle in gpu.nvlinks if bundle.usable and bundle.remote == "switch"]


def _rate(usable: list[NvLinkBundle]) -> tuple[int | None, str | None]:
    """The slowest of these links: its rate, and who says so."""
    reported = [bundle.bytes_per_second for bundle in usable if bundle.bytes_per_second]
    if reported:
        return min(reported), "driver"
    nominal = [
        NOMINAL_BYTES_PER_SECOND[bundle.version] for bundle in usable if bundle.version in NOMINAL_BYTES_PER_SECOND
    ]
    return (min(nominal), "table") if nominal else (None, None)
