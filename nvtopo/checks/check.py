"""What a check of a node is given, and what it may answer: found, not known, nothing wrong, or not for this node."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Final, Literal, NamedTuple, TypeVar

from msgspec.structs import replace

from nvtopo.findings.finding import Check, Finding, FindingDomain, Severity
from nvtopo.model.conclusions import unread
from nvtopo.model.conclusions.derive import Derived, derive
from nvtopo.model.conclusions.hierarchy import functions_of
from nvtopo.model.conclusions.pcie import Functions
from nvtopo.model.conclusions.ports import rail_nics
from nvtopo.model.formats import quantity
from nvtopo.model.records.node import Nic, NodeTopology
from nvtopo.model.records.record import Record
from nvtopo.model.records.snapshot import Snapshot

T = TypeVar("T")

Outcome = Literal["failed", "passed", "unknown", "not-applicable"]

#: The subject of what is about the node as a whole.
NODE: Final = "node"
#: Why it is not known what is near the GPUs.
NOT_NEAR: Final = "which NUMA nodes its GPUs are near is not known"
_RAILS_FROM: Final = frozenset(("pci", "rdma"))


class Network(NamedTuple):
    """What a NetworkAttachmentDefinition asks of a node."""

    name: str
    """``namespace/name``."""
    resource: str | None = None
    """Of its annotation ``k8s.v1.cni.cncf.io/resourceName``: each pod gets one of it."""
    kind: str | None = None
    """The CNI plugin that gives the interface; None if its configuration can't be read, or stands elsewhere."""
    netdev: str | None = None
    """The host's network device that it takes or stands on: ``master`` or ``device``."""
    mtu_bytes: int | None = None
    """What it sets."""


class NodeLabels(NamedTuple):
    """Given to compare a node with its Node object."""

    values: Mapping[str, str] | None
    """Its labels; None if there is no Node of its name."""
    allocatable: Mapping[str, str] | None = None
    """Resource → how much of it the kubelet offers; None if the object has no such part."""
    capacity: Mapping[str, str] | None = None
    """Resource → how much of it there is, what is unhealthy included."""
    networks: tuple["Network", ...] = ()
    """The NetworkAttachmentDefinitions that are given beside the Nodes."""
    cordoned: bool = False
    """Whether it takes no new pods."""
    ready: str | None = None
    """Its condition ``Ready``: ``True``, ``False`` or ``Unknown``; None if it has none."""

    @property
    def offered_gpus(self) -> int | None:
        """How many ``nvidia.com/gpu`` the kubelet offers; None if it offers no such resource, as with DRA."""
        return quantity.whole((self.allocatable or {}).get("nvidia.com/gpu", ""))


class UnknowableError(Exception):
    """What a check asks of a machine can't be known; the text says why."""


class Machine:
    """A node with its facts and what follows from them; without a snapshot if it was read from a resource."""

    def __init__(
        self,
        node: NodeTopology,
        snapshot: Snapshot | None = None,
        derived: Derived | None = None,
        labels: NodeLabels | None = None,
    ) -> None:
        self.node = node
        self.snapshot = snapshot
        self.derived = derive(node) if derived is None else derived
        self.labels = labels

    @cached_property
    def rails(self) -> tuple[Nic, ...]:
        """The NICs of the compute network that can be seen here, or an error as ``all_rails``."""
        return tuple(nic for nic in self.all_rails if not nic.hidden_by)

    @property
    def known_rails(self) -> tuple[Nic, ...]:
        """As ``rails``; none if it can't be known which those are."""
        try:
            return self.rails
        except UnknowableError:
            return ()

    @cached_property
    def all_rails(self) -> tuple[Nic, ...]:
        """The NICs of the compute network, hidden ones included.

        Raises ``UnknowableError`` if it can't be known which those are.
        """
        if "nics" in self.node.unseen:
            raise UnknowableError("which NICs are rails is not known: the input does not show the NICs")
        hidden = (unread.sources(self.node) | unread.unidentified(self.node)) & _RAILS_FROM
        if hidden:
            raise UnknowableError(f"which NICs are rails is not known: {', '.join(sorted(hidden))} could not be read")
        return tuple(rail_nics(self.node.nics, self.derived.nic_roles))

    @cached_property
    def several_numa(self) -> bool | None:
        """Whether more than one NUMA node has CPUs; None if that could not be read."""
        count = sum(1 for numa in self.node.numa if numa.cpus)
        if count > 1:
            return True
        unread = any(problem.source == "numa" for problem in self.node.problems)
        return None if unread or (self.node.numa and not count) else False

    @cached_property
    def near_gpus(self) -> frozenset[int] | None:
        """NUMA nodes with CPUs that GPUs are near; None if that is not known of all GPUs.

        The memory of a Grace GPU is a NUMA node without CPUs.
        """
        nodes = frozenset(numa.index for numa in self.node.numa if numa.cpus)
        near = {gpu.numa_node for gpu in self.node.gpus}
        if self.several_numa is None or (self.several_numa and None in near):
            return None
        return nodes & near if self.several_numa else nodes

    def unread(self, source: str, *parts: str) -> str | None:
        """Why a file of that source with these parts in its path could not be read; None if nothing says so.

        The path begins with ``/``, whether the source names it so (``/sys/…``) or by the device (``mlx5_0/…``).
        """
        return next(
            (
                problem.reason
                for problem in self.node.problems
                if problem.source == source and all(part in f"/{problem.subject}" for part in parts)
            ),
            None,
        )

    @cached_property
    def functions(self) -> Functions:
        """PCI functions by address; empty without a snapshot."""
        return functions_of(self.snapshot)


class Found(NamedTuple):
    """Something that does not fit."""

    subject: str
    evidence: str
    severity: Severity | None = None
    """If it is another than the check's."""
    expected: str | None = None
    """If it is another than the check's."""


class Unknown(NamedTuple):
    """Something that can't be known here, and why."""

    subject: str
    reason: str


class Fits(NamedTuple):
    """The check is for this node, and this much of it is as it should be."""


CheckResult = Found | Unknown | Fits


def of_fact(
    read: Callable[[Machine], T | Unknown | None], find: Callable[[Machine, T], Iterable[CheckResult]]
) -> Callable[[Machine], Iterable[CheckResult]]:
    """A check of one fact: ``read`` gives it, or why it is not known, or None if the check is not for this node."""

    def found(machine: Machine) -> Iterable[CheckResult]:
        fact = read(machine)
        if fact is None:
            return ()
        return (fact,) if isinstance(fact, Unknown) else find(machine, fact)

    return found


class NodeCheck(NamedTuple):
    """One check. ``find`` is a pure function; a check that answers nothing is not for this node."""

    check: Check
    reads: str
    """Where the facts come from: file or call."""
    unknown_when: str
    """When it can't know: a clause that follows "if"."""
    find: Callable[[Machine], Iterable[CheckResult]]
    one_is_enough: bool = False
    """Any of what it reads is enough to pass, so that the others need not be readable."""

    def results(self, machine: Machine) -> tuple[CheckResult, ...]:
        """All that it finds; one answer if it can't know what it is about."""
        try:
            return tuple(self.find(machine))
        except UnknowableError as error:
            return (Unknown(NODE, str(error)),)

    def finding(self, found: Found) -> Finding:
        """The finding that says what this check found."""
        made = self.check.finding(found.subject, found.evidence, found.severity)
        return made if found.expected is None else replace(made, expected=found.expected)


class NotKnown(Record, frozen=True, kw_only=True, order=True, omit_defaults=False):
    """What a check could not know."""

    id: str
    domain: FindingDomain
    subject: str
    reason: str
    """Why it can't be known."""
    remedy: str
    """What makes it known."""
    decisive: bool = False
    """Whether it can't be said, for this, if the node is ready."""
