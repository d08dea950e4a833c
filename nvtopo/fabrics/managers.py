"""What managers of networks answer: UFM's ports, NetQ's topology graph, NMX's compute nodes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from nvtopo.cluster.claims import Claim, Reading
from nvtopo.fabrics import descriptions
from nvtopo.fabrics.documents import entries, mapping, text
from nvtopo.fabrics.fabric import NOTHING, Adapter, End, Fabric, Known, cable
from nvtopo.fabrics.refused import Refused

_ENDS: Final = "-*-"
_HOST_TIER: Final = -1


def is_ufm(document: Any) -> bool:
    """Whether it is what UFM answers to ``GET /ufmRest/resources/ports``."""
    return _first_has(document, "system_name", "peer_node_name")


def is_nmx(document: Any) -> bool:
    """Whether it is what NMX answers to ``GET nmx/v1/compute-nodes``."""
    return _first_has(document, "DomainUUID", "Name")


def is_netq(document: Any) -> bool:
    """Whether it is what NetQ answers to ``fetch-topology``."""
    return any(isinstance(one, dict) and "links" in one and "nodes" in one for one in _listed(document))


def ufm(document: Any, known: Known = NOTHING) -> Fabric:
    """Each port of a host or switch with its peer.

    Raises:
        Refused: no port has a peer.
    """
    hosts: dict[str, str] = {}
    switches: dict[str, str] = {}
    cables: set[tuple[End, End]] = set()
    ports = [one for one in entries(document, "ports") if one.get("peer_node_name") and one.get("system_name")]
    names = {text(one["system_name"], "system_name") for one in ports if not _of_host(one)}
    for one in ports:
        system, peer = text(one["system_name"], "system_name"), text(one["peer_node_name"], "peer_node_name")
        port = str(one.get("number", one.get("dname", "")))
        if _of_host(one):
            key = _guid(one, f"{system} {one.get('node_description') or one.get('name') or port}")
            hosts[key] = str(one.get("node_description") or system)
            switches[peer] = peer
            cables.add(cable(End(key, port), End(peer, str(one.get("peer_port_num", one.get("peer_number", ""))))))
        elif peer in names:
            switches |= {system: system, peer: peer}
            cables.add(cable(End(system, ""), End(peer, "")))
    if not cables:
        raise Refused("expected ports with peers (peer_node_name), found none")
    return Fabric(
        source="ufm",
        switches=descriptions.of_switches(switches),
        adapters=descriptions.adapters(hosts, known),
        cables=tuple(sorted(cables)),
    )


def _of_host(one: Mapping[str, Any]) -> bool:
    return "computer" in str(one.get("description", one.get("type", ""))).lower()


def _guid(one: Mapping[str, Any], otherwise: str) -> str:
    guid = str(one.get("node_guid") or one.get("guid") or one.get("systemID") or "").lower().removeprefix("0x")
    return guid.rjust(16, "0") if guid and guid.isalnum() and len(guid) <= 16 else otherwise  # noqa: PLR2004 - digits


def netq(document: Any, _known: Known = NOTHING) -> Fabric:
    """Hosts have tier -1; a link's ID names its two ends.

    Raises:
        Refused: it has no links.
    """
    names: dict[str, str] = {}
    hosts: dict[str, str] = {}
    cables: set[tuple[End, End]] = set()
    for one in _listed(document):
        for node in _netq_nodes(mapping(one, "NetQ's answer")):
            key, name = text(node.get("id"), "id"), text(node.get("name", node.get("id")), "name")
            (hosts if node.get("tier") == _HOST_TIER else names)[key] = name
        for link in entries(one.get("links"), "links"):
            first, mark, second = text(link.get("id"), "the id of a link").partition(_ENDS)
            if mark:
                cables.add(cable(End(first, ""), End(second, "")))
    present = {pair for pair in cables if all(end.key in names or end.key in hosts for end in pair)}
    if not present:
        raise Refused("expected links between nodes, found none")
    adapters = {
        key: Adapter(name, "", "other" if descriptions.words_against(name) else "compute", name)
        for key, name in hosts.items()
    }
    return Fabric("netq", descriptions.of_switches(names), adapters, tuple(sorted(present)))


def _netq_nodes(one: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for group in entries(one.get("nodes"), "nodes"):
        yield from entries(group.get("compounded_nodes", [group] if "id" in group else []), "compounded_nodes")


def nmx(document: Any) -> Reading:
    """The NVLink domain of each compute node.

    Raises:
        Refused: no node has a name and a domain.
    """
    claims = [
        Claim(text(one["Name"], "Name"), "nvlinkDomain", text(one["DomainUUID"], "DomainUUID"), "nmx")
        for one in entries(document, "compute nodes")
        if one.get("Name") and one.get("DomainUUID")
    ]
    if not claims:
        raise Refused("expected compute nodes with Name and DomainUUID, found none")
    return Reading(claims=tuple(dict.fromkeys(claims)))


def _listed(document: Any) -> Sequence[Any]:
    return document if isinstance(document, list) else [document]


def _first_has(document: Any, *keys: str) -> bool:
    listed = _listed(document)
    return bool(listed) and isinstance(listed[0], dict) and all(key in listed[0] for key in keys)
