"""The report from an aggregator's graph: each node's verdict is that of doctor on the node."""

from typing import Final

import pytest

from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.exporters import document
from nvtopo.reports import of_graph
from tests.checks.recorded import NAMES, machine_of, report_of, snapshot_of

_EACH: Final = pytest.mark.parametrize("name", NAMES)


@_EACH
def test_the_graph_s_verdict_is_the_node_s(name: str) -> None:
    graph = build(fold(Inventory(), Listed({name: machine_of(snapshot_of(name)).node}, {})))
    report = of_graph.of_document(document.decode(document.encode(document.of(graph)), "graph"))
    assert report.nodes[name].verdict == report_of(name).verdict


def test_a_node_that_can_t_be_read_is_unknown() -> None:
    graph = build(fold(Inventory(), Listed({}, {"n1": "of another version"})))
    report = of_graph.of_document(document.of(graph))
    assert (report.verdict, report.nodes["n1"].unknown[0].id) == ("cannot-know", "node-unreadable")


def test_an_empty_cluster_is_not_ready_for_anything() -> None:
    assert of_graph.of_document(document.of(build(Inventory()))).verdict == "cannot-know"
