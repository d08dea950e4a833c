"""``nvidia-smi -q -x``: every GPU's facts as XML, of any schema version since v9."""

from msgspec.structs import replace

from nvtopo.model.records.node import NodeTopology
from nvtopo.sources.foreign import smi_query_facts, xml_tree
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes
from nvtopo.sources.foreign.smi_query_facts import FIELDS, FieldReader
from nvtopo.sources.foreign.xml_tree import Element

_ROOT = "nvidia_smi_log"


def looks_like(given: Given) -> bool:
    """Whether the root element of this output is in the text."""
    return "<nvidia_smi_log" in given.text and xml_tree.root_of(given, frozenset({_ROOT})) == _ROOT


def read(given: Given) -> NodeTopology:
    """The node that the document describes.

    Raises:
        ParseError: it names no GPU.
    """
    document = xml_tree.parse(given, _ROOT)
    root = document.root
    notes = Notes(smi_query_facts.SOURCE)
    if document.cut:
        notes.add("document", document.cut)
    if document.more:
        notes.add("document", f"{document.more} more of its kind follow; the first was read")
    gpus = root.all("gpu")
    attached = root.value("attached_gpus")
    if not 0 < len(gpus) <= MOST_DEVICES and attached != "0":
        raise given.refused(f"{len(gpus)} GPUs", "at least one <gpu> in <nvidia_smi_log>")
    driver = root.value("kmd_version") or root.value("driver_version")
    cuda = root.value("cuda_umd_version") or root.value("cuda_version")
    answers = {index: _answers(gpu) for index, gpu in enumerate(gpus)}
    torn = tuple(answers)[-1:] if document.cut else ()
    node = smi_query_facts.node(answers, (driver, cuda), attached, notes, torn)
    return replace(node, nvlink_hidden=True, unseen=("gpus",)) if document.cut else node


def _answers(gpu: Element) -> FieldReader:
    def answer(field: str) -> str:
        value = gpu.value(FIELDS[field].xml)
        return value or (gpu.get("id") if field == "address" else "")

    return answer
