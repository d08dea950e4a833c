"""What the latest observation says, on the agent's metrics page: rendered at the scrape, read before it.

Base units, one direction a series, labels ``gpu``/``UUID`` as dcgm-exporter and ``device``/``port`` as node_exporter
spell them. What the machine does not have, or could not be read, has no series.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from nvtopo import __version__
from nvtopo.model.observation import Observation
from nvtopo.model.records.record import Problem
from nvtopo.sinks.metrics import fabric, health, links, nics, pairs, versions
from nvtopo.sinks.metrics.series import Family, Part, declared, facts, gauge, info, one

BUILD = info(
    "nvtopo_build_info",
    "The version of the agent, as a label; the value is always 1.",
    ("version",),
    source="the package",
)
OBSERVED = gauge(
    "nvtopo_observation_timestamp_seconds",
    "When the agent last read the machine, in Unix seconds.",
    source="the clock",
    absent="the first reading has not finished",
)
DURATION = gauge(
    "nvtopo_observation_duration_seconds",
    "How long the latest reading of the machine took, in seconds.",
    source="the clock",
    absent="the first reading has not finished",
)
SOURCE_DURATION = gauge(
    "nvtopo_source_duration_seconds",
    "How long each source took in the latest reading, in seconds from start to answer. Sources overlap: NVML "
    "answers while the others read.",
    ("source",),
    source="the clock",
    absent="the first reading has not finished",
)
PROBLEMS = gauge(
    "nvtopo_problems",
    "Number of facts that the agent should be able to read and could not, by source.",
    ("source",),
    source="the problems of the latest reading and of the scrape's own readings",
    absent="there is no problem",
)
SERIES = declared(globals())

T = TypeVar("T")


def families(observation: Observation) -> Iterator[Family]:
    """All that follows from one observation."""
    snapshot, node, derived = observation.snapshot, observation.topology, observation.derived
    yield one(OBSERVED, observation.at_seconds)
    yield one(DURATION, observation.seconds)
    durations = Family(SOURCE_DURATION)
    for source, seconds in observation.source_seconds.items():
        durations.add(seconds, source)
    yield durations
    yield from versions.families(snapshot)
    yield from health.families(node, derived)
    yield from links.families(snapshot, node)
    yield from pairs.families(node, derived)
    yield from fabric.families(snapshot, derived)
    yield from nics.families(node, derived)


def problems_of(problems: Iterable[Problem]) -> Family:
    """How many there are, by source."""
    family = Family(PROBLEMS)
    for source, count in sorted(Counter(problem.source for problem in problems).items()):
        family.add(count, source)
    return family


def once_for_each(latest: Callable[[], Observation | None], make: Callable[[Observation], T]) -> Callable[[], T | None]:
    """What follows from the latest observation, made when the first scrape after it asks; None before the first."""
    known: tuple[Observation, T] | None = None

    def now() -> T | None:
        nonlocal known
        observation, kept = latest(), known
        if observation is None:
            return None
        if kept is None or kept[0] is not observation:
            kept = known = observation, make(observation)
        return kept[1]

    return now


def part(latest: Callable[[], Observation | None], beside: Callable[[], Iterable[Problem]] = tuple) -> Part:
    """The part of the page that is the latest observation; before the first there is little more than build info.

    ``beside`` gives the problems of what is read beside the observation.
    """
    observed = once_for_each(latest, lambda observation: (observation.topology.problems, list(families(observation))))

    def now() -> Iterator[Family]:
        yield facts(BUILD, [(__version__,)])
        problems, known = observed() or ((), [])
        yield problems_of((*problems, *beside()))
        yield from known

    return now
