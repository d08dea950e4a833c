"""Which source of the network a text is, told by its content; and what all sources together say."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from nvtopo.cluster.claims import Reading
from nvtopo.fabrics import (
    conclude,
    documents,
    expected,
    ibnetdiscover,
    labels,
    lldp,
    lldp_fabric,
    lldp_keyvalue,
    managers,
    own_file,
    slurm_conf,
    slurm_yaml,
    topo_file,
    topograph,
    volcano,
)
from nvtopo.fabrics.fabric import NOTHING, Fabric, Known, joined
from nvtopo.fabrics.refused import Refused

#: Kinds whose reading depends on which nodes there are.
NEEDS_NODES: Final = frozenset(("hypernode", "ibnetdiscover", "lldp", "netq", "ufm"))
_MOST_ITEMS: Final = 1_000_000
#: Formats that nothing else looks like: if such a YAML file is broken, that is what is said of it.
_SURE: Final = re.compile(
    r"^(?:- *topology *:|kind *: *(?:HyperNode|ClusterTopology|ExpectedCabling)|networkTopologyDiscovery *:)",
    re.MULTILINE,
)


class Given(NamedTuple):
    """A file, as text."""

    name: str
    """Its path, for messages and where its content does not name the host."""
    text: str


class Recognised(NamedTuple):
    """Something of a kind that is known here."""

    kind: str
    name: str
    """The name of its file."""
    content: Any


def text_of(content: bytes) -> str:
    """The text of a file, whatever tool wrote it; empty where it is none."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    return "" if b"\0" in content[:4096] else content.decode("utf-8", "replace")


def parts(given: Given) -> list[Recognised]:
    """What the file is; nothing if it is no source of the network."""
    if (printed := _of_text(given)) is not None:
        return [printed]
    is_json = given.text.lstrip()[:1] in ("{", "[")
    if not is_json and slurm_conf.looks_like(given.text) and not documents.looks_like_yaml(given.text):
        return [Recognised("slurm.conf", given.name, given.text)]
    if not is_json and not documents.looks_like_yaml(given.text):
        return []
    try:
        found = documents.load(given.text)
    except Refused as error:
        return [Recognised("broken", given.name, str(error))] if _SURE.search(given.text) else []
    return [part for document in found for part in _of_document(document, given.name)]


def _of_text(given: Given) -> Recognised | None:
    """What a tool prints for people or scripts, if it is that."""
    if ibnetdiscover.looks_like(given.text):
        return Recognised("ibnetdiscover", given.name, given.text)
    if topo_file.looks_like(given.text):
        return Recognised("topo file", given.name, given.text)
    if lldp_keyvalue.looks_like(given.text):
        return Recognised("lldp", given.name, lldp_keyvalue.document(given.text))
    if lldp_keyvalue.is_for_people(given.text):
        return Recognised("broken", given.name, lldp_keyvalue.FOR_PEOPLE)
    return None


def _of_document(document: Any, name: str) -> Iterator[Recognised]:
    for kind, looks_like in _DOCUMENTS:
        if looks_like(document):
            yield Recognised(kind, name, document)
            return
    items = document.get("items") if isinstance(document, dict) else None
    for item in items[:_MOST_ITEMS] if isinstance(items, list) else [document]:
        for kind, looks_like in _ITEMS:
            if looks_like(item):
                yield Recognised(kind, name, item)
        if isinstance(item, dict) and item.get("kind") == "ConfigMap" and isinstance(item.get("data"), dict):
            for key, text in item["data"].items():
                if isinstance(text, str):
                    yield from parts(Given(f"{name} {key}", text))


def read(found: Sequence[Recognised], known: Known = NOTHING) -> dict[str, Reading]:
    """Source or file → what it says. Files of one source are read together; a refused one stands by itself."""
    by_kind: dict[str, list[Recognised]] = {}
    for part in found:
        by_kind.setdefault(part.kind, []).append(part)
    should = [*by_kind.pop("expected", []), *by_kind.pop("topo file", [])]
    known = with_neighbours(found, known)
    readings: dict[str, Reading] = {}
    for kind, several in by_kind.items():
        together = _TOGETHER.get(kind)
        if together is not None:
            readings |= together(several, known)
            continue
        for part in several:
            try:
                readings[part.name] = _ALONE[kind](part.content)
            except Refused as error:
                readings[part.name] = Reading(refused=str(error))
    return readings | _expected(should, readings)


def with_neighbours(found: Sequence[Recognised], known: Known) -> Known:
    """``known``, and what these parts say of hosts to each other: GUIDs, and the labels that HyperNodes choose by."""
    guids = _guids([part for part in found if part.kind == "own file"])
    nodes = [part for part in found if part.kind == "node"]
    chosen = nodes and any(part.kind == "hypernode" for part in found)
    labels_ = _labels_of(nodes) if chosen else {}
    return known._replace(guids={**known.guids, **guids}, labels={**known.labels, **labels_})


def _labels_of(several: Sequence[Recognised]) -> dict[str, Mapping[str, str]]:
    """The labels of Nodes; objects that are refused are refused where they are read."""
    try:
        return labels.of_nodes(part.content for part in several)
    except Refused:
        return {}


def _guids(several: Sequence[Recognised]) -> dict[str, tuple[str, str]]:
    """What operators' files say of GUIDs; one that is refused is refused where it is read."""
    found: dict[str, tuple[str, str]] = {}
    for part in several:
        try:
            found |= own_file.guids(part.content)
        except Refused:
            continue
    return found


def _expected(several: Sequence[Recognised], readings: Mapping[str, Reading]) -> dict[str, Reading]:
    """Expected cabling against what all other sources see."""
    refused: dict[str, Reading] = {}
    cables: list[expected.Expected] = []
    for part in several:
        try:
            cables += topo_file.read(part.content) if part.kind == "topo file" else expected.read(part.content)
        except Refused as error:
            refused[part.name] = Reading(refused=str(error))
    return refused | ({expected.SOURCE: expected.compared(cables, readings.values())} if cables else {})


def _ibnetdiscover(several: Sequence[Recognised], known: Known) -> dict[str, Reading]:
    readings: dict[str, Reading] = {}
    fabrics = []
    for part in several:
        parsed = ibnetdiscover.parse(part.content)
        refused = ibnetdiscover.refusal(parsed)
        if refused is None:
            fabrics.append(ibnetdiscover.fabric(parsed, known))
        else:
            readings[part.name] = Reading(refused=refused)
    if fabrics:
        name = several[0].name if len(several) == 1 else ibnetdiscover.SOURCE
        readings[name] = conclude.of(joined(fabrics))
    return readings


def _lldp(several: Sequence[Recognised], known: Known) -> dict[str, Reading]:
    readings: dict[str, Reading] = {}
    heard = []
    for part in several:
        try:
            heard.append(lldp.read(part.content, part.name))
        except Refused as error:
            readings[part.name] = Reading(refused=str(error))
    if heard:
        name = several[0].name if len(several) == 1 else lldp_fabric.SOURCE
        readings[name] = lldp_fabric.reading(heard, known)
    return readings


def _managed(read_: Callable[[Any, Known], Fabric], several: Sequence[Recognised], known: Known) -> dict[str, Reading]:
    readings: dict[str, Reading] = {}
    fabrics = []
    for part in several:
        try:
            fabrics.append(read_(part.content, known))
        except Refused as error:
            readings[part.name] = Reading(refused=str(error))
    return readings | ({fabrics[0].source: conclude.of(joined(fabrics))} if fabrics else {})


def _volcano(several: Sequence[Recognised], known: Known) -> dict[str, Reading]:
    try:
        return {volcano.SOURCE: volcano.read([part.content for part in several], known)}
    except Refused as error:
        return {several[0].name: Reading(refused=str(error))}


def _labels(several: Sequence[Recognised], known: Known) -> dict[str, Reading]:
    found = labels.read([part.content for part in several])
    if found or known.labels:  # HyperNodes choose by other labels than those of tiers
        return dict(found)
    refused = f"expected labels of tiers on nodes, found none on {len(several)}"
    return {several[0].name: Reading(refused=refused)}


def _broken(content: Any) -> Reading:
    return Reading(refused=content)


def _discovery(_content: Any) -> Reading:
    return Reading(
        refused="expected HyperNodes, got the configuration of Volcano's discovery, which says where to look for them"
    )


_DOCUMENTS: Final[tuple[tuple[str, Callable[[Any], bool]], ...]] = (
    ("lldp", lldp.looks_like),
    ("slurm.yaml", slurm_yaml.looks_like),
    ("topograph model", topograph.is_model),
    ("topograph graph", topograph.is_graph),
    ("volcano discovery", volcano.is_discovery),
    ("ufm", managers.is_ufm),
    ("nmx", managers.is_nmx),
    ("netq", managers.is_netq),
)
#: Objects that may stand alone or in a list.
_ITEMS: Final[tuple[tuple[str, Callable[[Any], bool]], ...]] = (
    ("hypernode", volcano.is_hypernode),
    ("node", labels.is_node),
    ("own file", own_file.looks_like),
    ("expected", expected.looks_like),
)
_TOGETHER: Final[Mapping[str, Callable[[Sequence[Recognised], Known], dict[str, Reading]]]] = {
    "ibnetdiscover": _ibnetdiscover,
    "lldp": _lldp,
    "hypernode": _volcano,
    "node": _labels,
    "ufm": partial(_managed, managers.ufm),
    "netq": partial(_managed, managers.netq),
}
_ALONE: Final[Mapping[str, Callable[[Any], Reading]]] = {
    "broken": _broken,
    "nmx": managers.nmx,
    "own file": own_file.read,
    "slurm.conf": slurm_conf.read,
    "slurm.yaml": slurm_yaml.read,
    "topograph model": topograph.read_model,
    "topograph graph": topograph.read_graph,
    "volcano discovery": _discovery,
}
