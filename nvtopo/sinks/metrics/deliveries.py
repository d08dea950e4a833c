"""Whether the labels and objects that others read are those of the latest reading, on the metrics page."""

from collections.abc import Iterator, Mapping

from nvtopo.sinks.metrics.series import Family, declared, gauge

DELIVERED = gauge(
    "nvtopo_sink_up",
    "1 where the sink has what it was last given; 0 while it can't be written, and what is there gets old.",
    ("sink",),
    source="the last write of the feature file (nfd) and of each object at the API server",
)
SERIES = declared(globals())


def families(delivered: Mapping[str, bool]) -> Iterator[Family]:
    """One series for each sink, by its name."""
    family = Family(DELIVERED)
    for sink, up in delivered.items():
        family.add(int(up), sink)
    yield family
