"""GPUDirect Storage, network mounts and the routes to their servers, and where NICs' interrupts go."""

import ipaddress
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from nvtopo.model.formats import limits
from nvtopo.model.formats.cpulist import format_cpulist, parse_cpulist
from nvtopo.model.records.facts.iopath import IoPathFacts, NetworkMount, NicInterrupts
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "iopath"

_CUFILE: Final = "/etc/cufile.json"
_NVIDIA_FS: Final = re.compile(r"^nvidia_fs ", re.MULTILINE)
_KINDS: Final = frozenset({"nfs", "nfs4", "lustre", "ceph", "beegfs", "gpfs", "wekafs", "cifs", "smb3", "glusterfs"})
#: An option of NFS and CIFS, or the server at the beginning of Lustre's and Ceph's sources.
_ADDRESS: Final = re.compile(r"(?:^|,)addr=(\d+\.\d+\.\d+\.\d+)(?:,|$)")
_SERVER: Final = re.compile(r"(\d+\.\d+\.\d+\.\d+)[@:]")
_UP: Final = 1
_MOST_INTERRUPTS: Final = 4096
_LONGEST: Final = 256


class _Route(NamedTuple):
    network: ipaddress.IPv4Network
    metric: int
    netdev: str


def read(machine: Machine) -> Reading:
    """``/etc/cufile.json``, ``/proc/modules``, ``/proc/1/mounts``, ``/proc/net/route``, ``/proc/irq``; None if bare."""
    reader = SysfsReader(machine.root, NAME)
    cufile = machine.root.exists(_CUFILE)
    modules = reader.text("/proc/modules") if cufile else None
    facts = IoPathFacts(
        cufile=cufile,
        nvidia_fs=None if modules is None else _NVIDIA_FS.search(modules) is not None,
        mounts=tuple(_mounts(reader))[: limits.MOST_ATTRIBUTES],
        interrupts=tuple(_interrupts(reader))[: limits.MOST_NICS],
    )
    return Reading(None if facts == IoPathFacts() else facts, tuple(reader.problems))


def _mounts(reader: SysfsReader) -> Iterator[NetworkMount]:
    """Of the host's first process, where that can be seen, else of our own."""
    text = reader.text("/proc/1/mounts") or reader.text("/proc/mounts") or ""
    found = [line.split(" ") for line in text.splitlines()]
    wanted = [words for words in found if len(words) >= 4 and words[2] in _KINDS]  # noqa: PLR2004 - source, path, kind, options
    routes = tuple(_routes(reader.text("/proc/net/route") or "")) if wanted else ()
    for source, path, kind, options, *_ in wanted:
        yield NetworkMount(path=path[:_LONGEST], kind=kind, netdev=_taken(routes, source, options))


def _taken(routes: tuple[_Route, ...], source: str, options: str) -> str | None:
    """The device of the most specific route to the server; of equal ones, that of the least metric."""
    match = _ADDRESS.search(options) or _SERVER.match(source)
    if match is None:
        return None
    try:
        server = ipaddress.IPv4Address(match[1])
    except ValueError:
        return None
    fitting = [route for route in routes if server in route.network]
    best = min(fitting, key=lambda route: (-route.network.prefixlen, route.metric), default=None)
    return None if best is None else best.netdev


def _routes(text: str) -> Iterator[_Route]:
    """Lines of ``Iface Destination Gateway Flags RefCnt Use Metric Mask …``: addresses as the CPU has them, in hex."""
    for line in text.splitlines()[1:]:
        words = line.split()
        with suppress(ValueError, IndexError):
            if int(words[3], 16) & _UP:
                destination, mask = (ipaddress.IPv4Address(bytes.fromhex(words[at])[::-1]) for at in (1, 7))
                network = ipaddress.IPv4Network((int(destination), str(mask)))
                yield _Route(network, int(words[6]), words[0])


def _interrupts(reader: SysfsReader) -> Iterator[NicInterrupts]:
    """Of network devices that stand on a PCI function with MSI."""
    for netdev in reader.names("/sys/class/net"):
        numbers = [name for name in reader.names(f"/sys/class/net/{netdev}/device/msi_irqs") if name.isdecimal()]
        cpus: set[int] = set()
        count = 0
        for number in numbers[:_MOST_INTERRUPTS]:
            text = reader.text(f"/proc/irq/{number}/effective_affinity_list")
            if text:
                with suppress(ValueError):
                    cpus |= set(parse_cpulist(text))
                    count += 1
        if numbers:
            yield NicInterrupts(netdev=netdev, count=count, cpus=format_cpulist(cpus))
