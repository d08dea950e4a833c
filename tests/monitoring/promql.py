"""Which series and labels PromQL names: enough of its grammar for our own rules and dashboards."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_CLAUSE: Final = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_RANGE: Final = re.compile(r"\[[^\]]*\]")
#: Series whose names have no underscore; all of ours have, and PromQL's own words have none.
_SHORT: Final = frozenset({"up", "ALERTS"})


class Use(NamedTuple):
    """A series as a query names it."""

    name: str
    labels: frozenset[str]
    """Of its matchers."""


def uses(query: str) -> Iterator[Use]:
    """Every series that the query selects."""
    bare = _RANGE.sub("", _CLAUSE.sub(" ", _STRING.sub('""', query)))
    for match in _SELECTOR.finditer(bare):
        name, matchers = match[1], match[2]
        called = bare[match.end() :].lstrip().startswith("(") and matchers is None
        if ("_" in name or name in _SHORT) and not called:
            yield Use(name, frozenset(_MATCHER.findall(matchers or "")))


def clause_labels(query: str) -> frozenset[str]:
    """Every label that the query groups or joins by."""
    found = (label.strip() for match in _CLAUSE.finditer(_STRING.sub('""', query)) for label in match[2].split(","))
    return frozenset(label for label in found if label)
