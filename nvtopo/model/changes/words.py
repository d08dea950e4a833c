"""A change in words: one line, its subject first. Nothing reads these lines but people."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from nvtopo.model.changes.change import Change

_UNKNOWN: Final = "not known"
_NONE: Final = "none"
_HIDDEN: Final = "hidden"
#: Names of facts that read badly with blanks between their words.
_WORDS: Final = {
    "acsRedirect": "ACS redirect",
    "activeMtuBytes": "active MTU",
    "allowedCpus": "allowed CPUs",
    "askedCpuManagerPolicy": "CPU manager policy asked for",
    "c2cBytesPerSecond": "C2C link rate",
    "c2cLinks": "C2C links",
    "cliqueID": "clique",
    "clusterUUID": "cluster UUID",
    "cpuAffinity": "CPU affinity",
    "cpuManagerPolicy": "CPU manager policy",
    "cpus": "CPUs",
    "cudaVersion": "CUDA version",
    "dataDirectPciBusID": "data direct",
    "fabricGuid": "fabric GUID",
    "gidIndex": "GID index",
    "computeCapability": "compute capability",
    "dpuMode": "DPU mode",
    "eswitchMode": "embedded switch's mode",
    "fabricOverdue": "fabric in progress for longer than the grace",
    "gpus": "GPUs",
    "iommu": "IOMMU",
    "isolatedCpus": "isolated CPUs",
    "link": "PCIe link",
    "localCpus": "CPUs near it",
    "memoryNumaNode": "memory's NUMA node",
    "mig": "MIG",
    "moduleId": "module ID",
    "mtuBytes": "MTU",
    "nearestNics": "nearest NICs",
    "numa": "NUMA node",
    "numaNode": "NUMA node",
    "numaNodes": "NUMA nodes",
    "nvidiaOpen": "open kernel module",
    "nvlinkCount": "number of NVLinks",
    "nvlinkDomain": "NVLink domain",
    "nvlinkGroups": "NVLink groups",
    "nvlinkHidden": "NVLink hidden",
    "nvlinkP2P": "NVLink peer access",
    "nvlinkShort": "side with fewer NVLinks",
    "nvlinkTraining": "NVLinks training",
    "nvlinks": "NVLinks",
    "nics": "NICs",
    "nvlinksPerGpu": "NVLinks per GPU",
    "nvlinksBefore": "NVLinks seen up before",
    "nvlinksUnknown": "NVLinks not known",
    "path": "PCIe path",
    "pciBusID": "PCI address",
    "pcie": "PCIe link",
    "peermem": "nvidia-peermem",
    "psid": "PSID",
    "rdmaMtuBytes": "RDMA MTU",
    "ucxGidIndex": "UCX's GID index",
    "unseen": "not shown by the input",
    "uuid": "UUID",
    "vbios": "VBIOS",
}
#: Whole paths that are said in another way than by their parts.
_PATHS: Final = {
    "gpuPairs.link": "link",
    "nvlinks.state": "NVLinks",
    "nvlinks.remotePciBusID": "NVLink peer",
    "nvlinks.bytesPerSecond": "NVLink rate",
}
#: Kind and path of facts that are absent for another reason than that they are not known → that reason.
_ABSENT: Final = {
    ("gpus", "recoveryAction"): _NONE,
    ("pairs", "level"): "as the PCIe paths give",
    ("pairs", "nvlinkP2P"): "works",
    ("pairs", "nvlinkShort"): _NONE,
}
#: What stands before the parts of a list, which are numbered or named.
_ONE_OF: Final = {"nvlinks": "NVLink", "ports": "port"}
#: How names of facts end that have a unit, in lower case.
_RATE: Final = "bytespersecond"
_SIZE: Final = "bytes"
_MTU: Final = "mtubytes"
_UNIT: Final = re.compile("Bytes(PerSecond)?$")
_GIB: Final = 1 << 30
_GIGABIT: Final = 1_000_000_000 // 8
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def text(change: Change) -> str:
    """``GPU3: NVLinks 0-17 active → 0-16 active, 17 inactive``."""
    subject = f"problem with {change.subject}" if change.kind == "problems" else change.subject
    if change.new or change.gone:
        what = _identity(change.kind, change.after if change.new else change.before)
        if change.kind == "accelerators":
            return f"{subject}{'' if change.new else ': no longer so'}: on the bus, and not answered for"
        return f"{subject} {'new' if change.new else 'gone'}" + (f": {what}" if what else "")
    before, after = sides(change)
    return f"{subject}: {fact(change)} {before} → {after}"


def fact(change: Change) -> str:
    """The changed fact as people call it: ``PCIe link width``; empty where the subject came or went."""
    if change.path in _PATHS:
        return _PATHS[change.path]
    first, *rest = change.path.split(".")
    if not rest or change.kind == "attributes":
        return " ".join((words(first), *rest))
    return " ".join((_ONE_OF.get(first, words(first)), *map(words, rest)))


def words(name: str) -> str:
    """A field's name as people say it."""
    return _WORDS.get(name) or _CAPITAL.sub(" ", _UNIT.sub("", name)).lower()


def sides(change: Change) -> tuple[str, str]:
    """Both values as people say them."""
    said = _said(change, change.before), _said(change, change.after)
    return said if said[0] != said[1] else (json.dumps(change.before), json.dumps(change.after))


def _identity(kind: str, value: Any) -> str:
    """What is said of a thing that came or went."""
    if kind == "problems":
        return str(value["reason"])
    known_by = value if isinstance(value, dict) else {}
    return " at ".join(known_by[name] for name in ("uuid", "pciBusID") if known_by.get(name))


def _said(change: Change, value: Any) -> str:
    if change.path in _SAID:
        return _SAID[change.path](value)
    if change.within("nvlinks") and isinstance(value, dict):
        unknown = _HIDDEN if change.path == "nvlinks.remotePciBusID" else _UNKNOWN
        each = (f"{links} {_plain(change.path, item, unknown)}" for links, item in value.items())
        return ", ".join(each) or _NONE
    if isinstance(value, dict) or isinstance(change.before, dict) or isinstance(change.after, dict):
        return _whole(value, other=change.before if value is change.after else change.after)
    return _plain(change.path, value, _ABSENT.get((change.kind, change.path), _UNKNOWN))


def _whole(value: Any, other: Any) -> str:
    """A part that has facts of its own, next to its absence or to another such part."""
    if not value and not other:
        return _UNKNOWN if value is None else "empty"
    if value is None or other is None:
        return "absent" if value is None else "present"
    return json.dumps(value)


def _plain(path: str, value: Any, unknown: str = _UNKNOWN) -> str:
    leaf = path.rpartition(".")[2].lower()
    if value is None or value == "":
        return unknown
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and leaf.endswith(_RATE):
        return f"{value / _GIGABIT:.9g} Gb/s"
    if isinstance(value, int) and leaf.endswith(_SIZE) and not leaf.endswith(_MTU):
        return f"{value / _GIB:g} GiB" if value % _GIB == 0 else f"{value} bytes"
    if isinstance(value, list):
        return ", ".join(map(_item, value)) or _NONE
    return str(value)


def _item(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _groups(groups: list[dict[str, Any]] | None) -> str:
    if groups is None:
        return _UNKNOWN
    shown = (f"{{{','.join(map(str, one['gpus']))}}}{'' if one['fullMesh'] else ' partly connected'}" for one in groups)
    return ", ".join(shown) or _NONE


def _domain(domain: str | None) -> str:
    return domain or _NONE


def _nearest(nearest: dict[str, Any] | None) -> str:
    return _UNKNOWN if nearest is None else f"{' '.join(nearest['nics'])} ({nearest['level']})"


_SAID: Final[dict[str, Callable[[Any], str]]] = {
    "nvlinkGroups": _groups,
    "nvlinkDomain": _domain,
    "nearestNics": _nearest,
}
