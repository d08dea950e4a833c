"""Nodes and racks on the aggregator's page."""

from nvtopo.aggregator import rack_metrics
from nvtopo.sinks.metrics.series import text
from tests.cluster.machines import bundle, changed, domain_id, graph, hgx, name, serial, tray

RACK = f'domain="{domain_id(1)}",rack="rack-{serial(1)}"'


def test_every_node_has_its_place_and_one_without_a_domain_is_not_given_one() -> None:
    nodes = {"tray": tray(1, 3), "board": hgx()}
    lines = text(rack_metrics.families(graph(nodes, {"odd": "no spec"}))).splitlines()
    assert f'nvtopo_graph_node_info{{node="tray",{RACK},chassis="{serial(1)}",tray="3"}} 1' in lines
    assert 'nvtopo_graph_node_info{node="board"} 1' in lines
    assert 'nvtopo_graph_node_info{node="odd"} 1' in lines
    gpus = {line for line in lines if line.startswith("nvtopo_graph_node_gpus{")}
    assert gpus == {'nvtopo_graph_node_gpus{node="tray"} 4', 'nvtopo_graph_node_gpus{node="board"} 8'}


def test_a_rack_says_what_is_missing_and_what_is_ill() -> None:
    nodes = {name(1, number): tray(1, number) for number in (2, 3, 6, 8)}
    nodes[name(1, 3)] = changed(nodes[name(1, 3)], 2, nvlinks=(bundle("0-15"), bundle("16-17", "inactive")))
    lines = text(rack_metrics.families(graph(nodes))).splitlines()
    for line in (
        f"nvtopo_graph_domain_nodes{{{RACK}}} 4",
        f"nvtopo_graph_domain_gpus{{{RACK}}} 16",
        f"nvtopo_graph_domain_silent_trays{{{RACK}}} 3",
        f'nvtopo_graph_domain_gpu_health{{{RACK},health="degraded"}} 1',
        f'nvtopo_graph_domain_gpu_health{{{RACK},health="ok"}} 15',
    ):
        assert line in lines


def test_no_nodes_are_no_series() -> None:
    assert text(rack_metrics.families(graph({}))) == ""
