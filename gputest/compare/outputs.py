"""What nvtopo prints, beside what it knows: every format of ``dump``, the feature file and the metrics page.

All come from readings of their own, moments apart. A fact that changed in between is a difference, and says so.
"""

import importlib.util
import re
import xml.parsers.expat
from collections.abc import Callable, Iterator
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from gputest.rows import Of, Row
from nvtopo.cli.resource_file import resource_in
from nvtopo.errors import ParseError
from nvtopo.model.changes.topology import changes
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.document import derived
from nvtopo.sources.foreign.recognise import read_foreign

DUMP: Final = "nvtopo dump"
FEATURES: Final = "nvtopo agent, feature file"
PAGE: Final = "nvtopo agent, metrics page"
_CHANGED: Final = "two readings of nvtopo, moments apart"

Check = Callable[[Of, NodeTopology, bytes], Iterator[Row]]


def dump_rows(form: str, node: NodeTopology, content: bytes) -> Iterator[Row]:
    """One format; whatever is wrong with its text is a row."""
    of = Of(DUMP, form)
    try:
        yield from _CHECKS[form](of, node, content)
    except (ParseError, UnicodeDecodeError, xml.parsers.expat.ExpatError, ValueError) as error:
        yield of.differ("can be read back", "text", None, f"{type(error).__name__}: {error}")


def feature_rows(node: NodeTopology, content: bytes, training: str = "") -> Iterator[Row]:
    """Labels of the agent's feature file; ``training`` says why the agent may state others, if it may."""
    yield from _labels(Of(FEATURES, "node"), node, content, training)


def page_rows(node: NodeTopology, content: bytes, training: str = "") -> Iterator[Row]:
    """Series of the agent's page that state facts; ``training`` as in ``feature_rows``."""
    of = Of(PAGE, "node")
    try:
        samples = [sample for family in text_string_to_metric_families(content.decode()) for sample in family.samples]
    except (ValueError, UnicodeDecodeError) as error:
        yield of.differ("page", "text", None, f"can't be parsed: {error}")
        return
    by_name: dict[str, list[Any]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    uuids = {gpu.uuid: gpu for gpu in node.gpus}
    yield of.row("nvtopo_gpus", len(node.gpus), _value(by_name, "nvtopo_gpus"))
    yield of.row("nvtopo_gpu_info", sorted(uuids), sorted(s.labels["UUID"] for s in by_name.get("nvtopo_gpu_info", [])))
    yield of.row("nvtopo_node_ready", derive(node).health.ready, _ready(_value(by_name, "nvtopo_node_ready")), training)
    up = sum(bundle.count for gpu in node.gpus for bundle in gpu.nvlinks if bundle.state == "active")
    sampled = [sample.value for sample in by_name.get("nvtopo_nvlink_active", [])]
    if sampled:
        yield of.row("nvtopo_nvlink_active", up, int(sum(sampled)))
    temperatures = len(by_name.get("nvtopo_gpu_temperature_celsius", []))
    if not uuids:
        return
    if _value(by_name, "nvtopo_sampler_up") == 1.0:
        yield of.row("GPUs with a temperature", len(uuids), temperatures or None)
    else:
        yield of.not_compared("GPUs with a temperature", "the sampler had no sample yet", len(uuids), temperatures)


def _value(by_name: dict[str, list[Any]], name: str) -> float | None:
    found = by_name.get(name, [])
    return found[0].value if found else None


def _ready(value: float | None) -> bool | None:
    return None if value is None else value == 1.0


def _document(of: Of, node: NodeTopology, content: bytes) -> Iterator[Row]:
    if of.subject == "yaml" and importlib.util.find_spec("yaml") is None:
        yield of.not_compared("facts", "PyYAML is not installed")
        return
    found = resource_in(content, of.subject)
    if found is None:
        raise ParseError("expected a document with a spec")
    differing = changes(node, found)
    if not differing:
        yield of.row("facts", "as in the capture", "as in the capture")
    for change in differing:
        fact = f"{change.subject} {change.path or change.kind}"
        yield of.differ(fact, change.before, change.after, _CHANGED)


def _labels(of: Of, node: NodeTopology, content: bytes, training: str = "") -> Iterator[Row]:
    lines = (line.partition("=") for line in content.decode().splitlines() if line and not line.startswith("#"))
    said = {name: value for name, _, value in lines}
    mine = features(node, derive(node))
    for name in sorted({*mine, *said}):
        if name in said:
            yield of.row(name, mine.get(name), said[name], training)
        elif training:
            yield of.not_compared(name, training, mine[name])
        else:
            yield of.differ(name, mine[name], None, _CHANGED)


def _matrix(of: Of, node: NodeTopology, content: bytes) -> Iterator[Row]:
    """The cells between GPUs."""
    rows = [re.split(r" {2,}", line.strip()) for line in content.decode().splitlines()]
    header = next((row for row in rows if row and re.fullmatch("GPU[0-9]+", row[0]) and "CPU Affinity" in row), [])
    cells = {row[0]: dict(zip(header, row[1:], strict=False)) for row in rows if row and row[0] in header}
    for pair in derived.of(derive(node)).gpu_pairs:
        cell = cells.get(pair.a, {}).get(pair.b)
        yield of.row(f"{pair.a}, {pair.b}", pair.link, None if cell in (None, "?") else cell)
    if len(node.gpus) == 1:
        yield of.row("GPU0", "X", cells.get(node.gpus[0].key, {}).get(node.gpus[0].key))


def _names_gpus(of: Of, node: NodeTopology, content: bytes) -> Iterator[Row]:
    words = set(re.findall(r"GPU[0-9]+", content.decode()))
    for gpu in node.gpus:
        yield of.row(gpu.key, "shown", "shown") if gpu.key in words else of.differ(gpu.key, "shown", None)


def _svg(of: Of, node: NodeTopology, content: bytes) -> Iterator[Row]:
    xml.parsers.expat.ParserCreate().Parse(content, True)  # noqa: FBT003 - expat's own signature
    yield from _names_gpus(of, node, content)


def _nccl(of: Of, node: NodeTopology, content: bytes) -> Iterator[Row]:
    addresses = sorted(gpu.pci_address for gpu in node.gpus if gpu.pci_address)
    if not addresses:
        xml.parsers.expat.ParserCreate().Parse(content, True)  # noqa: FBT003 - as above
        yield of.row("GPUs", 0, content.count(b"<gpu "))
        return
    found = read_foreign(content, of.subject)
    yield of.row("GPUs", addresses, sorted(gpu.pci_address for gpu in found.gpus if gpu.pci_address))


def _metrics(of: Of, node: NodeTopology, content: bytes) -> Iterator[Row]:
    families = {family.name: family for family in text_string_to_metric_families(content.decode())}
    infos = families["nvtopo_gpu"].samples if "nvtopo_gpu" in families else []
    named = infos or (families["nvtopo_gpu_info"].samples if "nvtopo_gpu_info" in families else [])
    yield of.row("GPUs", sorted(gpu.uuid for gpu in node.gpus), sorted(sample.labels["UUID"] for sample in named))


_CHECKS: Final[dict[str, Check]] = {
    "matrix": _matrix,
    "tree": _names_gpus,
    "json": _document,
    "yaml": _document,
    "labels": _labels,
    "dot": _names_gpus,
    "svg": _svg,
    "nccl": _nccl,
    "metrics": _metrics,
}
FORMATS: Final = tuple(_CHECKS)
