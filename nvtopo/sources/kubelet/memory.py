"""The memory manager: what its checkpoint has on each NUMA node, and what its configuration must add up to; and pods.

Under the policy ``Static`` the kubelet refuses to start unless ``reservedMemory`` adds up to ``kubeReserved`` +
``systemReserved`` + ``evictionHard`` (k8s.io/kubernetes/pkg/kubelet/cm/memorymanager, ``validateReservedMemory``). What
the configuration says is known only if the kubelet's command line and every file that it names can be read.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from nvtopo.errors import ParseError
from nvtopo.model.formats import limits, quantity
from nvtopo.model.records.facts import MemoryFacts, NumaMemory
from nvtopo.model.records.record import Bytes
from nvtopo.sources.kubelet import command_line, pod_memory, policies
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader
from nvtopo.wire import yaml
from nvtopo.wire.documents import Json

NAME = "memory"

_CHECKPOINT_FILE: Final = "memory_manager_state"
_STATIC: Final = "static"
_MEMORY: Final = "memory"
_SIGNAL: Final = "memory.available"
#: The kubelet's own, if nothing is set for any signal.
_DEFAULT_EVICTION: Final = "100Mi"
#: Of one list of ``--reserved-memory``: ``0:memory=1Gi,hugepages-1Gi=2Gi``, with ``;`` between NUMA nodes.
_FLAG: Final = re.compile(r"(\d{1,4}):(.*)")
_MOST: Final = Meta(max_length=limits.MOST_NUMA_NODES)


class _Table(msgspec.Struct, rename="camel"):
    total: Bytes
    system_reserved: Bytes
    allocatable: Bytes


class _Numa(msgspec.Struct, rename="camel"):
    memory_map: dict[str, _Table] = {}


class _Checkpoint(msgspec.Struct, rename="camel"):
    policy_name: str = ""
    machine_state: Annotated[dict[int, _Numa], _MOST] = {}


class _Reservation(msgspec.Struct, rename="camel"):
    numa_node: int = -1
    limits: dict[str, str | int | float] = {}


class _Configuration(msgspec.Struct, rename="camel"):
    """What of a KubeletConfiguration reserves memory."""

    kube_reserved: dict[str, str] | None = None
    system_reserved: dict[str, str] | None = None
    eviction_hard: dict[str, str] | None = None
    merge_default_eviction_settings: bool | None = None
    reserved_memory: Annotated[list[_Reservation], _MOST] | None = None


_EXPECTED: Final = "a KubeletConfiguration"
_CHECKPOINT: Final = Json(_Checkpoint, "the memory manager's checkpoint")
_CONFIGURATION: Final = Json(_Configuration, _EXPECTED)


def read(machine: Machine) -> Reading:
    """``memory_manager_state``, the kubelet's configuration, and pods with devices; None if nothing of it is there."""
    reader = SysfsReader(machine.root, NAME)
    given = command_line.flags(machine.root)
    home = (given or {}).get("root-dir") or policies.HOME
    alone = given is not None and command_line.is_alone(machine.root)  # k3s and others add settings of their own
    configured = _configured(machine, reader, given) if given is not None and alone else None
    facts = MemoryFacts(
        nodes=_nodes(reader, f"{home}/{_CHECKPOINT_FILE}"),
        reserved_bytes=None if configured is None else _reserved(configured),
        due_bytes=None if configured is None else _due(configured),
        pods=pod_memory.read(reader, home),
    )
    return Reading(None if facts == MemoryFacts() else facts, tuple(reader.problems))


def _nodes(reader: SysfsReader, path: str) -> tuple[NumaMemory, ...]:
    content = reader.content(path) if reader.is_file(path) else None
    if not content:
        return ()
    try:
        found = _CHECKPOINT.read(content)
    except ParseError as error:
        reader.problem(path, str(error))
        return ()
    if found.policy_name.lower() != _STATIC:
        return ()
    return tuple(
        NumaMemory(
            index=index,
            total_bytes=table.total,
            reserved_bytes=table.system_reserved,
            allocatable_bytes=table.allocatable,
        )
        for index, numa in sorted(found.machine_state.items())
        if 0 <= index <= limits.HIGHEST_INDEX and (table := numa.memory_map.get(_MEMORY)) is not None
    )


def _configured(machine: Machine, reader: SysfsReader, given: Mapping[str, str]) -> _Configuration | None:
    """The files, later ones over earlier ones, and the flags over these; None if something could not be read."""
    found = _Configuration()
    for text in policies.files_of(machine, reader, given):
        one = None if text is None else _parsed(reader, text)
        if one is None:
            return None
        found = _over(found, one)
    return _over(found, _of_flags(given))


def _parsed(reader: SysfsReader, text: str) -> _Configuration | None:
    content = text.encode()
    try:
        if text.startswith("{"):
            return _CONFIGURATION.read(content)
        return yaml.read(content, _Configuration, _EXPECTED, "the kubelet's configuration") if text else None
    except ParseError as error:
        reader.problem("configuration", str(error))
        return None


def _over(below: _Configuration, above: _Configuration) -> _Configuration:
    """Maps are joined, a list replaces a list."""
    joined = {}
    for name in ("kube_reserved", "system_reserved", "eviction_hard"):
        one, other = getattr(below, name), getattr(above, name)
        joined[name] = one if other is None else {**(one or {}), **other}
    return _Configuration(
        **joined,
        merge_default_eviction_settings=_last(
            below.merge_default_eviction_settings, above.merge_default_eviction_settings
        ),
        reserved_memory=_last(below.reserved_memory, above.reserved_memory),
    )


def _last(one: Any, other: Any) -> Any:
    return one if other is None else other


def _of_flags(given: Mapping[str, str]) -> _Configuration:
    return _Configuration(
        kube_reserved=_pairs(given.get("kube-reserved"), "="),
        system_reserved=_pairs(given.get("system-reserved"), "="),
        eviction_hard=_pairs(given.get("eviction-hard"), "<"),
        reserved_memory=_reservations(given["reserved-memory"]) if "reserved-memory" in given else None,
    )


def _pairs(text: str | None, between: str) -> dict[str, str] | None:
    """``cpu=200m,memory=1Gi`` as a map."""
    if text is None:
        return None
    parts = (part.partition(between) for part in text.split(","))
    return {name.strip(): value.strip() for name, separator, value in parts if separator}


def _reservations(text: str) -> list[_Reservation]:
    matches = (_FLAG.fullmatch(part.strip()) for part in text.split(";"))
    return [
        _Reservation(numa_node=int(match[1]), limits=dict(_pairs(match[2], "=") or {})) for match in matches if match
    ]


def _reserved(configured: _Configuration) -> dict[str, int] | None:
    """None if an amount is no quantity."""
    found: dict[str, int] = {}
    for one in (configured.reserved_memory or ())[: limits.MOST_NUMA_NODES]:
        amount = quantity.whole(str(one.limits.get(_MEMORY, 0)))
        if amount is None or not 0 <= one.numa_node <= limits.HIGHEST_INDEX:
            return None
        name = str(one.numa_node)
        found[name] = found.get(name, 0) + amount
    return found


def _due(configured: _Configuration) -> int | None:
    """None if an amount is no quantity, such as a share of the memory in per cent."""
    eviction = configured.eviction_hard
    if eviction is None:
        threshold = _DEFAULT_EVICTION
    else:
        threshold = eviction.get(_SIGNAL, _DEFAULT_EVICTION if configured.merge_default_eviction_settings else "0")
    return _sum(
        [
            str((configured.kube_reserved or {}).get(_MEMORY, 0)),
            str((configured.system_reserved or {}).get(_MEMORY, 0)),
            threshold,
        ]
    )


def _sum(amounts: Sequence[str]) -> int | None:
    found = [quantity.whole(amount) for amount in amounts]
    return None if None in found else sum(amount for amount in found if amount is not None)
