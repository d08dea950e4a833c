"""The line that the NVML worker prints, as records; apart from ``nvml``, which starts the worker without the model."""

import msgspec

from nvtopo.model.facts import NvmlFacts
from nvtopo.model.record import Problem, Record
from nvtopo.sources.machine import NvmlReading


class _Answer(Record, frozen=True, kw_only=True):
    facts: NvmlFacts | None = None
    problems: tuple[Problem, ...] = ()


_DECODER = msgspec.json.Decoder(_Answer)


def parse(line: bytes) -> NvmlReading:
    """What the worker found; ``msgspec.DecodeError`` where that can't be read."""
    answer = _DECODER.decode(line)
    return NvmlReading(answer.facts, answer.problems)


def failed(reason: str) -> NvmlReading:
    """No answer, and why."""
    return NvmlReading(None, (Problem(source="nvml", subject="driver", reason=reason),))
