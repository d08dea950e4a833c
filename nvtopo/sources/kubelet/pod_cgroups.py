"""A container's memory by NUMA node and the CPUs that it may use, from its cgroup (v2 only).

The kubelet's API names pods and containers; cgroups carry the pod's UID and the container's ID. The links in
``/var/log/containers``, one for each started container, connect the two:
``<pod>_<namespace>_<container>-<ID>.log`` → ``/var/log/pods/<namespace>_<pod>_<UID>/<container>/0.log``. Only
the links' names and targets are read, no log.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from nvtopo.model.formats.cpulist import parse_cpulist
from nvtopo.model.samples.pods import GpuContainer
from nvtopo.sources.sysfs import SysfsReader

_LINKS: Final = "/var/log/containers"
_CGROUP: Final = "/sys/fs/cgroup"
_TARGET: Final = re.compile(r"/(?P<namespace>[^/_]+)_(?P<pod>[^/_]+)_(?P<uid>[^/_]+)/(?P<container>[^/]+)/\d+\.log$")
_LINK: Final = re.compile(r"-(?P<id>[0-9a-f]+)\.log$")
#: The kubelet cuts the names of links at 255 bytes, so an ID may be cut.
_SHORTEST_ID: Final = 12
_KUBEPODS: Final = re.compile(r"(?:.*-)?kubepods(?:\.slice)?")
_POD: Final = re.compile(r"(?:.*-)?pod(?P<uid>[0-9a-f][0-9a-f_-]+?)(?:\.slice)?")
_CLASSES: Final = ("besteffort", "burstable")
#: CRI-O puts the container's monitor process beside it, under the same ID.
_MONITOR: Final = "conmon"
_KIND: Final = re.compile(r"^(anon|file|shmem) (.*)$", re.MULTILINE)
_NODE: Final = re.compile(r"N(\d+)=(\d+)")

_Name = tuple[str, str, str]
"""Namespace, pod, container."""


class _Started(NamedTuple):
    """A container that was started and may have ended."""

    uid: str
    id: str


def measured(containers: Iterable[GpuContainer], reader: SysfsReader) -> Iterator[GpuContainer]:
    """The running containers, each with its memory and CPUs; problems go to ``reader``."""
    wanted = {(one.namespace, one.pod, one.container): one for one in containers}
    if not wanted:
        return
    started = _started(reader, wanted)
    pods = by_uid(reader) if any(started.values()) else {}
    for name, container in wanted.items():
        for uid, id_ in started.get(name, ()):
            for path in _own(reader, pods.get(uid), id_):
                yield _measured(container, path, reader)


def _started(reader: SysfsReader, wanted: Iterable[_Name]) -> dict[_Name, list[_Started]]:
    names = reader.names(_LINKS)
    if not names:
        reader.problem(_LINKS, "no links to containers' logs: is it the host's?")
    found: dict[_Name, list[_Started]] = {name: [] for name in wanted}
    pods = {pod for _, pod, _ in found}
    for link in names:
        named = _LINK.search(link)
        if named is None or len(named["id"]) < _SHORTEST_ID or link.partition("_")[0] not in pods:
            continue
        target = _TARGET.search(reader.target(f"{_LINKS}/{link}") or "")
        name = (target["namespace"], target["pod"], target["container"]) if target else None
        if target and name in found:
            found[name].append(_Started(target["uid"].replace("_", "-"), named["id"]))
    return found


def by_uid(reader: SysfsReader) -> dict[str, str]:
    """Pod UID → its cgroup. Guaranteed pods are directly in ``kubepods``, others in their QoS class."""
    if not reader.names(_CGROUP) or reader.text(f"{_CGROUP}/cgroup.controllers") is None:
        reader.problem(_CGROUP, "expected cgroup v2: memory.numa_stat and cpuset.cpus.effective are its files")
        return {}
    above = _kubepods(reader)
    if above is None:
        reader.problem(_CGROUP, "no kubepods below it: is it the host's, or this container's own?")
        return {}
    classes = [f"{above}/{name}" for name in reader.names(above) if name.removesuffix(".slice").endswith(_CLASSES)]
    return {
        match["uid"].replace("_", "-"): f"{path}/{name}"
        for path in (above, *classes)
        for name in reader.names(path)
        if (match := _POD.fullmatch(name))
    }


def _kubepods(reader: SysfsReader) -> str | None:
    """``kubepods``, or ``kubepods.slice`` with systemd; inside another cgroup with the kubelet's ``--cgroup-root``."""
    names = reader.names(_CGROUP)
    groups = [name for name in names if "." not in name or name.endswith(".slice")]
    paths = [f"{_CGROUP}/{name}" for name in groups]
    paths += [f"{path}/{name}" for path in paths for name in reader.names(path)]
    return next((path for path in paths if _KUBEPODS.fullmatch(path.rpartition("/")[2])), None)


def _own(reader: SysfsReader, pod: str | None, id_: str) -> list[str]:
    """The container's cgroup, as containerd, CRI-O or cgroupfs name it: ``cri-containerd-<ID>.scope``, ``<ID>``."""
    names = reader.names(pod) if pod else []
    return [f"{pod}/{name}" for name in names if id_ in name and _MONITOR not in name]


def _measured(container: GpuContainer, path: str, reader: SysfsReader) -> GpuContainer:
    return replace(container, memory_bytes=_memory(reader, path), cpus=_cpus(reader, path))


def _memory(reader: SysfsReader, path: str) -> dict[str, dict[int, int]]:
    """Kind → node → bytes. The kernel counts shared memory in ``file`` too; it is subtracted here."""
    text = reader.text(f"{path}/memory.numa_stat") or ""
    found = {kind: {int(node): int(count) for node, count in _NODE.findall(rest)} for kind, rest in _KIND.findall(text)}
    shared = found.get("shmem", {})
    if "file" in found:
        found["file"] = {node: max(0, count - shared.get(node, 0)) for node, count in found["file"].items()}
    return found


def _cpus(reader: SysfsReader, path: str) -> str:
    text = reader.text(f"{path}/cpuset.cpus.effective") or ""
    try:
        parse_cpulist(text)
    except ValueError as error:
        reader.problem(f"{path}/cpuset.cpus.effective", str(error))
        return ""
    return text
