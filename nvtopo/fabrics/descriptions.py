"""What the description of an adapter or a switch says: which host, which device, and what it is for."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from nvtopo.fabrics import host_names
from nvtopo.fabrics.fabric import Adapter, Known, Role

_LONGEST: Final = 128
#: The firmware's own description, which stands where nobody set one, and a host that has no name.
_VENDOR: Final = re.compile(
    r"mellanox|nvidia|infinihost|connectx|infiniscale|switchx|quantum|voltaire|qlogic|omni-?path|intel\b|^MT\d{4,}",
    re.IGNORECASE,
)
_NO_HOST: Final = frozenset({"localhost", "(none)", "none", "unknown", "localhost.localdomain", "localhost4", "-", "?"})
_DEVICE: Final = re.compile(
    r"(?:HCA-?\d+|(?:mlx|mthca|hfi|qib|ipath|bnxt_re|irdma|efa|ocrdma|cxgb|siw|rxe)\d*_?\w*|ibp?\d\w*|ib[\w-]*\d|"
    r"(?:roce|rdma)p?\w+|en[ospx]\w+|eth\d\w*|CX-?\d\w*|nic-?\d+|rail-?\d\w*|port-?\d+)",
    re.IGNORECASE,
)
#: Host and device in one word, where nothing but the device can be meant.
_JOINED: Final = re.compile(r"(?P<node>[^:/]*\w)[._@;|-](?P<nic>mlx\d+_(?:bond_?)?\d+|HCA-?\d+)", re.IGNORECASE)
_AGGREGATION: Final = re.compile(r"aggregation\s*node|\bsharp(?:_?an)?\b", re.IGNORECASE)
_SOFTWARE: Final = re.compile(r"(?:siw|rxe)[_\d]", re.IGNORECASE)
#: Words of host names that say what a host is for.
_NOT_COMPUTE: Final = re.compile(
    r"storage|storagenode|stor|stg|nas|nfs|lustre|oss|ost|mds|mdt|mgs|gpfs|nsd|weka\w*|vast\w*|ddn|exascaler|beegfs|ceph|osd|"
    r"daos|filer|netapp|isilon|flashblade|qumulo|ufm\w*|mgmt|mgt|mgmnt|management|admin|login|gateway|gw|router|opensm|"
    r"headnode|head|bastion|svc|monitor|monitoring|controller|ctrl|slurmctld?"
)
_WORDS: Final = re.compile(r"[a-z]+", re.IGNORECASE)


class Said(NamedTuple):
    """What a description says of an adapter."""

    node: str
    nic: str
    role: Role


def of_adapter(description: str) -> Said:
    """Which host's which device an adapter is."""
    text = description.strip().strip("'\"").strip()[:_LONGEST]
    if _AGGREGATION.search(text):
        return Said("", "", "other")
    words = text.split()
    if not words or _VENDOR.search(text):
        return Said("", "", "unknown")
    node, nic = _parts([words[0].rstrip(","), *words[1:]])
    if node.lower() in _NO_HOST or not node:
        return Said("", nic, "unknown")
    return Said(node, nic, role(node, nic))


def role(node: str, nic: str = "") -> Role:
    """What a host is for, as far as its name and that of its device say it."""
    return "other" if words_against(node, nic) or _SOFTWARE.match(nic) else "compute"


def adapters(said: Mapping[str, str], known: Known) -> dict[str, Adapter]:
    """Key → adapter, by its description; keys end in a GUID. What captures know of a GUID wins.

    A word that most hosts have in their names says nothing of what they are for.
    """
    short = known.by_short_name()
    found = {key: of_adapter(text) for key, text in said.items()}
    found = {key: one._replace(node=known.called(one.node, short)) for key, one in found.items()}
    same = host_names.same({(one.node, one.nic) for one in found.values() if one.node}, known.nodes)
    found = {key: one._replace(node=same.get(one.node, one.node)) for key, one in found.items()}
    nodes = {one.node for one in found.values() if one.node}
    words = Counter(word for node in nodes for word in words_against(node))
    common = {word for word, count in words.items() if 2 * count > len(nodes)}
    return {key: _adapter(key, one, said[key], known, common) for key, one in found.items()}


def _adapter(key: str, one: Said, text: str, known: Known, common: set[str]) -> Adapter:
    sure = known.guids.get(key[-16:])
    if sure is not None:
        return Adapter(*sure, "compute", text)
    if _SOFTWARE.match(one.nic) or not one.node:
        return Adapter(one.node, one.nic, one.role, text)
    compute = one.node in known.nodes or words_against(one.node, one.nic) <= common
    return Adapter(one.node, one.nic, "compute" if compute else one.role, text)


def words_against(node: str, nic: str = "") -> frozenset[str]:
    """The words by which a host is none that computes."""
    words: list[str] = _WORDS.findall(f"{node.split('.', maxsplit=1)[0]} {nic}".lower())
    return frozenset(word for word in words if _NOT_COMPUTE.fullmatch(word))


def _parts(words: list[str]) -> tuple[str, str]:
    """Host and device. A word is the device if it looks like one and stands where a device does."""
    match words:
        case [one]:
            for mark in (":", "/"):
                node, _, nic = one.partition(mark)
                if node and _DEVICE.fullmatch(nic):
                    return node, nic
            if found := _JOINED.fullmatch(one):
                return found["node"], found["nic"]
            return ("", one) if _DEVICE.fullmatch(one) else (one, "")
        case [node, nic]:
            return ("", node) if _DEVICE.fullmatch(node) and not _DEVICE.fullmatch(nic) else (node, nic)
        case [node, nic, *_] if _DEVICE.fullmatch(nic):
            return node, nic
    return "", ""


def of_switches(descriptions: Mapping[str, str]) -> dict[str, str]:
    """Key → a name that no other switch has: what was given to it, else its model with its key."""
    short = {key: _switch(text) for key, text in descriptions.items()}
    twice = _repeated(short.values())
    longer = {key: _module(descriptions[key], name) if name in twice else name for key, name in short.items()}
    still = _repeated(longer.values())
    return {key: f"{name} {key}".strip() if name in still or not name else name for key, name in longer.items()}


def _switch(description: str) -> str:
    """Without what the firmware puts around the name: ``MF0;leaf-7:MQM9700/U1`` is leaf-7."""
    text = description.strip().strip("'\"").strip()[:_LONGEST]
    name = re.sub(r"^(?:MF\d|SW|GW);", "", text)
    name = re.sub(r":[^:;]*/[^:;]*$", "", name) if name != text else name
    return " ".join(name.split())


def _module(description: str, name: str) -> str:
    """The name with the part of the chassis, where several switches share a name."""
    found = re.search(r":([^:;]*/[^:;]*)$", description.strip().strip("'\""))
    return f"{name}:{found[1]}" if found else name


def _repeated(names: Iterable[str]) -> set[str]:
    return {name for name, times in Counter(names).items() if times > 1}
