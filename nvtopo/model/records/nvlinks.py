"""NVLinks of a GPU: single links as NVML reports them, and bundles of equal links.

A new fact of a link is one field of ``NvLinkFacts``. Folding, comparison, the resource's schema and every document take
their fields from there.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, field

from nvtopo.model.formats import limits
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.formats.cpulist import count, format_cpulist, parse_cpulist
from nvtopo.model.records.record import Bytes, Links, Record, ShortWord, Small

#: How documents call the other side of one link.
REMOTE_ADDRESS: Final = "remotePciBusID"
#: States of a link that traffic can use; one that sleeps wakes up for it.
USABLE_STATES: Final = ("active", "sleep")


class NvLinkFacts(Record, frozen=True, kw_only=True):
    """The facts of a link (NVML fields 164 to 166), or of every link in a bundle."""

    state: ShortWord | None = None
    """``active``, ``inactive``, ``sleep``, ``traffic-disabled``; absent where the driver did not answer."""
    version: ShortWord = ""
    """NVLink version in NVIDIA's words, such as ``4.0``."""
    bytes_per_second: Bytes | None = None
    """One link, one direction, as the driver reports it."""
    remote: ShortWord | None = None
    """``gpu``, ``switch`` or ``npu``."""


class _NumberedLink(NvLinkFacts, frozen=True):
    """The number without ``kw_only``, which puts it before the facts on the wire."""

    link: Annotated[int, Meta(ge=0, lt=limits.MOST_LINKS)]
    """Its number, from 0."""


class NvLink(_NumberedLink, frozen=True, kw_only=True):
    """One NVLink of a GPU, as NVML reports it."""

    state: Literal["active", "inactive", "sleep", "traffic-disabled"] | None = None
    """Field 165; ``sleep`` is a healthy power state."""
    remote: Literal["gpu", "switch", "npu"] | None = None
    """nvmlDeviceGetNvLinkRemoteDeviceType."""
    remote_address: PciAddress | None = field(default=None, name=REMOTE_ADDRESS)
    """nvmlDeviceGetNvLinkRemotePciInfo; absent where the driver hides it."""
    remote_link: Small | None = None
    """Field 146: the port on the other side."""


class _NumberedBundle(NvLinkFacts, frozen=True):
    """As ``_NumberedLink``."""

    links: Links
    """Link numbers in the kernel's list format: ``0-4``."""


class NvLinkBundle(_NumberedBundle, frozen=True, kw_only=True):
    """NVLinks of one GPU with equal facts; a link that differs is a bundle of its own."""

    peers: Annotated[dict[PciAddress, Links], Meta(max_length=limits.MOST_LINKS)] = {}
    """PCI address of the other end → the links that end there; links with a hidden other end are left out."""

    @property
    def count(self) -> int:
        """The number of links in the bundle."""
        return count(self.links)

    @property
    def usable(self) -> bool:
        """Whether traffic can use these links; a link asleep wakes up for it."""
        return self.state in USABLE_STATES


#: What a bundle says of its links as a list, in fields of its own. The port on the other side is left to the metrics.
_OF_BUNDLE: Final = ("links", "peers")


def fold(links: Iterable[NvLink], into: type[NvLinkBundle] = NvLinkBundle) -> tuple[NvLinkBundle, ...]:
    """Links that are alike in every fact that ``into`` has, as bundles in the order of their first link."""
    alike: dict[tuple[Any, ...], list[NvLink]] = {}
    names = [name for name in into.__struct_fields__ if name not in _OF_BUNDLE]
    for link in sorted(links, key=lambda link: link.link):
        alike.setdefault(tuple(getattr(link, name) for name in names), []).append(link)
    return tuple(
        into(
            links=format_cpulist(link.link for link in group),
            peers=_peers(group),
            **dict(zip(names, values, strict=True)),
        )
        for values, group in alike.items()
    )


def unfold(bundles: Iterable[NvLinkBundle]) -> dict[int, dict[str, Any]]:
    """Link → its facts, named as documents name them; the other side's address is None where it is hidden."""
    found: dict[int, dict[str, Any]] = {}
    for bundle in bundles:
        peers = {link: peer for peer, links in bundle.peers.items() for link in parse_cpulist(links)}
        names = zip(bundle.__struct_fields__, bundle.__struct_encode_fields__, strict=True)
        facts = {said: getattr(bundle, name) for name, said in names if name not in _OF_BUNDLE}
        for link in parse_cpulist(bundle.links):
            found[link] = facts | {REMOTE_ADDRESS: peers.get(link)}
    return found


def _peers(links: Iterable[NvLink]) -> dict[PciAddress, str]:
    ends: dict[PciAddress, list[int]] = {}
    for link in links:
        if link.remote_address is not None:
            ends.setdefault(link.remote_address, []).append(link.link)
    return {address: format_cpulist(numbers) for address, numbers in sorted(ends.items())}
