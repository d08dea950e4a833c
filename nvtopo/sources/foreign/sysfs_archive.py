"""A recorded ``/sys`` in an archive: hwloc's gather tarballs, a packed ``/sys/class/infiniband``, NFD's test data.

Nothing is unpacked to disk: the ordinary sources read from the archive as they read from a live ``/sys``. Where in
the archive that lies is told by what the folders hold.
"""

from msgspec.structs import replace

from nvtopo.model.records.facts import HostFacts
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Problem, Record
from nvtopo.model.records.snapshot import VERSION, Snapshot
from nvtopo.sources.foreign import pci_gpus
from nvtopo.sources.foreign.given import Given, Notes
from nvtopo.sources.foreign.sysfs_tree import Content, Tree
from nvtopo.sources.foreign.sysfs_unpacked import is_archive, unpacked
from nvtopo.sources.linux import net, numa, pci, storage
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.rdma import devices as rdma
from nvtopo.sources.sysfs import SysfsReader

SOURCE = "archive"
_SOURCES = (numa, pci, net, rdma, storage)
#: What tells that a folder is a recorded root.
_SIGNS = ("sys/bus/pci/devices/", "sys/devices/system/node/", "sys/class/infiniband/", "sys/devices/system/cpu/")
_INFINIBAND = "sys/class/infiniband"
_PORT = "/ports/"

looks_like = is_archive


def read(given: Given) -> NodeTopology:
    """The node whose ``/sys`` was recorded.

    Raises:
        ParseError: no recorded ``/sys`` is in it.
    """
    notes = Notes(SOURCE)
    content = unpacked(given)
    if content.cut:
        notes.add("archive", f"can't be read to its end: {content.cut}")
    roots = _roots(content)
    if not roots:
        content, roots = _as_class_folder(content)
    if not roots:
        first = sorted({path.partition("/")[0] for path in (*content.files, *content.links)})[:3]
        raise given.refused(f"an archive of {', '.join(first)}", "an archive with a recorded /sys")
    if len(roots) > 1:
        notes.add("archive", f"holds {len(roots)} recorded machines; the one in {roots[0] or '/'} was read")
    node = pci_gpus.node(_snapshot(Tree(content, roots[0])), notes)
    return replace(node, unseen=("gpus", "nics", "paths")) if content.cut else node


def _roots(content: Content) -> list[str]:
    """Folders that hold a recorded ``sys``, the one with most of it first."""
    count: dict[str, int] = {}
    for path in (*content.files, *content.links):
        for sign in _SIGNS:
            before, found, _ = f"/{path}".partition(f"/{sign}")
            if found:
                count[before] = count.get(before, 0) + 1
    return [root for root, _ in sorted(count.items(), key=lambda item: (-item[1], item[0]))]


def _as_class_folder(content: Content) -> tuple[Content, list[str]]:
    """A packed ``/sys/class/infiniband`` without what is above it, put where it was."""
    folders = {path.partition(_PORT)[0].rpartition("/")[0] for path in content.files if _PORT in path}
    if not folders:
        return content, []
    folder = min(folders)
    below = f"{folder}/" if folder else ""
    files = {
        f"{_INFINIBAND}/{path[len(below) :]}": data for path, data in content.files.items() if path.startswith(below)
    }
    links = {f"{_INFINIBAND}/{path[len(below) :]}": to for path, to in content.links.items() if path.startswith(below)}
    return Content(files, links, content.cut), [""]


def _snapshot(tree: Tree) -> Snapshot:
    """What the ordinary sources read from it."""
    machine = Machine(root=tree, nvml=NoNvml())
    facts: dict[str, Record] = {}
    problems: list[Problem] = []
    for source in _SOURCES:
        reading = source.read(machine)
        problems += reading.problems
        if isinstance(reading.facts, Record):
            facts[source.NAME] = reading.facts
    return Snapshot(capture=VERSION, host=_host(tree), **facts, problems=tuple(problems))  # type: ignore[arg-type]


def _host(tree: Tree) -> HostFacts:
    """The firmware's names; the host's own are those of the machine that reads the archive."""
    reader = SysfsReader(tree, "host")
    return HostFacts(
        name="",
        vendor=(reader.text("/sys/class/dmi/id/sys_vendor") or "")[:200],
        product=(reader.text("/sys/class/dmi/id/product_name") or "")[:200],
    )
