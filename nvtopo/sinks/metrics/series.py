"""A metric family, declared once as data: its name, what it means, where its value comes from, and when it is absent.

The page, ``docs/metrics.md`` and the tests read the same declarations. A family on a page is a declaration and its
samples. An unknown value gives no sample, and a family without samples is left out of the page.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "info"]

GPU = ("gpu", "UUID")
"""The labels of a GPU as in dcgm-exporter: NVML's index, and the UUID."""
LINK = (*GPU, "link", "remote")
"""One NVLink of a GPU, and what is at its other end: ``gpu``, ``switch``, ``npu``."""
NEVER: Final = "never"
"""The absence of a series that every page has."""


class Series(NamedTuple):
    """The declaration of one family."""

    name: str
    """The full name on the page: with its base unit; counters end in ``_total``, facts in ``_info``."""
    kind: Kind
    words: str
    """What it says and in which unit: the first sentences of the page's HELP."""
    labels: tuple[str, ...]
    source: str
    """The call, field or file that is read, or what the value is derived from."""
    absent: str
    """When there is no series although the agent runs: a clause that follows "when", or ``never``."""

    @property
    def help(self) -> str:
        """The page's HELP: what it says, and when it is absent."""
        return self.words if self.absent == NEVER else f"{self.words} Absent when {self.absent}."


def gauge(name: str, words: str, labels: tuple[str, ...] = (), *, source: str, absent: str = NEVER) -> Series:
    """Declare a gauge: a value that goes up and down."""
    return Series(name, "gauge", words, labels, source, absent)


def counter(name: str, words: str, labels: tuple[str, ...] = (), *, source: str, absent: str = NEVER) -> Series:
    """Declare a counter: a value that only goes up, and starts again at 0 when its source restarts."""
    return Series(name, "counter", words, labels, source, absent)


def info(name: str, words: str, labels: tuple[str, ...] = (), *, source: str, absent: str = NEVER) -> Series:
    """Declare an info series: facts as labels, the value always 1."""
    return Series(name, "info", words, labels, source, absent)


def declared(namespace: Mapping[str, object]) -> tuple[Series, ...]:
    """The declarations among a module's constants, in their order."""
    return tuple(value for value in namespace.values() if isinstance(value, Series))


class Family:
    """A declaration and its samples."""

    __slots__ = ("samples", "series")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.samples: list[tuple[str, float]] = []
        """Pairs of label text, braces included, and value."""

    def add(self, value: float | None, *labels: str) -> None:
        """Add one sample, with labels in the declaration's order; add nothing if the value is None."""
        if value is not None:
            self.samples.append((label_text(self.series.labels, labels), value))


Families = Iterable[Family]
Part = Callable[[], Families]
"""One part of a page: returns its families at this moment. It must neither wait nor raise."""


def one(series: Series, value: float | None, *labels: str) -> Family:
    """A family with one sample, or with none if the value is None."""
    family = Family(series)
    family.add(value, *labels)
    return family


def facts(series: Series, rows: Iterable[Sequence[str]]) -> Family:
    """An info family: one sample for each row of label values."""
    family = Family(series)
    for row in rows:
        family.add(1, *row)
    return family


def together(parts: Sequence[Part]) -> Iterator[Family]:
    """All parts of a page, in order."""
    for part in parts:
        yield from part()


def text(families: Families, *, openmetrics: bool = False) -> str:
    """The page in Prometheus' text format 0.0.4, or as OpenMetrics 1.0."""
    parts = [part for family in families if family.samples for part in _family(family, openmetrics=openmetrics)]
    return "".join([*parts, "# EOF\n"] if openmetrics else parts)


def _family(family: Family, *, openmetrics: bool) -> Iterator[str]:
    name, kind = family.series.name, family.series.kind
    if openmetrics:
        head = name.removesuffix("_total" if kind == "counter" else "_info")
    else:
        head, kind = name, "gauge" if kind == "info" else kind
    yield f"# HELP {head} {family.series.help}\n# TYPE {head} {kind}\n"
    for labels, value in family.samples:
        yield f"{name}{labels} {value}\n"


@lru_cache(maxsize=1 << 14)
def label_text(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """``{gpu="0",link="3"}``, without labels whose value is empty. Cached: scrapes repeat the same few thousand."""
    pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True) if value]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
