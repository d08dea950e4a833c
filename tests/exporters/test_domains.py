"""NVLink domains as devices: which there are, who is in them, and what is said of their state."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as struct

from nvtopo.cluster.claims import Claim, Reading
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.exporters.document import GraphDocument, of
from nvtopo.exporters.schedulers import dra_domains, kinds, view
from nvtopo.exporters.schedulers.kinds import Export
from nvtopo.model.conclusions import fabric
from nvtopo.model.records.node import NodeTopology
from tests.cluster import machines
from tests.exporters import clusters

Json = dict[str, Any]
_SILENT = Reading()


def export(nodes: Mapping[str, NodeTopology], reading: Reading = _SILENT) -> Export:
    graph = build(fold(Inventory(), Listed(dict(nodes), {})), None, {"file": reading})
    document: GraphDocument = of(graph)
    return Export(view.of(document), document, nodes=graph.nodes)


def devices(found: Export) -> dict[str, Json]:
    """Domain → its one device."""
    slices = [one["spec"] for one in kinds.OBJECTS["dra-domains"](found)]
    assert all(one["driver"] == "topo.nvtopo.io" and len(one["devices"]) == 1 for one in slices)
    assert all(one["pool"]["generation"] == one["pool"]["resourceSliceCount"] == 1 for one in slices)
    assert len({one["pool"]["name"] for one in slices}) == len(slices)
    return {
        one["nodeSelector"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"][0]: one["devices"][0]
        for one in slices
    }


def said(device: Json) -> dict[str, Any]:
    return {name: next(iter(value.values())) for name, value in device["attributes"].items()}


def test_each_domain_is_a_device_of_so_many_gangs() -> None:
    rack = clusters.nvl72()
    found = devices(rack._replace(gangs=3))
    own = {fabric.domain(node.topology) for node in rack.nodes.values() if node.topology is not None}
    assert set(found) == own
    for clique, device in found.items():
        assert said(device).items() >= {"type": "nvlink-domain", "clique": clique, "nodes": 18, "gpus": 72}.items()
        assert said(device)["state"] == "ok"
        assert device["allowMultipleAllocations"] is True
        policy = {"default": "1", "validRange": {"min": "1", "max": "3"}}
        assert device["capacity"] == {"gangs": {"value": "3", "requestPolicy": policy}}


def test_a_node_that_only_others_place_there_is_not_in_it() -> None:
    nodes = dict(machines.racks(1))
    clique = str(fabric.domain(next(iter(nodes.values()))))
    claims = Reading((Claim("guest", "nvlinkDomain", clique, "file"),))
    (device,) = devices(export(nodes | {"guest": clusters.host("hgx-h200-8gpu")}, claims)).values()
    assert said(device)["nodes"] == 18


def test_a_domain_that_nobody_says_of_itself_is_none() -> None:
    claims = Reading((Claim("a", "nvlinkDomain", "somewhere", "file"),))
    assert devices(export({"a": clusters.host("hgx-h200-8gpu")}, claims)) == {}


@pytest.mark.parametrize(
    ("host", "state"),
    [
        ("gb200-nvl72-tray", "ok"),
        ("gb200-fabric-unhealthy", "degraded"),
        ("gb200-rails-down", "ok"),
    ],
)
def test_the_state_is_that_of_its_worst_node(host: str, state: str) -> None:
    found = [said(one)["state"] for one in devices(clusters.of_hosts(host)).values()]
    assert found == [state]


def test_a_domain_without_a_tray_is_incomplete_and_one_that_is_not_heard_unknown() -> None:
    nodes = dict(machines.racks(1))
    gone = sorted(nodes)[4]
    whole = export({name: node for name, node in nodes.items() if name != gone})
    assert [said(one)["state"] for one in devices(whole).values()] == ["incomplete"]
    stale = {name: replace(node, stale=name == min(whole.nodes)) for name, node in whole.nodes.items()}
    assert [said(one)["state"] for one in devices(whole._replace(nodes=stale)).values()] == ["unknown"]


def test_the_slices_select_by_the_label_that_the_agent_gives() -> None:
    (first, *_) = kinds.OBJECTS["dra-domains"](clusters.nvl72())
    (term,) = first["spec"]["nodeSelector"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["key"] == dra_domains.LABEL == "nvtopo.io/nvlink.domain"


def test_a_domain_that_no_label_can_name_is_none() -> None:
    node = clusters.host("gb200-nvl72-tray")

    def called(name: str) -> Export:
        fabrics = [(gpu, gpu.fabric) for gpu in node.gpus]
        gpus = tuple(struct(gpu, fabric=struct(own, cluster_uuid=name)) for gpu, own in fabrics if own is not None)
        return export({"a": struct(node, gpus=gpus)})

    assert len(devices(called("7c4f8bcf"))) == 1
    assert devices(called("not a label")) == {}
