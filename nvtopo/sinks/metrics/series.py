"""A metric family, declared once as data: its name, what it means, where its value comes from, and when it is absent.

The page, ``docs/metrics.md`` and the tests read the same declarations. A family on a page is a declaration and its
samples; a value that is not known makes no sample, and a family without samples is not on the page.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "info"]

GPU = ("gpu", "UUID")
"""As dcgm-exporter labels a GPU: NVML's index, and its UUID."""
LINK = (*GPU, "link", "remote")
"""One NVLink of a GPU, and what is on its other side: ``gpu``, ``switch``, ``npu``."""


class Series(NamedTuple):
    """The declaration of one family."""

    name: str
    """As it stands on the page: base unit in the name, counters end in ``_total``, facts in ``_info``."""
    kind: Kind
    words: str
    """The page's HELP."""
    labels: tuple[str, ...]
    source: str
    """The call, field or file that is read, or what it is concluded from."""
    absent: str
    """When there is no series although the agent runs."""


def gauge(name: str, words: str, labels: tuple[str, ...] = (), *, source: str, absent: str = "never") -> Series:
    """What goes up and down."""
    return Series(name, "gauge", words, labels, source, absent)


def counter(name: str, words: str, labels: tuple[str, ...] = (), *, source: str, absent: str = "never") -> Series:
    """What only goes up, until what counts is started anew."""
    return Series(name, "counter", words, labels, source, absent)


def info(name: str, words: str, labels: tuple[str, ...] = (), *, source: str, absent: str = "never") -> Series:
    """Facts as labels of a series that is always 1."""
    return Series(name, "info", words, labels, source, absent)


def declared(namespace: Mapping[str, object]) -> tuple[Series, ...]:
    """The declarations that are constants of a module, in its order."""
    return tuple(value for value in namespace.values() if isinstance(value, Series))


class Family:
    """A declaration and its samples."""

    __slots__ = ("samples", "series")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.samples: list[tuple[str, float]] = []
        """Labels as the page spells them, braces and all; and the value."""

    def add(self, value: float | None, *labels: str) -> None:
        """One sample, its labels in the declaration's order; none where the value is not known."""
        if value is not None:
            self.samples.append((label_text(self.series.labels, labels), value))


Families = Iterable[Family]
Part = Callable[[], Families]
"""A part of a page: what it has at this moment. It neither waits nor fails."""


def one(series: Series, value: float | None, *labels: str) -> Family:
    """A family of one sample, or of none."""
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
    name, kind, words = family.series.name, family.series.kind, family.series.words
    if openmetrics:
        head = name.removesuffix("_total" if kind == "counter" else "_info")
    else:
        head, kind = name, "gauge" if kind == "info" else kind
    yield f"# HELP {head} {words}\n# TYPE {head} {kind}\n"
    for labels, value in family.samples:
        yield f"{name}{labels} {value}\n"


@lru_cache(maxsize=1 << 14)
def label_text(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """``{gpu="0",link="3"}``: the same few thousand at every scrape. An empty value is a label that is not there."""
    pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True) if value]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
