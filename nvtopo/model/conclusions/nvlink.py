"""NVLink between GPUs of one node: which pairs have a usable path, how wide it is, which groups that makes.

A link counts only where both sides have it, is up, and the driver allows peer access over it: trained links alone
prove nothing (a fabric that never registered trains its links all the same).
"""

from collections.abc import Mapping

from nvtopo.model.conclusions.links import hides, link_count, unknown_ends, unknown_links, usable_links
from nvtopo.model.conclusions.nvlink_path import Links, Path, known, path, side
from nvtopo.model.formats import cpulist
from nvtopo.model.records.node import Gpu, NodeTopology
from nvtopo.model.records.nvlinks import NvLinkBundle
from nvtopo.model.records.record import Problem

#: ``GpuPair.nvlink_p2p`` if the driver does not tell whether it allows peer access.
P2P_UNKNOWN = "U"


def paths(node: NodeTopology) -> dict[tuple[int, int], Path]:
    """Usable NVLink paths, by pair of GPU indices (lesser first)."""
    blocked = {(pair.a, pair.b) for pair in node.pairs if pair.nvlink_p2p is not None}
    found = {(pair.a, pair.b): Path(pair.nvlinks, None, None) for pair in node.pairs if pair.nvlinks}
    sides = [(gpu, side(gpu)) for gpu in node.gpus if not gpu.mig]
    through: dict[tuple[Links, Links], Path | None] = {}
    for position, (one, mine) in enumerate(sides):
        for other, theirs in sides[position + 1 :]:
            pair = (one.index, other.index)
            if pair not in blocked and (path := known(mine, theirs, through)) is not None:
                found[pair] = path
    return found


def joined(one: Gpu, other: Gpu) -> bool:
    """Whether the links of two GPUs alone would make a path; the driver may still not allow it."""
    return path(side(one), side(other)) is not None


def groups(
    node: NodeTopology, found: Mapping[tuple[int, int], Path] | None = None
) -> tuple[tuple[int, ...], ...] | None:
    """Connected components of more than one GPU over usable NVLink. ``found`` are its ``paths``, where they are known.

    None where it can't be known: the driver hides the links of a GPU in MIG mode, the input can't show NVLink, links
    train after boot (h100-links-training), there are GPUs and no driver answers for any (h100-no-driver), or some pair
    has no path as far as is known and the driver did not tell all of its links.
    """
    if node.nvlink_hidden or any(gpu.mig or gpu.nvlink_training for gpu in node.gpus) or unanswered(node):
        return None
    group_of = {gpu.index: {gpu.index} for gpu in node.gpus}
    found = paths(node) if found is None else found
    for a, b in found:
        if group_of[a] is not group_of[b]:
            merged = group_of[a] | group_of[b]
            for index in merged:
                group_of[index] = merged
    if _may_join_more(node, found):
        return None
    distinct = {min(members): members for members in group_of.values()}
    return tuple(tuple(sorted(members)) for _, members in sorted(distinct.items()) if len(members) > 1)


def _may_join_more(node: NodeTopology, found: Mapping[tuple[int, int], Path]) -> bool:
    """Whether more pairs than those with a path may have one, because something about links is not known."""
    vague = {gpu.index for gpu in node.gpus if hides(node, gpu) or unknown_links(gpu) or unknown_ends(node, gpu)}
    unsure = {(pair.a, pair.b) for pair in node.pairs if pair.nvlink_p2p == P2P_UNKNOWN}
    known = found.keys() | _denied(node)
    return any(
        (one.index, other.index) not in known
        and (one.index in vague or other.index in vague or (one.index, other.index) in unsure)
        for position, one in enumerate(node.gpus)
        for other in node.gpus[position + 1 :]
    )


def _denied(node: NodeTopology) -> frozenset[tuple[int, int]]:
    """Pairs that have no peer access over NVLink, as the driver says, whatever it says of their links."""
    return frozenset((pair.a, pair.b) for pair in node.pairs if pair.nvlink_p2p not in (None, P2P_UNKNOWN))


def unbridged(node: NodeTopology, gpu: Gpu) -> bool:
    """Whether a card whose links the driver does not tell has none in use, and none that are known to be missing.

    The driver says of each other GPU that there is no peer access over NVLink.
    """
    due = gpu.nvlinks_before or (node.expected is not None and node.expected.nvlinks_per_gpu)
    if node.unseen or node.nvlink_hidden or not gpu.nvlinks_unknown or due or not are_cards(node):
        return False
    others = {other.index for other in node.gpus} - {gpu.index}
    return others <= {index for pair in _denied(node) if gpu.index in pair for index in pair}


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
            if one.pci_address is None or other.pci_address is None:
                continue  # links that lead to a GPU without an address can't be told from others
            there = sum(count for _, count in _towards(one, other))
            back = sum(count for _, count in _towards(other, one))
            if there != back and not _vague(one if there < back else other):
                reason = f"{there} usable NVLinks from {one.key}, {back} from {other.key}"
                problems.append(Problem(source="nvml", subject=f"{one.key}-{other.key}", reason=reason))
    return tuple(problems)


def _vague(gpu: Gpu) -> bool:
    """Whether it may have more links in use than it shows."""
    return bool(gpu.mig or gpu.nvlinks_unknown or unknown_links(gpu))


def degraded(node: NodeTopology, due: Mapping[int, int] | None = None) -> tuple[int, ...]:
    """Indices of the GPUs that lack links: on a board, those with fewer usable ones than the best of their product.

    ``due`` is what ``expected`` has, where it is known.

    While links train, no GPU counts as lacking any, nor does one of whose links nothing is known.
    """
    if any(gpu.nvlink_training for gpu in node.gpus):
        return ()
    gpus = [gpu for gpu in node.gpus if not gpu.mig and not hides(node, gpu)]
    due = expected(node) if due is None else due
    short = {gpu.index for gpu in gpus if usable_links(gpu) + unknown_links(gpu) < due.get(gpu.index, 0)}
    if are_cards(node):
        short |= _degraded_cards(gpus)
    return tuple(sorted(short | _stated_degraded(node)))


def usable(node: NodeTopology) -> dict[int, int]:
    """GPU index → NVLinks that can carry traffic, of the GPUs that show the state of all of theirs."""
    shown = (gpu for gpu in node.gpus if gpu.nvlinks and not gpu.mig and not unknown_links(gpu))
    return {gpu.index: usable_links(gpu) for gpu in shown}


def expected(node: NodeTopology) -> dict[int, int]:
    """GPU index → NVLinks that should be usable: as many as the best GPU of its product (mixed-h200-a100-cards) has.

    What an expectation states is before that. Without one, empty for PCIe cards: no source says how many links a
    bridge connects.
    """
    most = {} if are_cards(node) else _most_links(node)
    due = None if node.expected is None or node.nvlink_hidden else node.expected.nvlinks_per_gpu
    if due is not None:
        learned = node.expected is not None and "nvlinksPerGpu" in node.expected.learned
        stated = {gpu.index: due for gpu in node.gpus if not gpu.mig and not hides(node, gpu)}
        most |= {index: max(number, most.get(index, 0)) if learned else number for index, number in stated.items()}
    return most


def _most_links(node: NodeTopology) -> dict[int, int]:
    most: dict[str, int] = {}
    for gpu in node.gpus:
        most[gpu.name] = max(most.get(gpu.name, 0), link_count(gpu))
    return {gpu.index: most[gpu.name] for gpu in node.gpus if not gpu.mig}


def pair_access(node: NodeTopology) -> dict[tuple[int, int], bool | None]:
    """Pairs of GPU indices that links join → whether the driver allows peer access over them; None if unknown."""
    blocked = {(pair.a, pair.b): pair.nvlink_p2p for pair in node.pairs if pair.nvlink_p2p is not None}
    found = paths(node)
    if not blocked:
        return dict.fromkeys(found, True)
    wired = (
        (one.index, other.index)
        for position, one in enumerate(node.gpus)
        for other in node.gpus[position + 1 :]
        if (one.index, other.index) in found or ((one.index, other.index) in blocked and joined(one, other))
    )
    return {pair: None if blocked.get(pair) == P2P_UNKNOWN else pair not in blocked for pair in wired}


def refused(node: NodeTopology) -> frozenset[int]:
    """Indices of the GPUs that links join to another to which the driver refuses peer access."""
    if all(pair.nvlink_p2p in (None, P2P_UNKNOWN) for pair in node.pairs):
        return frozenset()
    return frozenset(index for pair, allowed in pair_access(node).items() if allowed is False for index in pair)


def are_cards(node: NodeTopology) -> bool:
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
    gpus = [gpu for gpu in gpus if not unknown_links(gpu)]
    usable = {gpu.index: usable_links(gpu) for gpu in gpus}
    most = max(usable.values(), default=0)
    short = {gpu.index for gpu in gpus if usable[gpu.index] % 2 and usable[gpu.index] < link_count(gpu)}
    short |= {gpu.index for gpu in gpus if (gpu.nvlinks_before or 0) > usable[gpu.index]}
    short |= {index for index, links in usable.items() if _MOST_BRIDGED_LINKS < links < most}
    return short | {
        one.index
        for one in gpus
        for other in gpus
        if one.pci_address is not None
        and other.pci_address is not None
        and sum(count for _, count in _towards(one, other)) < sum(count for _, count in _towards(other, one))
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


def _towards(gpu: Gpu, peer: Gpu) -> list[tuple[NvLinkBundle, int]]:
    """Usable links that end at ``peer`` itself, by bundle: a bridge, or a mesh without switches."""
    if peer.pci_address is None:
        return []
    ends = [(bundle, bundle.peers.get(peer.pci_address)) for bundle in gpu.nvlinks if bundle.usable]
    return [(bundle, cpulist.count(links)) for bundle, links in ends if links]
