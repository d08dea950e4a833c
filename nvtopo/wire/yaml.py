"""YAML that others wrote → records: files, and the annotation of a gang. On every other wire we speak JSON.

What PyYAML would take hours or gigabytes for is refused before it builds anything: its parser's events are counted,
with all that aliases stand for, which a few lines can make more than any machine holds.
"""

import importlib.util
import sys
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from nvtopo.errors import ParseError
from nvtopo.wire.documents import reason

T = TypeVar("T")


class Limits(NamedTuple):
    """How much YAML is read: PyYAML makes a megabyte a second of it."""

    most_bytes: int
    most_values: int
    """Those that aliases stand for included."""


#: `kubectl get ntopo -o yaml` of a large node is 100 kB.
MOST_BYTES: Final = 1 << 20
ONE: Final = Limits(MOST_BYTES, 50_000)
MANY: Final = Limits(4 * MOST_BYTES, 200_000)
NEEDED: Final = f"YAML needs PyYAML ({sys.executable} -m pip install PyYAML); JSON does not"
_DEEPEST: Final = 64
#: What PyYAML's constructors raise beside its own error: an impossible date, a number without digits or of 5,000.
_RAISED: Final = (ValueError, OverflowError, LookupError, AttributeError, TypeError, RecursionError)


def read(content: bytes, kind: type[T], expected: str, subject: str, *, limits: Limits = ONE) -> T:
    """The document; fields that the kind does not have are skipped.

    Raises:
        ParseError: it is none, is larger than any that people write, or PyYAML is not installed.
    """
    if importlib.util.find_spec("yaml") is None:
        raise ParseError(f"{subject}: {NEEDED}")
    if len(content) > limits.most_bytes:
        most = f"{limits.most_bytes >> 20} MiB"
        raise ParseError(f"{subject}: expected {expected}: more than {most} of YAML; JSON may be larger")
    import yaml

    try:
        _bounded(content, limits.most_values)
        return msgspec.yaml.decode(content, type=kind)
    except (yaml.YAMLError, *_RAISED) as error:
        raise ParseError(f"{subject}: expected {expected}: {reason(error)}") from error


def _bounded(content: bytes, most_values: int) -> None:
    """Raise ValueError for a document that says more than people write."""
    size = _Size(most_values)
    for event in _events(content):
        size.add(event)


class _Size:
    """How many values a document says, those that its aliases stand for included."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values = 0
        self._open: list[tuple[str | None, int]] = []
        self._of_anchors: dict[str, int] = {}

    def add(self, event: Any) -> None:
        """Count one event of the parser; ValueError once they are too many."""
        import yaml

        if isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self._open.pop()
            self._define(anchor, self._values - before)
        elif isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent):
            _refuse_tag(event.tag)
            self._values += 1
            if isinstance(event, yaml.ScalarEvent):
                self._define(event.anchor, 1)
            else:
                self._open.append((event.anchor, self._values - 1))
        if self._values > self._most:
            raise ValueError(f"more than {self._most} values, those of aliases included")
        if len(self._open) > _DEEPEST:
            raise ValueError(f"values nested deeper than {_DEEPEST} levels")

    def _alias(self, anchor: str | None) -> None:
        if anchor is None or anchor not in self._of_anchors:
            raise ValueError(f"an alias *{anchor} that nothing before it defines")
        self._values += self._of_anchors[anchor]

    def _define(self, anchor: str | None, values: int) -> None:
        if anchor is not None:
            self._of_anchors[anchor] = values


def _events(content: bytes) -> Iterator[Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    events: Iterator[Any] = yaml.parse(content, Loader=loader)
    return events


def _refuse_tag(tag: str | None) -> None:
    if tag not in (None, "!"):
        raise ValueError("a tag (!…), which no such document has")
