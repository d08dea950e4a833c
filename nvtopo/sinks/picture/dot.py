"""The node as a Graphviz graph: clusters of NUMA nodes, bridges and switches, devices, and NVLinks between them."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from nvtopo.model.conclusions import presence
from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.distance import Device
from nvtopo.model.conclusions.health import Health
from nvtopo.model.conclusions.health_kinds import Level
from nvtopo.model.conclusions.hierarchy import Branch, hierarchy, link_of
from nvtopo.model.conclusions.pcie import Functions, narrowed
from nvtopo.model.formats.printable import printable
from nvtopo.model.records.node import Accelerator, Gpu, Nic, NodeTopology
from nvtopo.sinks.picture.nvlink_ends import HIDDEN_SWITCH, ends_of
from nvtopo.sinks.text.summary import summary
from nvtopo.sinks.text.words import counted, nic_is_up, pcie, port_words

_GREEN, _AMBER, _RED, _GREY, _BLUE = "#d8f0d0", "#ffe0a0", "#f6c0bc", "#e0e0e0", "#d6e6fa"
_COLOURS: Final[Mapping[Level, str]] = MappingProxyType(
    {"ok": _GREEN, "degraded": _AMBER, "registering": _AMBER, "fault": _RED, "unknown": _GREY, "stale": _GREY}
)
_HEAD: Final = (
    "graph nvtopo {",
    '  graph [rankdir="LR", newrank="true", fontname="Helvetica", labelloc="t", ranksep="0.9", nodesep="0.12"];',
    '  node [shape="box", style="filled,rounded", fontname="Helvetica", fontsize="10"];',
    '  edge [fontname="Helvetica", fontsize="8", color="#808080"];',
)
#: Stroke of a bundle of links: the most that a GPU has is still narrower than its box.
_STROKE_PER_LINK: Final = 0.4


def render(node: NodeTopology, derived: Derived, functions: Functions) -> str:
    """The file; ``dot -Tsvg`` draws it."""
    lines = [*_HEAD, f"  label={quoted(summary(node, derived))};"]
    lines += _Graph(node, derived, functions).lines()
    return "\n".join([*lines, "}"]) + "\n"


def quoted(text: str) -> str:
    """``text`` as a quoted id of the dot language; line breaks stay breaks."""
    kept = (printable(line).replace("\\", "\\\\").replace('"', '\\"') for line in text.split("\n"))
    return '"' + "\\n".join(kept) + '"'


class _Graph:
    """Builds one graph."""

    def __init__(self, node: NodeTopology, derived: Derived, functions: Functions) -> None:
        self._node = node
        self._health = derived.health
        self._functions = functions
        self._clusters = 0
        # Outside of all clusters: naming a node in an edge there would move it into the cluster.
        self._edges: list[str] = []

    def lines(self) -> Iterator[str]:
        for part in hierarchy(self._node, self._functions):
            name = "NUMA node not known" if part.number is None else f"NUMA node {part.number}"
            cpus = f"\nCPUs {part.memory.cpus}" if part.memory and part.memory.cpus else ""
            numa = f"numa{'' if part.number is None else part.number}"
            inner = [f'  {quoted(numa)} [label={quoted(name + cpus)}, shape="ellipse", fillcolor={quoted(_BLUE)}];']
            inner += [line for bridge in part.bridges for line in self._branch(bridge, numa, 0)]
            yield from self._cluster(name, inner)
        yield from self._edges
        yield from self._nvlinks()

    def _branch(self, branch: Branch, parent: str, depth: int) -> list[str]:
        """A bridge is an edge from its NUMA node; a switch is a box of its own, in a cluster with what hangs on it."""
        here, lines = parent, []
        if depth:
            self._clusters += 1
            here = f"switch{self._clusters}"
            label = f"switch {branch.name}".strip()
            lines.append(f'  {quoted(here)} [label={quoted(label)}, shape="box", style="filled", fillcolor="#f2f2f2"];')
            self._edges.append(_edge(parent, here, pcie(branch.link, steady=False), amber=narrowed(branch.link)))
        for device in branch.devices:
            lines.append(self._device(device))
            link = link_of(device, self._functions)
            words = pcie(link, steady=isinstance(device, Gpu))
            self._edges.append(_edge(here, _id(device), words, amber=narrowed(link)))
        for below in branch.branches:
            lines += self._branch(below, here, depth + 1)
        return self._cluster("", lines) if depth else lines

    def _cluster(self, name: str, lines: list[str]) -> list[str]:
        self._clusters += 1
        head = [
            f"  subgraph {quoted(f'cluster{self._clusters}')} {{",
            f"    label={quoted(name)};",
            '    color="#b0b0b0";',
        ]
        return [*head, *(f"  {line}" for line in lines), "  }"]

    def _device(self, device: Device) -> str:
        if isinstance(device, Gpu):
            level = self._health.gpus[device.index].level
            said = "" if level == "ok" else level
            label = "\n".join(word for word in (device.key, device.name, device.pci_address or "", said) if word)
            colour = _COLOURS[level]
        elif isinstance(device, Accelerator):
            label = "\n".join(("GPU", device.model, device.name, presence.words(device)))
            colour = _COLOURS[self._health.slots.get(device.name, Health("unknown")).level]
        elif isinstance(device, Nic):
            label = "\n".join([device.name, *port_words(device)])
            health = self._health.nics.get(device.name, Health())
            colour = _COLOURS[health.level] if health.reasons else _GREY if nic_is_up(device) is False else _BLUE
        else:
            label, colour = device.name, "#ffffff"
        return f"  {quoted(_id(device))} [label={quoted(label)}, fillcolor={quoted(colour)}];"

    def _nvlinks(self) -> Iterator[str]:
        ends = ends_of(self._node)
        for address in sorted({address for _, address, _ in ends.to_switches}):
            label = "NVSwitches\n(hidden)" if address == HIDDEN_SWITCH else f"NVSwitch\n{address}"
            yield f'  {quoted("nvswitch " + address)} [label={quoted(label)}, shape="hexagon", fillcolor="#e8e0f8"];'
        for index, address, links in ends.to_switches:
            yield _nvlink(f"GPU{index}", f"nvswitch {address}", links, "true")
        for a, b, links in ends.between:
            yield _nvlink(f"GPU{a}", f"GPU{b}", links, "false")


def _id(device: Device) -> str:
    return (
        device.key if isinstance(device, Gpu) else f"{type(device).__name__} {device.name} {device.pci_address or ''}"
    )


def _edge(one: str, other: str, label: str, *, amber: bool = False) -> str:
    colour = ', color="#d08000", penwidth="2"' if amber else ""
    return f"  {quoted(one)} -- {quoted(other)} [label={quoted(label)}{colour}];"


def _nvlink(one: str, other: str, links: int, constraint: str) -> str:
    """An NVLink edge. Edges to switches affect the ranking; edges between GPUs do not, to keep the tree together."""
    width = f"{1 + links * _STROKE_PER_LINK:.1f}"
    facts = f'label={quoted(f"NV{links}")}, tooltip={quoted(counted(links, "NVLink"))}, penwidth="{width}"'
    return f'  {quoted(one)} -- {quoted(other)} [{facts}, color="#5a9a3a", constraint="{constraint}"];'
