"""GPUDirect Storage, gdrcopy, network mounts and the routes to their servers, and where NICs' interrupts go."""

import ipaddress
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from nvtopo.model.formats import limits
from nvtopo.model.formats.cpulist import format_cpulist, parse_cpulist
from nvtopo.model.records.facts.iopath import IoPathFacts, NetworkMount, NicInterrupts
from nvtopo.sources.linux import routes
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "iopath"

_CUFILE: Final = "/etc/cufile.json"
_NVIDIA_FS: Final = re.compile(r"^nvidia_fs ", re.MULTILINE)
_GDRDRV: Final = re.compile(r"^gdrdrv ", re.MULTILINE)
#: Where packages of gdrcopy put its library; its device stays as long as its module is loaded.
_GDRCOPY: Final = (
    "/usr/lib/x86_64-linux-gnu/libgdrapi.so.2",
    "/usr/lib/aarch64-linux-gnu/libgdrapi.so.2",
    "/usr/lib64/libgdrapi.so.2",
    "/usr/local/lib/libgdrapi.so.2",
    "/dev/gdrdrv",
)
_KINDS: Final = frozenset({"nfs", "nfs4", "lustre", "ceph", "beegfs", "gpfs", "wekafs", "cifs", "smb3", "glusterfs"})
#: An option of NFS and CIFS, or the server at the beginning of Lustre's and Ceph's sources.
_ADDRESS: Final = re.compile(r"(?:^|,)addr=(\d+\.\d+\.\d+\.\d+|[0-9a-fA-F:.]+:[0-9a-fA-F:.]*)(?:,|$)")
_SERVER: Final = re.compile(r"\[?(\d+\.\d+\.\d+\.\d+(?=[@:])|(?<=\[)[0-9a-fA-F:.]+(?=\]))")
_MOST_INTERRUPTS: Final = 4096
_LONGEST: Final = 256


def read(machine: Machine) -> Reading:
    """``/etc/cufile.json``, ``/proc/modules``, ``/proc/1/mounts``, ``/proc/net/route``, ``/proc/irq``; None if bare."""
    reader = SysfsReader(machine.root, NAME)
    cufile = machine.root.exists(_CUFILE)
    gdrcopy = any(map(machine.root.exists, _GDRCOPY))
    modules = reader.text("/proc/modules") if cufile or gdrcopy else None
    facts = IoPathFacts(
        cufile=cufile,
        nvidia_fs=None if modules is None or not cufile else _NVIDIA_FS.search(modules) is not None,
        gdrcopy=gdrcopy,
        gdrdrv=None if modules is None or not gdrcopy else _GDRDRV.search(modules) is not None,
        mounts=tuple(_mounts(reader))[: limits.MOST_ATTRIBUTES],
        interrupts=tuple(_interrupts(reader))[: limits.MOST_NICS],
    )
    return Reading(None if facts == IoPathFacts() else facts, tuple(reader.problems))


def _mounts(reader: SysfsReader) -> Iterator[NetworkMount]:
    """Of the host's first process, where that can be seen, else of our own."""
    text = reader.text("/proc/1/mounts") or reader.text("/proc/mounts") or ""
    found = [line.split(" ") for line in text.splitlines()]
    wanted = [words for words in found if len(words) >= 4 and words[2] in _KINDS]  # noqa: PLR2004 - source, path, kind, options
    table = tuple(_routes(reader)) if wanted else ()
    for source, path, kind, options, *_ in wanted:
        yield NetworkMount(path=path[:_LONGEST], kind=kind, netdev=_netdev(table, source, options))


def _routes(reader: SysfsReader) -> Iterator[routes.Route]:
    yield from routes.ipv4(reader.text("/proc/net/route") or "")
    yield from routes.ipv6(reader.text("/proc/net/ipv6_route") or "")


def _netdev(table: tuple[routes.Route, ...], source: str, options: str) -> str | None:
    """The device that the route to the server takes; None if its address is not there, or no route goes to it."""
    match = _ADDRESS.search(options) or _SERVER.match(source)
    if match is None:
        return None
    try:
        server = ipaddress.ip_address(match[1])
    except ValueError:
        return None
    mapped = server.ipv4_mapped if isinstance(server, ipaddress.IPv6Address) else None
    return routes.taken(table, mapped or server)


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
