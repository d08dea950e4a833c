"""``nvidia-smi -q -x``: every GPU's facts as XML, of any schema version since v9."""

from nvtopo.model.facts import GpuFacts
from nvtopo.model.node import NodeTopology
from nvtopo.sources.foreign import smi_query_facts, xml_tree
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes
from nvtopo.sources.foreign.smi_query_facts import FIELDS
from nvtopo.sources.foreign.xml_tree import Element

_ROOT = "nvidia_smi_log"


def looks_like(given: Given) -> bool:
    """Whether the root element of this output is in the text."""
    return b"<nvidia_smi_log" in given.content and xml_tree.root_of(given, frozenset({_ROOT})) == _ROOT


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
    gpus = root.all("gpu")
    attached = root.value("attached_gpus")
    if not 0 < len(gpus) <= MOST_DEVICES and attached != "0":
        raise given.refused(f"{len(gpus)} GPUs", "at least one <gpu> in <nvidia_smi_log>")
    facts = [_facts(index, gpu) for index, gpu in enumerate(gpus)]
    return smi_query_facts.node(facts, root.value("driver_version"), root.value("cuda_version"), attached, notes)


def _facts(index: int, gpu: Element) -> GpuFacts:
    def answer(field: str) -> str:
        value = gpu.value(FIELDS[field].xml)
        return value or (gpu.get("id") if field == "address" else "")

    return smi_query_facts.facts(index, answer)
