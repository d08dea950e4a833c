"""What differs between two records of one thing, fact by fact, in words. New fields are compared unasked."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from nvtopo.model.cpulist import format_cpulist, parse_cpulist
from nvtopo.model.node import NicPort, NvLinkBundle
from nvtopo.model.record import Record


class Difference(NamedTuple):
    """One fact on both sides."""

    fact: str
    before: str
    after: str


#: Fields whose names read badly with blanks for underscores.
_WORDS: Final = {
    "acs_redirect": "ACS redirect",
    "allowed_cpus": "allowed CPUs",
    "c2c_bytes_per_second": "C2C link rate",
    "c2c_links": "C2C links",
    "clique_id": "clique",
    "cluster_uuid": "cluster UUID",
    "cpus": "CPUs",
    "cuda_version": "CUDA version",
    "fabric_guid": "fabric GUID",
    "gid_index": "GID index",
    "iommu": "IOMMU",
    "isolated_cpus": "isolated CPUs",
    "link": "PCIe link",
    "local_cpus": "CPUs near it",
    "memory_numa_node": "memory's NUMA node",
    "mig": "MIG",
    "mtu_bytes": "MTU",
    "active_mtu_bytes": "active MTU",
    "numa_node": "NUMA node",
    "numa_nodes": "NUMA nodes",
    "nvidia_open": "open kernel module",
    "nvlink_count": "number of NVLinks",
    "nvlink_hidden": "NVLink hidden",
    "nvlink_p2p": "NVLink peer access",
    "nvlink_training": "NVLinks training",
    "nvlink_short": "side with fewer NVLinks",
    "nvlinks": "NVLinks",
    "path": "PCIe path",
    "pci_address": "PCI address",
    "peermem": "nvidia-peermem",
    "ucx_gid_index": "UCX's GID index",
    "uuid": "UUID",
}
_RATE: Final = "_bytes_per_second"
_SIZE: Final = "_bytes"
_GIB: Final = 1 << 30
_GIGABIT: Final = 1_000_000_000 // 8
_UNKNOWN: Final = "not known"


def differences(before: Struct, after: Struct, *, without: frozenset[str] = frozenset()) -> Iterator[Difference]:
    """The facts that differ, in the order of the record's fields."""
    for field in type(after).__struct_fields__:
        if field not in without:
            yield from _field(field, getattr(before, field), getattr(after, field))


def _field(field: str, before: object, after: object) -> Iterator[Difference]:
    if before == after:
        return
    sides = (before, after)
    if any(isinstance(side, Record) for side in sides):
        yield from _nested(field, before, after)
    elif any(isinstance(side, dict) for side in sides):
        yield from _keyed(_items(before), _items(after), words(field))
    elif any(_holds(side, NvLinkBundle) for side in sides):
        yield from _nvlinks(_bundles(before), _bundles(after))
    elif any(_holds(side, NicPort) for side in sides):
        yield from _ports(_ports_of(before), _ports_of(after))
    else:
        yield _difference(words(field), field, before, after)


def words(field: str) -> str:
    """A field's name as people say it."""
    return _WORDS.get(field) or field.removesuffix(_RATE).removesuffix(_SIZE).replace("_", " ")


def _difference(fact: str, field: str, before: object, after: object) -> Difference:
    texts = (_said(field, before), _said(field, after))
    if texts[0] == texts[1]:
        texts = (str(before), str(after))
    return Difference(fact, *texts)


def _said(field: str, value: object) -> str:
    if value is None or value == "":
        return _UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and field.endswith(_RATE):
        return f"{value / _GIGABIT:.9g} Gb/s"
    if isinstance(value, int) and field.endswith(_SIZE) and not field.endswith("mtu_bytes"):
        return f"{value / _GIB:g} GiB" if value % _GIB == 0 else f"{value} bytes"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _nested(field: str, before: object, after: object) -> Iterator[Difference]:
    """Of a record within a record; where one side has none, against an empty one."""
    kind = type(after if isinstance(after, Record) else before)
    one, other = (side if isinstance(side, Record) else _empty(kind) for side in (before, after))
    found = list(differences(one, other))
    if not found:
        found = [Difference("", *(_UNKNOWN if side is None else "empty" for side in (before, after)))]
    for difference in found:
        yield difference._replace(fact=f"{words(field)} {difference.fact}".strip())


def _empty(kind: type) -> Record:
    empty = kind()
    assert isinstance(empty, Record)
    return empty


def _items(value: object) -> dict[str, object]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _keyed(before: dict[str, object], after: dict[str, object], prefix: str) -> Iterator[Difference]:
    for key in sorted({*before, *after}):
        one, other = before.get(key), after.get(key)
        if isinstance(one, dict) or isinstance(other, dict):
            yield from _keyed(_items(one), _items(other), f"{prefix} {key}")
        elif one != other:
            yield _difference(f"{prefix} {key}", "", one, other)


def _holds(value: object, kind: type) -> bool:
    return isinstance(value, tuple) and any(isinstance(item, kind) for item in value)


def _bundles(value: object) -> tuple[NvLinkBundle, ...]:
    return tuple(item for item in value if isinstance(item, NvLinkBundle)) if isinstance(value, tuple) else ()


def _ports_of(value: object) -> dict[int, NicPort]:
    ports = [item for item in value if isinstance(item, NicPort)] if isinstance(value, tuple) else []
    return {port.number: port for port in ports}


def _ports(before: dict[int, NicPort], after: dict[int, NicPort]) -> Iterator[Difference]:
    alone = before.keys() == after.keys() and len(after) == 1
    for number in sorted({*before, *after}):
        one, other = before.get(number), after.get(number)
        if one is None or other is None:
            yield Difference(f"port {number}", *("absent" if port is None else "present" for port in (one, other)))
            continue
        for difference in differences(one, other):
            yield difference if alone else difference._replace(fact=f"port {number} {difference.fact}")


def _nvlinks(before: tuple[NvLinkBundle, ...], after: tuple[NvLinkBundle, ...]) -> Iterator[Difference]:
    """States of all links in one line; of links whose state stayed, whatever else changed.

    A link that went down takes its rate and its other side with it, and that is one event.
    """
    one, other = _each(before), _each(after)
    if {link: facts["state"] for link, facts in one.items()} != {link: facts["state"] for link, facts in other.items()}:
        yield Difference("NVLinks", _folded(one, "state", one), _folded(other, "state", other))
    same = [link for link in one if link in other and one[link]["state"] == other[link]["state"]]
    for fact in ("version", "rate", "remote", "peer"):
        changed = [link for link in same if one[link][fact] != other[link][fact]]
        if changed:
            yield Difference(f"NVLink {fact}", _folded(one, fact, changed), _folded(other, fact, changed))


def _each(bundles: tuple[NvLinkBundle, ...]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for bundle in bundles:
        peers = {link: peer for peer, links in bundle.peers.items() for link in parse_cpulist(links)}
        for link in parse_cpulist(bundle.links):
            found[link] = {
                "state": bundle.state or _UNKNOWN,
                "version": bundle.version or _UNKNOWN,
                "rate": _said(_RATE, bundle.bytes_per_second),
                "remote": bundle.remote or _UNKNOWN,
                "peer": peers.get(link, "hidden"),
            }
    return found


def _folded(links: dict[int, dict[str, str]], fact: str, chosen: Iterable[int]) -> str:
    """``0-16 active, 17 inactive``."""
    values: dict[str, list[int]] = {}
    for link in sorted(chosen):
        values.setdefault(links[link][fact], []).append(link)
    return ", ".join(f"{format_cpulist(numbers)} {value}" for value, numbers in values.items()) or "none"
