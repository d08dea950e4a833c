"""``nvidia-smi -q``: every GPU's facts as indented text."""

import re
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from nvtopo.model.records.node import NodeTopology
from nvtopo.sources.foreign import smi_query_facts
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes
from nvtopo.sources.foreign.smi_query_facts import FIELDS, Answer

_TITLE = "NVSMI LOG"
_GPU = re.compile(r"GPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])")
_ABSENT = frozenset({"N/A", "[N/A]", "None", "Not Supported"})
#: How the last section of the whole output begins.
_END: Final = ("Processes", "Compute Processes")
_NAME: Final = FIELDS["name"].text
_WANTED: Final = frozenset(field.text for field in FIELDS.values())
_LONGEST_LINE = 1 << 12
_DEEPEST = 8


def looks_like(given: Given) -> bool:
    """Whether the title and a GPU are in the text."""
    return _TITLE in given.text and any(_GPU.search(line) for line in given.lines if line[:80].strip())


def read(given: Given) -> NodeTopology:
    """The node that the first log in the text describes.

    Raises:
        ParseError: it names more GPUs than a node has.
    """
    notes = Notes(smi_query_facts.SOURCE)
    head, sections = _sections(given.lines)
    others = {match[1].lower() for line in given.lines if (match := _GPU.match(line[:80]))} - sections.keys()
    if others:
        notes.add("log", f"another one names {len(others)} other GPUs; the first was read")
    if len(sections) > MOST_DEVICES:
        raise given.refused(f"{len(sections)} GPUs", "the output of `nvidia-smi -q` of one node")
    cut = _is_cut(list(sections.values()))
    if cut:
        address = list(sections)[-1]
        if given.lines[-1].strip():  # and the value in its midst
            sections[address] = sections[address][:-1]
        notes.add(address, "its block has no end: the input is cut")
    of_gpus = {index: answers(address, lines) for index, (address, lines) in enumerate(sections.items())}
    about = dict(_fields(head))
    driver = about.get("KMD Version") or about.get("Driver Version", "")
    cuda = about.get("CUDA UMD Version") or about.get("CUDA Version", "")
    node = smi_query_facts.node(of_gpus, driver, cuda, about.get("Attached GPUs", ""), notes)
    return replace(node, unseen=("gpus",)) if cut else node


def _is_cut(sections: list[list[str]]) -> bool:
    """Whether the last GPU's block ends too early: the whole output has the processes at its end.

    A part of the output (``-d``) has none; then a GPU lacks fields that all others of its product have.
    """
    if not sections or not sections[-1]:
        return bool(sections)
    *others, last = ({name for name, _ in _fields(lines)} for lines in sections)
    names = [dict(_fields(lines)).get(_NAME) for lines in sections]
    if _NAME in last and not any(line.strip().startswith(_END) for line in sections[-1]):
        return True
    alike = [known for known, name in zip(others, names, strict=False) if names[-1] in (None, name)]
    common = set.intersection(*alike) if alike else set()
    return bool(common & _WANTED - last)


def _sections(lines: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The lines before the first GPU, and each GPU's; a log that holds the output twice is read once."""
    start = next((index for index, line in enumerate(lines) if _TITLE in line), 0)
    head: list[str] = []
    sections: dict[str, list[str]] = {}
    current = head
    for line in lines[start + 1 :]:
        if _TITLE in line or line.startswith("####"):
            break
        match = _GPU.match(line)
        if match is not None:
            current = sections.setdefault(match[1].lower(), [])
        elif line.strip():
            current.append(line)
    return head, sections


def answers(address: str, lines: list[str]) -> Answer:
    """What the lines of one GPU say, field by field."""
    fields = dict(reversed(list(_fields(lines))))  # of a field that comes twice the first counts

    def answer(field: str) -> str:
        value = fields.get(FIELDS[field].text, "")
        absent = value in _ABSENT and (field, value) != ("configuration", "None")
        return ("" if absent else value) or (address if field == "address" else "")

    return answer


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    """``PCI/GPU Link Info/Link Width/Max`` and its value, by indentation."""
    above: list[tuple[int, str]] = []
    for line in lines:
        body = line[:_LONGEST_LINE].strip(" ")
        depth = len(line) - len(line.lstrip(" "))
        title, colon, value = f"{body} ".partition(" : ")
        while above and above[-1][0] >= depth:
            above.pop()
        if colon:
            yield "/".join([*(title for _, title in above), title.rstrip()]), value.strip()
        elif len(above) < _DEEPEST:
            above.append((depth, body))
