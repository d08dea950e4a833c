"""Everything that is computed of one node by aggregator and command line, in one call."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from msgspec.structs import replace

from nvtopo.aggregator import metrics
from nvtopo.aggregator.status import status_of
from nvtopo.checks import cluster, policy
from nvtopo.checks.check import Machine
from nvtopo.checks.fleet import of_fleet
from nvtopo.checks.report import of_node
from nvtopo.checks.rows import row
from nvtopo.cli import dump
from nvtopo.cli.machine import Found
from nvtopo.cluster import nodes
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.errors import NvtopoError
from nvtopo.exporters import document, racks
from nvtopo.kube.v1alpha1 import spec_document
from nvtopo.kube.v1alpha1_status import status_document
from nvtopo.model.changes.topology import changes
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.records.node import NodeTopology
from nvtopo.reports import document as document_of_report
from nvtopo.reports import formats
from nvtopo.reports import text as report_text
from nvtopo.sinks.metrics.series import text

NAME = "node-a"
OTHER = "node-b"


def stages(node: NodeTopology) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Stage → what it does."""
    found = nodes.readable(NAME, node)
    derived = derive(node)
    other = replace(node, gpus=(), pairs=(), nics=node.nics[1:])
    graph = build(fold(Inventory(), Listed({NAME: node, OTHER: other})))
    yield "readable", lambda: nodes.readable(NAME, node)
    yield "derive", lambda: derive(node)
    yield "features", lambda: features(node, derived)
    yield "status", lambda: status_document(NAME, status_of(found))
    yield "entry", lambda: document.entry(found)
    yield "resource", lambda: spec_document(NAME, node, "uid")
    yield "graph", lambda: build(fold(Inventory(), Listed({NAME: node, OTHER: other})))
    yield "document", lambda: document.encode(document.of(graph))
    yield "racks", lambda: racks.render(document.of(graph), lambda cell, _: cell)
    yield "graph metrics", lambda: text(metrics.of_graph(graph))
    yield "changes", lambda: changes(other, node, (derive(other), derived))
    machine = Machine(node)
    report = of_node(machine)
    fleet = of_fleet({NAME: report}, (), cluster.compared({NAME: row(machine), OTHER: row(Machine(other))}))
    yield "doctor", lambda: of_node(Machine(node))
    yield "doctor's JSON", lambda: document_of_report.render(fleet)
    yield "doctor's text", lambda: (report_text.node(report, NAME), report_text.fleet(fleet))
    yield "policy", lambda: policy.learned(machine, NAME)
    for form in ("junit", "sarif", "prometheus", "html"):
        yield f"doctor's {form}", partial(formats.render, form, fleet, {})
    for form in dump._FORMATS:
        render = dump._matrix(None) if form == "matrix" else dump._renderer(form, 0.0)
        yield form, partial(render, Found(node, None), derived)


def passed(node: NodeTopology) -> None:
    """Every stage, none of which raises; a renderer may say in one line that its format can't hold the node."""
    for _, stage in stages(node):
        try:
            stage()
        except NvtopoError as refused:
            assert "\n" not in str(refused)  # noqa: PT017 - what it refuses is its own
