"""Traces of gangs from CSV: our own columns, and those of two public traces. The header tells which it is.

``openb``: the pod list of Alibaba's 2023 GPU trace. It has no gangs, so they are formed: pods with whole GPUs, in the
order of their creation, and of equal ``num_gpu``, are put together ``k`` at a time; ``k`` is drawn from ``_TOGETHER``.
The gang arrives with the first of them and runs as long as the longest. ``tiresias``: one job a line, a pod per GPU.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from math import isfinite
from typing import Final, NamedTuple, Protocol

from nvtopo.errors import ParseError
from nvtopo.model.formats.printable import printable
from nvtopo.wire.documents import utf8

MOST_BYTES: Final = 64 << 20
MOST_GANGS: Final = 200_000
_MOST_PODS: Final = 100_000
_MOST_GPUS: Final = 64
_MOST_SECONDS: Final = 1e10
_WHOLE: Final = "1000"
#: Pods of a gang that are formed, drawn with equal chances.
_TOGETHER: Final = (1, 1, 1, 1, 2, 2, 4, 8)
_LONGEST_SHOWN: Final = 40


class Gang(NamedTuple):
    """Pods of equal size that start together and end together."""

    name: str
    arrival: float
    """Seconds since the trace began."""
    pods: int
    gpus: int
    """GPUs of each pod."""
    duration: float

    @property
    def ranks(self) -> int:
        """Number of GPUs of all pods together: one rank each."""
        return self.pods * self.gpus


class Draw(Protocol):
    """Where chance comes from: ``random.Random`` with a seed."""

    def random(self) -> float:
        """A number from 0 up to 1."""
        ...  # pragma: no cover


class _Row(NamedTuple):
    cells: Mapping[str, str | None]
    where: str

    def whole(self, column: str, least: int, most: int) -> int:
        cell = self._cell(column)
        if cell.isascii() and cell.isdigit() and len(cell) <= len(str(most)) and least <= int(cell) <= most:
            return int(cell)
        raise self._unexpected(column, f"a whole number from {least} to {most}", cell)

    def seconds(self, column: str) -> float:
        cell = self._cell(column)
        try:
            found = float(cell)
        except ValueError:
            found = -1.0
        if not isfinite(found) or not 0 <= found <= _MOST_SECONDS:
            raise self._unexpected(column, f"seconds from 0 to {_MOST_SECONDS:.0e}", cell)
        return found

    def _cell(self, column: str) -> str:
        return (self.cells.get(column) or "").strip()

    def _unexpected(self, column: str, expected: str, cell: str) -> ParseError:
        return ParseError(f"{self.where}: {column}: expected {expected}, got {printable(cell[:_LONGEST_SHOWN])!r}")


def parse(content: bytes, source: str, draw: Draw) -> tuple[Gang, ...]:
    """The gangs of a trace, by arrival; the first one arrives at 0.

    Raises:
        ParseError: it is none.
    """
    reader = csv.DictReader(StringIO(utf8(content, source).removeprefix("\ufeff"), newline=""))
    try:
        columns = {*(reader.fieldnames or ())}
        kind = next((found for needed, found in _KINDS.items() if {*needed} <= columns), None)
        if kind is None:
            raise ParseError(
                f"{source}: expected CSV with the columns arrival, duration and gpus (or pods and gpus_per_pod), or "
                "the pod list of the 2023 GPU trace, or a Tiresias job list"
            )
        rows = (_Row(cells, f"{source}: line {reader.line_num}") for cells in reader)
        gangs = list(_at_most(kind(rows, draw), source))
    except csv.Error as error:
        raise ParseError(f"{source}: line {reader.line_num}: {error}") from error
    if not gangs:
        raise ParseError(f"{source}: expected at least one gang, got none")
    gangs.sort(key=lambda gang: gang.arrival)
    first = gangs[0].arrival
    return tuple(gang._replace(arrival=gang.arrival - first) for gang in gangs)


def _at_most(gangs: Iterator[Gang], source: str) -> Iterator[Gang]:
    for number, gang in enumerate(gangs):
        if number >= MOST_GANGS:
            raise ParseError(f"{source}: expected at most {MOST_GANGS} gangs, got more")
        yield gang


def _ours(rows: Iterator[_Row], _draw: Draw) -> Iterator[Gang]:
    for number, row in enumerate(rows):
        pods = row.whole("gpus", 1, _MOST_PODS)
        yield Gang(str(number), row.seconds("arrival"), pods, 1, row.seconds("duration"))


def _ours_of_pods(rows: Iterator[_Row], _draw: Draw) -> Iterator[Gang]:
    for number, row in enumerate(rows):
        pods, gpus = row.whole("pods", 1, _MOST_PODS), row.whole("gpus_per_pod", 1, _MOST_GPUS)
        yield Gang(str(number), row.seconds("arrival"), pods, gpus, row.seconds("duration"))


def _tiresias(rows: Iterator[_Row], _draw: Draw) -> Iterator[Gang]:
    for number, row in enumerate(rows):
        pods = row.whole("num_gpu", 1, _MOST_PODS)
        yield Gang(str(number), row.seconds("submit_time"), pods, 1, row.seconds("duration"))


def _openb(rows: Iterator[_Row], draw: Draw) -> Iterator[Gang]:
    """See the module. Pods without a GPU, with a part of one, or that ended before they began, are left out."""
    pods: list[tuple[float, int, float]] = []
    for row in rows:
        gpus = row.whole("num_gpu", 0, _MOST_GPUS)
        if gpus and row.cells.get("gpu_milli") == _WHOLE and row.cells.get("deletion_time"):
            created, deleted = row.seconds("creation_time"), row.seconds("deletion_time")
            if deleted > created:
                pods.append((created, gpus, deleted - created))
    wanted: dict[int, int] = {}
    together: dict[int, list[tuple[float, float]]] = {}
    number = 0
    for created, gpus, duration in sorted(pods):
        size = wanted.setdefault(gpus, _TOGETHER[int(draw.random() * len(_TOGETHER))])
        some = together.setdefault(gpus, [])
        some.append((created, duration))
        if len(some) == size:
            yield _formed(number, gpus, some)
            number += 1
            del wanted[gpus], together[gpus]
    for gpus, some in together.items():
        yield _formed(number, gpus, some)
        number += 1


def _formed(number: int, gpus: int, pods: list[tuple[float, float]]) -> Gang:
    return Gang(str(number), pods[0][0], len(pods), gpus, max(duration for _created, duration in pods))


_KINDS: Final[Mapping[tuple[str, ...], Callable[[Iterator[_Row], Draw], Iterator[Gang]]]] = {
    ("arrival", "duration", "pods", "gpus_per_pod"): _ours_of_pods,
    ("arrival", "duration", "gpus"): _ours,
    ("num_gpu", "gpu_milli", "creation_time", "deletion_time"): _openb,
    ("num_gpu", "submit_time", "duration"): _tiresias,
}
