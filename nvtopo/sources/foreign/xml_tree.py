"""XML read safely: nothing before the root is parsed, so no DTD and no entity; depth and size are bounded.

A document can stand inside a log, and it can be cut: what was read until then is there, with the reason.
"""

import re
from typing import NamedTuple
from xml.parsers import expat

from nvtopo.model.records.places import Unseen
from nvtopo.sources.foreign.given import Given

#: hwloc nests some thirty deep, and a DGX's `nvidia-smi -q -x` has about 6,000 elements.
_DEEPEST = 64
_MOST_ELEMENTS = 400_000
_ROOT = re.compile(r"<([A-Za-z_][A-Za-z0-9_.-]{0,63})(?=[\s>/])")
_SLICE = 1 << 16
#: What people write where they left lines out.
_ELIDED = ("...", "[...]", "(...)", "…")


#: What a document that is cut may have had behind the cut: everything.
BEHIND_A_CUT: tuple[Unseen, ...] = ("gpus", "nics", "paths")


class Element:
    """One element; ``text`` is what stands directly in it."""

    __slots__ = ("attributes", "children", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Element] = []
        self.text = ""

    def get(self, name: str) -> str:
        """An attribute; empty where it is not given."""
        return self.attributes.get(name, "")

    def all(self, tag: str) -> list["Element"]:
        """The children of this name."""
        return [child for child in self.children if child.tag == tag]

    def find(self, path: str) -> "Element | None":
        """The first descendant along ``a/b/c``."""
        here: Element | None = self
        for tag in path.split("/"):
            here = next((child for child in here.children if child.tag == tag), None) if here else None
        return here

    def value(self, path: str) -> str:
        """The text of the first descendant along ``a/b/c``; empty where there is none, and for ``N/A``."""
        found = self.find(path)
        text = found.text.strip() if found else ""
        return "" if text in ("N/A", "[N/A]", "Not Supported") else text

    def unwrap(self) -> None:
        """Take out of all values the blanks that line ends became: for tools whose values have none."""
        todo = [self]
        while todo:
            element = todo.pop()
            todo += element.children
            element.attributes = {name: "".join(value.split()) for name, value in element.attributes.items()}


class Document(NamedTuple):
    """A root, and why the rest of it could not be read."""

    root: Element
    cut: str | None
    more: int = 0
    """How many elements of the root's name follow it."""


class _Unbounded(Exception):
    """The document is larger or deeper than any tool writes."""


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self.open: list[Element] = []
        self.count = 0
        self.elided = False

    @property
    def complete(self) -> bool:
        return self.root is not None and not self.open

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.complete:
            return
        if self.count > _MOST_ELEMENTS or len(self.open) >= _DEEPEST:
            raise _Unbounded(f"more than {_MOST_ELEMENTS} elements, or nested deeper than {_DEEPEST}")
        element = Element(tag, attributes)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def end(self, _tag: str) -> None:
        if self.open:
            self.open.pop()

    def text(self, data: str) -> None:
        self.elided |= data.strip() in _ELIDED
        if self.open and len(self.open[-1].text) < _SLICE:
            self.open[-1].text += data


def root_of(given: Given, tags: frozenset[str]) -> str:
    """Which of ``tags`` the text has as an element, the first in it; empty where none."""
    if "<" not in given.text:
        return ""
    return next((match[1] for match in _ROOT.finditer(given.text) if match[1] in tags), "")


def parse(given: Given, tag: str) -> Document:
    """The first element of this name with everything in it.

    Raises:
        ParseError: the document is not one that a tool writes.
    """
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    cut = None
    try:
        _feed(parser, builder, given.text, given.text.index(f"<{tag}"))
    except expat.ExpatError as error:
        cut = f"not well-formed behind line {error.lineno}, column {error.offset}: the input is cut or damaged"
    except _Unbounded as error:
        raise given.refused(str(error), f"an XML document <{tag}>") from None
    if builder.elided and cut is None:
        cut = "lines are left out of it"
    if builder.root is None:
        raise given.refused("an unreadable start tag", f"an XML document <{tag}>")
    return Document(builder.root, cut, len(re.findall(rf"<{tag}[\s>]", given.text)) - 1)


def _feed(parser: expat.XMLParserType, builder: _Builder, text: str, start: int) -> None:
    """From the root on, until its end: a log goes on behind it. The prologue with its DOCTYPE is left out."""
    for position in range(start, len(text), _SLICE):
        try:
            parser.Parse(text[position : position + _SLICE], False)  # noqa: FBT003 - expat takes no keywords
        except expat.ExpatError:
            if builder.complete:
                return
            raise
        if builder.complete:
            return
    parser.Parse("", True)  # noqa: FBT003 - as above
