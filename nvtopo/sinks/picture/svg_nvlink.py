"""The middle of the picture: NVLinks as trunks to a band of switches, or from GPU to GPU, as wide as they are many."""

from typing import Final

from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.document.xml import Element
from nvtopo.sinks.picture.nvlink_ends import HIDDEN_SWITCH, Ends
from nvtopo.sinks.picture.svg_tiles import Box, Facts, group, number, rectangle, words
from nvtopo.sinks.text.words import counted, gigabytes

_PER_LINK: Final = 0.75
_WIDEST: Final = 16.0
_BAND: Final = 52
_TRUNK: Final = 34
_SWITCH: Final = 150
_ARC, _ARC_STEP, _DEEPEST, _ACROSS = 26, 13, 150, 60


def height_of(ends: Ends, upper: dict[int, Box], lower: dict[int, Box]) -> float:
    """How much room the NVLinks need between these GPUs of the two rows."""
    if ends.to_switches:
        return _BAND + _TRUNK * (2 if upper and lower else 1) + 8
    order = _order(upper) | _order(lower)
    depths = [0.0, 0.0]
    for a, b, _ in ends.between:
        for row, gpus in enumerate((upper, lower)):
            if a in gpus and b in gpus:
                depths[row] = max(depths[row], _arc(order[a], order[b]))
            elif a in gpus or b in gpus:
                depths[row] = max(depths[row], _ACROSS)
    return sum(depths) + 24


def drawn(ends: Ends, gpus: dict[int, Box], area: Box, facts: Facts) -> list[Element]:
    """Everything between the rows of panels."""
    elements = _band(ends, gpus, area, facts) if ends.to_switches else []
    upper = {index: box for index, box in gpus.items() if _above(box, area)}
    order = _order(upper) | _order({index: box for index, box in gpus.items() if index not in upper})
    edges = [
        _edge((a, b), links, gpus, area, _arc(order[a], order[b]))
        for a, b, links in ends.between
        if a in gpus and b in gpus
    ]
    return elements + [line for line, _ in edges] + [label for _, label in edges]


def _order(gpus: dict[int, Box]) -> dict[int, int]:
    """GPU index → its place from the left."""
    return {index: place for place, index in enumerate(sorted(gpus, key=lambda index: (gpus[index].x, index)))}


def _stroke(links: int) -> str:
    return number(min(1.5 + links * _PER_LINK, _WIDEST))


def _band(ends: Ends, gpus: dict[int, Box], area: Box, facts: Facts) -> list[Element]:
    middle = area.y + area.height / 2
    upper = any(_above(gpus[index], area) for index in ends.per_gpu if index in gpus)
    lower = any(not _above(gpus[index], area) for index in ends.per_gpu if index in gpus)
    if not (upper and lower):
        middle = area.y + area.height - _BAND / 2 - 6 if upper else area.y + _BAND / 2 + 6
    box = Box(area.x, middle - _BAND / 2, area.width, _BAND)
    names = sorted({address for _, address, _ in ends.to_switches if address != HIDDEN_SWITCH})
    known = names or list(facts.node.nvswitches)
    rates = _rates(facts.node)
    groups = facts.derived.nvlink_groups
    grouped = None if groups is None else {index for group in groups for index in group}
    trunks = []
    for index, links in ends.per_gpu.items():
        if index in gpus:
            rate = gigabytes(rates.get(index))
            title = f"GPU{index}: {counted(links, 'NVLink')} to the switches"
            said = (
                title + (f", {rate} in one direction" if rate else ""),
                f"NV{links}" + (f" · {rate}" if rate else ""),
            )
            usable = grouped is None or index in grouped
            trunks.append(_trunk(links, said if usable else _idle(index, links), gpus[index], box, usable=usable))
    return [*trunks, _switches(box, known, facts.derived.nvlink_domain)]


def _rates(node: NodeTopology) -> dict[int, int]:
    """GPU index → what its links carry together in one direction, where the driver says so."""
    found = {}
    for gpu in node.gpus:
        bundles = [bundle for bundle in gpu.nvlinks if bundle.usable and bundle.remote == "switch"]
        if bundles and all(bundle.bytes_per_second for bundle in bundles):
            found[gpu.index] = sum((bundle.bytes_per_second or 0) * bundle.count for bundle in bundles)
    return found


def _above(gpu: Box, area: Box) -> bool:
    return gpu.y < area.y


def _idle(index: int, links: int) -> tuple[str, str]:
    """Links that are up and lead to no other GPU: their fabric, or peer access over it, is not ready."""
    return f"GPU{index}: {counted(links, 'NVLink')} up, not usable to other GPUs", f"NV{links} not usable"


def _trunk(links: int, said: tuple[str, str], gpu: Box, band: Box, *, usable: bool) -> Element:
    """From a GPU to the band, with its title and label."""
    x = gpu.x + gpu.width / 2
    above = gpu.y < band.y
    start, end = (gpu.y + gpu.height, band.y + 2) if above else (gpu.y, band.y + band.height - 2)
    label = words((x + 13, band.y - 14 if above else band.y + band.height + 22), said[1], "tiny link", 140)
    path = {"d": f"M{number(x)} {number(start)}V{number(end)}", "stroke-width": _stroke(links)}
    path["class"] = "nvlink" if usable else "nvlink idle"
    return group(said[0], "trunk", [Element("path", path, []), label])


def _switches(band: Box, names: list[str], domain: str | None) -> Element:
    title = f"{len(names)} NVSwitch{'es' if len(names) > 1 else ''}" if names else "NVLink switches"
    tail = "" if names else " (not visible from this node)"
    where = f" · domain {domain}" if domain else ""
    children = [rectangle(band, "band", 12)]
    fits = int((band.width - 20) / _SWITCH)
    if names and len(names) <= fits:
        left = band.x + (band.width - len(names) * _SWITCH) / 2
        for position, name in enumerate(names):
            box = Box(left + position * _SWITCH + 5, band.y + 9, _SWITCH - 10, _BAND - 18)
            children += [rectangle(box, "nvswitch", 8)]
            children += [_centred(box, "NVSwitch", -3, "tiny strong"), _centred(box, name, 11, "tiny")]
    else:
        children.append(_centred(band, title + tail + where, 5, "bandname"))
    return group(title + tail + where, "switches", children)


def _centred(box: Box, text: str, down: float, classes: str) -> Element:
    x, y = number(box.x + box.width / 2), number(box.y + box.height / 2 + down)
    return Element("text", {"x": x, "y": y, "class": classes, "text-anchor": "middle"}, [], text)


def _arc(one: int, other: int) -> float:
    return float(min(_ARC + _ARC_STEP * abs(one - other), _DEEPEST))


def _edge(pair: tuple[int, int], links: int, gpus: dict[int, Box], area: Box, reach: float) -> tuple[Element, Element]:
    """A curve between two GPUs, and its label, which is drawn above all curves."""
    one, other = gpus[pair[0]], gpus[pair[1]]
    ends = [(box.x + box.width / 2, box.y + box.height if _above(box, area) else box.y) for box in (one, other)]
    (x1, y1), (x2, y2) = ends
    if _above(one, area) == _above(other, area):
        bend = reach * (1 if _above(one, area) else -1)
        controls = ((x1, y1 + bend * 4 / 3), (x2, y2 + bend * 4 / 3))
        label = ((x1 + x2) / 2, (y1 + y2) / 2 + bend)
    else:
        half = (y2 - y1) / 2
        controls = ((x1, y1 + half), (x2, y2 - half))
        label = ((x1 + x2) / 2, (y1 + y2) / 2)
    points = " ".join(f"{number(x)} {number(y)}" for x, y in (*controls, (x2, y2)))
    path = {"d": f"M{number(x1)} {number(y1)}C{points}", "stroke-width": _stroke(links), "class": "nvlink mesh"}
    title = f"GPU{pair[0]} and GPU{pair[1]}: {counted(links, 'NVLink')}"
    return group(title, "edge", [Element("path", path, [])]), _pill(label, f"NV{links}")


def _pill(at: tuple[float, float], text: str) -> Element:
    background = rectangle(Box(at[0] - 21, at[1] - 9, 42, 16), "pill", 8)
    attributes = {"x": number(at[0]), "y": number(at[1] + 3), "class": "tiny link", "text-anchor": "middle"}
    return Element("g", {}, [background, Element("text", attributes, [], text)])
