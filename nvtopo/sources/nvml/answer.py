"""The line that the NVML worker prints, as records; apart from ``nvml``, which starts the worker without the model."""

import msgspec

from nvtopo.errors import ParseError
from nvtopo.model.records.facts import NvmlFacts
from nvtopo.model.records.record import Problem, Record
from nvtopo.sources.machine import NvmlReading
from nvtopo.wire.documents import ANY, Json


class _Answer(Record, frozen=True, kw_only=True):
    facts: NvmlFacts | None = None
    problems: tuple[Problem, ...] = ()


class _Raw(Record, frozen=True, kw_only=True):
    facts: msgspec.Raw = msgspec.Raw(b"null")
    problems: tuple[Problem, ...] = ()


_ANSWER = Json(_Answer, "an answer")
_RAW = Json(_Raw, "an answer")


def parse(line: bytes) -> NvmlReading:
    """What the worker found; a value that can't be is left out, with a problem (``partial``).

    Raises ``ParseError`` if the line is no such answer.
    """
    try:
        answer = _ANSWER.read(line)
    except ParseError:
        return _in_part(line)
    return NvmlReading(answer.facts, answer.problems)


def _in_part(line: bytes) -> NvmlReading:
    from nvtopo.sources.nvml import partial

    raw = _RAW.read(line)
    facts, problems = partial.facts(ANY.read(raw.facts))
    return NvmlReading(facts, (*raw.problems, *problems))


def failed(reason: str) -> NvmlReading:
    """A reading without an answer, with the reason as its problem."""
    return NvmlReading(None, (Problem(source="nvml", subject="driver", reason=reason),))
