"""Whether the labels and objects that others read are those of the latest reading, on the metrics page."""

from collections.abc import Iterator, Mapping

from nvtopo.sinks.metrics.series import Family, declared, gauge

DELIVERED = gauge(
    "nvtopo_sink_up",
    "1 if the sink holds the latest data that it was given, 0 while writing fails and the sink's data gets old.",
    ("sink",),
    source="the last write of the feature file (nfd) and of each object in the API server",
)
SERIES = declared(globals())


def families(delivered: Mapping[str, bool]) -> Iterator[Family]:
    """One series for each sink, by its name."""
    family = Family(DELIVERED)
    for sink, up in delivered.items():
        family.add(int(up), sink)
    yield family
