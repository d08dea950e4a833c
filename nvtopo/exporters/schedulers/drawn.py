"""The graph for programs that draw or compute on graphs: GraphML, and DOT for Graphviz."""

from collections.abc import Iterator
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from nvtopo.exporters.document import GraphDocument
from nvtopo.exporters.schedulers.view import View


class Vertex(NamedTuple):
    """A node of the cluster, a domain, or a switch."""

    id: str
    kind: str
    """``node``, a tier, or ``switch``."""
    label: str


class Line(NamedTuple):
    """Between two vertices."""

    a: str
    b: str
    kind: str
    """``member`` of a domain, or ``cable``."""
    present: bool = True


def vertices(view: View, document: GraphDocument) -> Iterator[Vertex]:
    """Domains from the outermost tier, then nodes, then the switches of cables."""
    for tier in reversed(view.tiers):
        for place in view.places[tier]:
            yield Vertex(f"{tier}/{place.name}", tier, place.name)
    for node in view.nodes:
        yield Vertex(f"node/{node}", "node", node)
    ends = dict.fromkeys(end for edge in document.edges for end in (edge.a, edge.b) if end not in document.nodes)
    for end in ends:
        yield Vertex(f"switch/{end}", "switch", end)


def lines(view: View, document: GraphDocument) -> Iterator[Line]:
    """Each node and domain with its closest outer domain, then all cables."""
    for number, tier in enumerate(view.tiers):
        for place in view.places[tier]:
            outer = next((up for up in view.tiers[number + 1 :] if up in view.of[place.nodes[0]]), None)
            if outer is not None:
                yield Line(f"{outer}/{view.of[place.nodes[0]][outer]}", f"{tier}/{place.name}", "member")
    for node in view.nodes:
        closest = next((tier for tier in view.tiers if tier in view.of[node]), None)
        if closest is not None:
            yield Line(f"{closest}/{view.of[node][closest]}", f"node/{node}", "member")
    for edge in document.edges:
        a, b = (f"node/{end}" if end in document.nodes else f"switch/{end}" for end in (edge.a, edge.b))
        yield Line(a, b, "cable", edge.present)


def graphml(view: View, document: GraphDocument) -> str:
    """GraphML: ``kind`` and ``label`` of vertices, ``kind`` and ``present`` of edges."""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
        '  <key id="kind" for="all" attr.name="kind" attr.type="string"/>',
        '  <key id="label" for="node" attr.name="label" attr.type="string"/>',
        '  <key id="present" for="edge" attr.name="present" attr.type="boolean"/>',
        '  <graph edgedefault="undirected">',
    ]
    for vertex in vertices(view, document):
        kind, label = _text(vertex.kind), _text(vertex.label)
        data = f'<data key="kind">{kind}</data><data key="label">{label}</data>'
        parts.append(f"    <node id={quoteattr(_printable(vertex.id))}>{data}</node>")
    for line in lines(view, document):
        ends = f"source={quoteattr(_printable(line.a))} target={quoteattr(_printable(line.b))}"
        present = "true" if line.present else "false"
        parts.append(f'    <edge {ends}><data key="kind">{line.kind}</data><data key="present">{present}</data></edge>')
    return "\n".join([*parts, "  </graph>", "</graphml>"]) + "\n"


def dot(view: View, document: GraphDocument) -> str:
    """DOT for Graphviz: a missing cable is a dashed red line."""
    parts = ["graph nvtopo {", "  rankdir=TB;", "  node [shape=box];"]
    shapes = {"node": "box", "switch": "diamond"}
    for vertex in vertices(view, document):
        shape = shapes.get(vertex.kind, "ellipse")
        parts.append(f"  {_quoted(vertex.id)} [label={_quoted(vertex.label)}, shape={shape}];")
    for line in lines(view, document):
        style = "" if line.present else " [style=dashed, color=red]"
        parts.append(f"  {_quoted(line.a)} -- {_quoted(line.b)}{style};")
    return "\n".join([*parts, "}"]) + "\n"


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _text(text: str) -> str:
    return _printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _quoted(text: str) -> str:
    return '"' + _printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
