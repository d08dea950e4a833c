"""A small XML writer: elements, attributes and text, all escaped.

Names come from other machines: what XML does not allow at all (most control characters) becomes U+FFFD.
"""

import re
from typing import Final, NamedTuple

_ILLEGAL: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENTITIES: Final = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}
_TABLE: Final = str.maketrans(_ENTITIES)


class Element(NamedTuple):
    """One element. ``text`` stands before its children."""

    tag: str
    attributes: dict[str, str]
    children: list["Element"]
    text: str = ""

    @property
    def size(self) -> int:
        """How many elements this is, with those in it."""
        return 1 + sum(child.size for child in self.children)


def escaped(text: str) -> str:
    """``text`` escaped for XML, both between tags and in quotes of either kind."""
    return _ILLEGAL.sub("\ufffd", text).translate(_TABLE)


def text_of(element: Element) -> str:
    """The element as a document, one tag a line."""
    return "".join(f"{line}\n" for line in _lines(element, ""))


def _lines(element: Element, indent: str) -> list[str]:
    attributes = "".join(f' {name}="{escaped(value)}"' for name, value in element.attributes.items())
    start = f"{indent}<{element.tag}{attributes}"
    if not element.children:
        end = f">{escaped(element.text)}</{element.tag}>" if element.text else "/>"
        return [start + end]
    inner = [line for child in element.children for line in _lines(child, indent + "  ")]
    return [f"{start}>{escaped(element.text)}", *inner, f"{indent}</{element.tag}>"]
