"""``nvidia-smi -q``: every GPU's facts as indented text."""

import re
from collections.abc import Iterator
from typing import Final

from nvtopo.model.records.node import NodeTopology
from nvtopo.sources.foreign import smi_query_facts
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes
from nvtopo.sources.foreign.smi_query_facts import FIELDS, FieldReader

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
    torn = _torn(list(sections.values()))
    for position in torn:
        address = list(sections)[position]
        notes.add(address, "lines of its block are missing: the input is cut")
        if position == len(sections) - 1 and given.lines[-1].strip():  # the value may be cut too
            sections[address] = sections[address][:-1]
    of_gpus = {index: answers(address, lines) for index, (address, lines) in enumerate(sections.items())}
    about = dict(_fields(head))
    driver = about.get("KMD Version") or about.get("Driver Version", "")
    cuda = about.get("CUDA UMD Version") or about.get("CUDA Version", "")
    return smi_query_facts.node(of_gpus, (driver, cuda), about.get("Attached GPUs", ""), notes, torn)


def _torn(sections: list[list[str]]) -> tuple[int, ...]:
    """GPUs of whose blocks lines are missing: the whole output has the processes at the end of each.

    A part of the output (``-d``) has none; then a GPU lacks fields that most of its product have.
    """
    found = []
    fields = [dict(_fields(lines)) for lines in sections]
    for position, (own, lines) in enumerate(zip(fields, sections, strict=True)):
        ends = _NAME not in own or any(line.strip().startswith(_END) for line in lines)
        alike = [other for other in fields if own.get(_NAME) in (None, other.get(_NAME))]
        common = {name for name in _WANTED if 2 * sum(name in other for other in alike) > len(alike)}
        # Of two, the one that has less is the one that is torn.
        common |= {name for name in _WANTED if len(alike) == 2 and any(name in other for other in alike)}  # noqa: PLR2004
        if not lines or not ends or common - own.keys():
            found.append(position)
    return tuple(found)


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


def answers(address: str, lines: list[str]) -> FieldReader:
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
