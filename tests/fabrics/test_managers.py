"""UFM, NetQ and NMX: what their interfaces answer."""

import json
from typing import Any

from tests.fabrics.reading import evidence, partition, read

SETS = {frozenset({"n1", "n2"}), frozenset({"n3", "n4"})}


def ufm_port(host: str, rail: int, leaf: str) -> dict[str, Any]:
    return {
        "description": "Computer IB Port",
        "system_name": host,
        "node_description": f"{host} mlx5_{rail}",
        "peer_node_name": leaf,
        "number": 1,
    }


def test_ports_of_ufm() -> None:
    ports = [
        ufm_port(f"n{at}", rail, f"leaf-{(at - 1) // 2}-r{rail}")
        for at in range(1, 5)
        for rail in range(3)
        if (at, rail) != (2, 1)
    ]
    between = [
        {"description": "Switch IB Port", "system_name": f"leaf-{rack}-r{rail}", "peer_node_name": "sp"}
        for rack in range(2)
        for rail in range(3)
    ]
    spine = {"description": "Switch IB Port", "system_name": "sp", "peer_node_name": "leaf-0-r0"}
    reading = read(json.dumps([*ports, *between, spine]))
    assert partition(reading) == SETS
    assert partition(reading, "spine") == {frozenset({"n1", "n2", "n3", "n4"})}
    assert evidence(reading) == [
        "n2 mlx5_1 has no cable to leaf-0-r1, which most of the 2 nodes of its leaf group have"
    ]


def test_a_graph_of_netq() -> None:
    nodes = [{"id": f"h{at}", "name": f"n{at}", "tier": -1} for at in range(1, 5)]
    nodes += [{"id": f"l{at}", "name": f"leaf{at}", "tier": 1} for at in range(2)]
    nodes += [{"id": "s", "name": "spine", "tier": 2}]
    links = [{"id": f"h{at}-*-l{(at - 1) // 2}"} for at in range(1, 5)] + [{"id": f"l{at}-*-s"} for at in range(2)]
    reading = read(json.dumps([{"links": links, "nodes": [{"compounded_nodes": nodes}]}]))
    assert partition(reading) == SETS
    assert len(partition(reading, "spine")) == 1


def test_compute_nodes_of_nmx() -> None:
    nodes = [{"ID": str(at), "Name": f"n{at}", "DomainUUID": f"d{(at - 1) // 2}"} for at in range(1, 5)]
    assert partition(read(json.dumps(nodes)), "nvlinkDomain") == SETS


def test_ports_without_peers_are_refused() -> None:
    assert "found none" in (read(json.dumps([ufm_port("n1", 0, "")])).refused or "")
