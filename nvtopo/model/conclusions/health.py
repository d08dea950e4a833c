"""The health of a node, its GPUs and its NICs. Labels, condition, page, pictures, Events and metrics all read this.

A reason is a code with values; ``health_kinds.KINDS`` is the one table of what each code means. A new reason is a
line there, its words in ``health_words``, and the place below that finds it.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.model.conclusions import fabric, nvlink, nvlinks, ports, presence, unmet, unread
from nvtopo.model.conclusions.health_kinds import ILL, KINDS, SIBLINGS, WORST_LAST, Code, Level, Reason
from nvtopo.model.conclusions.links import hides, link_count, unknown_ends, unknown_links, usable_links
from nvtopo.model.conclusions.nvlinks import NO_PEER_ACCESS, NvLinks
from nvtopo.model.conclusions.pcie import lacking
from nvtopo.model.records.facts import PcieLink
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from nvtopo.model.records.record import Problem

#: Verdict of one GPU's fabric → what it is a reason of.
_FABRIC: Final[Mapping[fabric.Verdict, Code]] = MappingProxyType(
    {"Registering": "fabric-registering", "Error": "fabric-error", "Unhealthy": "fabric-unhealthy"}
)
#: The sources that say which NICs are rails.
_RAILS_FROM: Final = frozenset(("pci", "rdma"))


class Health(NamedTuple):
    """Of one GPU or NIC."""

    level: Level = "ok"
    reasons: tuple[Reason, ...] = ()


class NodeHealth(NamedTuple):
    """Of a node, with that of its parts."""

    level: Level
    """The worst among the reasons that bear on ``ready``."""
    ready: bool | None
    """Whether nothing that is known stands in a job's way; None where it can't be known, or there is no GPU."""
    reasons: tuple[Reason, ...]
    """Of the node as a whole, then of its GPUs, then of its NICs."""
    gpus: Mapping[int, Health]
    """GPU index → its health, for every GPU that answers."""
    slots: Mapping[str, Health]
    """PCI address or ``module <n>`` → health, for each GPU of the machine that does not answer."""
    nics: Mapping[str, Health]
    """NIC → its health; empty if the NICs' roles are not known."""

    @property
    def nvlink_degraded(self) -> bool | None:
        """Whether NVLink gives some GPU less than it should; None where that is not known."""
        return _nvlink_degraded(self.reasons)


def of(node: NodeTopology, nic_roles: Mapping[str, str] = MappingProxyType({})) -> NodeHealth:
    """The health of a node. ``nic_roles`` is what each NIC is for, by ``rails.roles``; without it none is judged."""
    gpus = {index: _health(reasons) for index, reasons in _of_gpus(node).items()}
    nics = {name: _health(reasons) for name, reasons in _of_nics(node, nic_roles)}
    parts = (*gpus.values(), *nics.values())
    whole = (*_of_node(node), *_of_rails(node, nic_roles), *unmet.of_node(node, nic_roles))
    reasons = (*whole, *(reason for part in parts for reason in part.reasons))
    verdicts = {KINDS[reason.code].ready for reason in reasons}
    ready = False if False in verdicts else None if None in verdicts else True
    level = _worst(reason for reason in reasons if KINDS[reason.code].ready is not True)
    return NodeHealth(level, ready, reasons, MappingProxyType(gpus), _slots(node), MappingProxyType(nics))


def gpu_nvlink_degraded(health: Health) -> bool | None:
    """Whether NVLink gives this GPU less than it should; None where that is not known."""
    return _nvlink_degraded(health.reasons)


def of_fabric(health: Health) -> bool:
    """Whether the GPU has a fault of the fabric, not only of its own links."""
    return any(reason.code.startswith("fabric-") and KINDS[reason.code].level in ILL for reason in health.reasons)


def in_the_way(health: Health) -> Reason | None:
    """The worst fault of a GPU that stands in a job's way; None if none does."""
    return worst(
        reason for reason in health.reasons if KINDS[reason.code].level in ILL and KINDS[reason.code].ready is False
    )


def worst(reasons: Iterable[Reason]) -> Reason | None:
    """A fault, else the first."""
    found = list(reasons)
    return next((reason for reason in found if KINDS[reason.code].level == "fault"), found[0] if found else None)


def _nvlink_degraded(reasons: Iterable[Reason]) -> bool | None:
    levels = {KINDS[reason.code].level for reason in reasons if KINDS[reason.code].nvlink}
    return True if levels & ILL else None if levels else False  # a level "ok" stands for links of unknown history


def _worst(reasons: Iterable[Reason]) -> Level:
    return max((KINDS[reason.code].level for reason in reasons), key=WORST_LAST.index, default="ok")


def _health(reasons: Iterable[Reason]) -> Health:
    found = tuple(reasons)
    return Health(_worst(found), found)


def _of_node(node: NodeTopology) -> Iterator[Reason]:
    """What is about the node as a whole."""
    if node.unseen:
        yield Reason("not-shown", values=node.unseen)
    gpus_unknown = "gpus" in node.unseen or "pci" in unread.touched(node) or nvlink.unanswered(node)
    if not node.gpus and not gpus_unknown:
        yield Reason(_without_gpus(node))
    for source in sorted(unread.touched(node)):
        yield Reason("facts-unread" if source in unread.OF_DEVICES else "side-facts-unread", values=(source,))
    yield from _of_bus(node)
    whose = _subjects(node.gpus)
    for problem in _of_driver(node):
        if problem.subject not in whose:
            yield Reason("driver-problem", values=(problem.subject, problem.reason))
    if any(gpu.nvlink_training for gpu in node.gpus):
        return
    if fabric.node_verdict(node) == "Mixed":
        yield Reason("fabric-mixed")
    domains = {domain for gpu in node.gpus if (domain := fabric.gpu_domain(gpu.fabric))}
    if len(domains) > 1:
        yield Reason("domains-differ", values=tuple(sorted(domains)))


def _slots(node: NodeTopology) -> Mapping[str, Health]:
    found = {device.name: Health("fault") for device in presence.of_state(node, "silent")}
    found |= {device.name: Health("unknown") for device in presence.of_state(node, "withheld")}
    found |= {name: Health("fault") for name in presence.absent(node)}
    return MappingProxyType(found)


def _of_bus(node: NodeTopology) -> Iterator[Reason]:
    """Of GPUs that do not answer, beyond their problems."""
    for driver, count in presence.holders(node).items():
        yield Reason("gpus-withheld", values=(count, driver))
    for vendor, count in presence.vendors(node).items():
        yield Reason("accelerators-not-read", values=(count, vendor))
    modules = presence.missing_modules(node)
    if gone := presence.gone(node):
        there = presence.accounted(node)
        yield Reason("gpus-missing", values=(there, there + gone))
    if modules:
        yield Reason("modules-missing", values=modules)


def _without_gpus(node: NodeTopology) -> Code:
    if node.nvlink_hidden:
        return "nvlinks-hidden"
    if node.accelerators and not presence.of_state(node, "silent"):
        return "no-gpu-read"
    return "no-gpu" if node.host.driver_version is None else "no-gpu-answers"


def _of_driver(node: NodeTopology) -> list[Problem]:
    return [problem for problem in node.problems if problem.source in ("nvml", SIBLINGS)]


def _subjects(gpus: tuple[Gpu, ...]) -> dict[str, tuple[int, ...]]:
    """What a problem calls a GPU, or two of them → whom it is about."""
    names: dict[str, tuple[int, ...]] = {
        name: (gpu.index,) for gpu in gpus for name in (gpu.key, gpu.uuid, gpu.pci_address) if name
    }
    pairs: dict[str, tuple[int, ...]] = {
        f"{one.key}-{other.key}": (one.index, other.index)
        for position, one in enumerate(gpus)
        for other in gpus[position + 1 :]
    }
    return names | pairs


def _of_gpus(node: NodeTopology) -> dict[int, list[Reason]]:
    links = nvlinks.of(node)
    found = {gpu.index: [*_of_pcie(gpu), *_of_gpu(node, gpu, links)] for gpu in node.gpus}
    problems = _of_driver(node)
    whose = _subjects(node.gpus) if problems else {}
    for problem in problems:
        indices = whose.get(problem.subject, ())
        code: Code = "gpu-problem" if len(indices) == 1 else "pair-problem"
        for index in indices:
            if problem.source == SIBLINGS:
                found[index].append(Reason("nvlinks-missing", gpu=index))
            else:
                found[index].append(Reason(code, gpu=index, values=(problem.subject, problem.reason)))
    return found


def _of_pcie(gpu: Gpu) -> Iterator[Reason]:
    """Of its lanes alone: the generation falls whenever it idles, and only the metrics page has the load beside it."""
    if gpu.link is not None and (values := _below_best(gpu.link, None)):
        yield Reason("pcie-below-best", gpu=gpu.index, values=values)


def _of_gpu(node: NodeTopology, gpu: Gpu, found: NvLinks) -> Iterator[Reason]:
    if gpu.recovery_action is not None:
        yield Reason("gpu-recovery", gpu=gpu.index, values=(gpu.recovery_action,))
    if gpu.memory_repair:
        yield Reason("gpu-memory-repair", gpu=gpu.index, values=gpu.memory_repair)
    verdict = found.fabric[gpu.index]
    if gpu.nvlink_training:
        yield Reason("nvlinks-training", gpu=gpu.index)
    if verdict == "Error" and fabric.lacks_fabric(gpu):
        yield Reason("fabric-not-supported", gpu=gpu.index)
    elif verdict in _FABRIC and not (verdict == "Registering" and gpu.nvlink_training):
        yield Reason("fabric-in-progress" if gpu.fabric_overdue else _FABRIC[verdict], gpu=gpu.index)
    if gpu.fabric is not None and gpu.fabric.health_summary == "limited-capacity":
        yield Reason("fabric-limited-capacity", gpu=gpu.index)
    if verdict == "Unknown" or (gpu.fabric is not None and gpu.fabric.health_not_known):
        yield Reason("fabric-unknown", gpu=gpu.index, values=("state" if verdict == "Unknown" else "health",))
    if node.nvlink_hidden or hides(node, gpu):
        yield Reason("nvlinks-unbridged" if nvlink.unbridged(node, gpu) else "nvlinks-hidden", gpu=gpu.index)
    if not gpu.mig:
        due = found.due.get(gpu.index, gpu.nvlinks_before or link_count(gpu))
        yield from _of_links(gpu, due, short=gpu.index in found.short)
        yield from _of_ends(node, gpu, found)
    yield from unmet.of_gpu(node, gpu)


def _of_ends(node: NodeTopology, gpu: Gpu, found: NvLinks) -> Iterator[Reason]:
    """Of where the links lead, and whether the driver lets a job use them."""
    if len(node.gpus) > 1 and (ends := unknown_ends(node, gpu)):
        yield Reason("nvlink-ends-unknown", gpu=gpu.index, values=(ends,))
    if found.cards and gpu.nvlinks and gpu.index not in found.short and not _perhaps_up(gpu):
        yield Reason("nvlinks-unbridged", gpu=gpu.index)
    refused, unknown = found.peers(gpu.index, allowed=False), found.peers(gpu.index, allowed=None)
    if refused and found.fabric[gpu.index] not in NO_PEER_ACCESS:
        yield Reason("nvlink-p2p-refused", gpu=gpu.index, values=refused)
    if unknown:
        yield Reason("nvlink-p2p-unknown", gpu=gpu.index, values=unknown)


def _perhaps_up(gpu: Gpu) -> bool:
    return usable_links(gpu) + unknown_links(gpu) > 0


def _of_links(gpu: Gpu, due: int, *, short: bool) -> Iterator[Reason]:
    """Of the NVLinks that are not training; what is not known of them is neither up nor down."""
    usable, unknown = usable_links(gpu), unknown_links(gpu)
    if short:
        had = gpu.nvlinks or gpu.nvlinks_before
        code: Code = "nvlinks-missing" if usable or not had else "nvlinks-down"
        yield Reason(code, gpu=gpu.index, values=(usable, due) if had else ())
    if unknown:
        yield Reason("nvlinks-unknown", gpu=gpu.index, values=(unknown, due))


def _of_nics(node: NodeTopology, roles: Mapping[str, str]) -> Iterator[tuple[str, list[Reason]]]:
    """Ports of a NIC that is no rail may be unused by design. What hides devices hides which NICs are rails."""
    if unread.unidentified(node) & _RAILS_FROM:
        roles = {}
    rails = ports.rail_nics(node.nics, roles)
    names, idle = {nic.name for nic in rails}, ports.unused(rails)
    for nic in node.nics:
        if nic.name in roles:
            rail = nic.name in names
            down = ports.down(nic, idle.get(nic.name, ())) if rail else ()
            found = [*_of_nic(nic, down), *(unmet.of_rail(node, nic) if rail else ())]
            if rail and not node.unseen and (what := ports.lacking(nic)):
                found.append(Reason("rail-without-ports", nic=nic.name, values=(what,)))
            yield nic.name, found


def _of_nic(nic: Nic, down: tuple[int, ...]) -> Iterator[Reason]:
    if down:
        yield Reason("ports-down", nic=nic.name, values=(*down, len(nic.ports)))
    if nic.link is not None and (values := _below_best(nic.link, nic.link.generation)):
        yield Reason("pcie-below-best", nic=nic.name, values=values)


def _below_best(link: PcieLink, generation: int | None) -> tuple[str, ...]:
    return lacking(link.width, generation, link.max_width, link.max_generation)


def _of_rails(node: NodeTopology, roles: Mapping[str, str]) -> Iterator[Reason]:
    rails = ports.rail_nics(node.nics, roles)
    if unread.unidentified(node) & _RAILS_FROM:
        return
    if node.unseen and not all(nic.ports for nic in rails):
        return
    if ports.none_up(rails):
        yield Reason("rails-down", values=(len(rails),))
    elif not node.unseen and ports.none_known(rails):
        yield Reason("rails-unknown", values=(len(rails),))
