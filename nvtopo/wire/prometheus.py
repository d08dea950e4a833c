"""Answers of Prometheus' HTTP API to an instant query: ``/api/v1/query``."""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from nvtopo.errors import ParseError
from nvtopo.wire.documents import Json, one_line

#: 100,000 nodes have 8 MB.
MOST_BYTES: Final = 16 << 20
MOST_SERIES: Final = 100_000
_EXPECTED: Final = "Prometheus' answer to an instant query"


class _Series(msgspec.Struct, frozen=True):
    metric: dict[str, str]
    value: tuple[float, str]


class _Kind(msgspec.Struct, frozen=True, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _Answer(msgspec.Struct, frozen=True):
    status: str
    data: _Kind | None = None
    error: str = ""


_ANSWER: Final = Json(_Answer, _EXPECTED, most_bytes=MOST_BYTES, has_raw=True)
_VECTOR: Final = Json(list[_Series], "an instant vector", most_bytes=MOST_BYTES)


class Vector(NamedTuple):
    """The value of each node."""

    values: Mapping[str, float]
    """Node → its value, which is a finite number."""
    unclear: int
    """Series without the label, with no finite value, or of a node that has several."""


class Sample(NamedTuple):
    """One series at the moment of the query."""

    labels: Mapping[str, str]
    at: float
    """When it was evaluated, in Unix seconds by Prometheus' clock."""
    value: float


def query_url(server: str, query: str) -> str:
    """Where a query is answered."""
    return f"{api_url(server)}?{urlencode({'query': query})}"


def api_url(server: str) -> str:
    """Where queries are posted to, as ``form``."""
    return f"{server.rstrip('/')}/api/v1/query"


def form(query: str, seconds: float) -> bytes:
    """A query that may be longer than a URL, with the time after which the server gives it up."""
    return urlencode({"query": query, "timeout": f"{max(1, round(seconds))}s"}).encode()


def vector(content: bytes, label: str, subject: str) -> Vector:
    """The values by a label that names the node.

    Raises:
        ParseError: it is no answer with an instant vector, or has too many series.
    """
    return _by_node(_series(content, subject), label)


def samples(content: bytes, subject: str) -> list[Sample]:
    """Every series with a finite value and all of its labels.

    Raises:
        ParseError: as ``vector``.
    """
    read = ((one.metric, one.value[0], _number(one.value[1])) for one in _series(content, subject))
    return [Sample(labels, at, value) for labels, at, value in read if value is not None and math.isfinite(at)]


def _series(content: bytes, subject: str) -> list[_Series]:
    answer = _ANSWER.read(content, subject)
    if answer.status != "success" or answer.data is None:
        raise ParseError(f"{subject}: {one_line(answer.error or f'status {answer.status}')}")
    if answer.data.result_type != "vector":
        kind = one_line(answer.data.result_type)
        raise ParseError(f"{subject}: expected an instant vector with one series for each node, got {kind}")
    series = _VECTOR.read(answer.data.result, subject)
    if len(series) > MOST_SERIES:
        raise ParseError(f"{subject}: expected at most {MOST_SERIES} series, got {len(series)}")
    return series


def _by_node(series: list[_Series], label: str) -> Vector:
    values: dict[str, float | None] = {}
    several: set[str] = set()
    unclear = 0
    for one in series:
        node, value = one.metric.get(label, ""), _number(one.value[1])
        if not node or value is None or node in values:
            unclear += 1
        if node in values:
            several.add(node)
        if node:
            values[node] = value
    clear = {node: value for node, value in values.items() if value is not None and node not in several}
    return Vector(clear, unclear)


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
