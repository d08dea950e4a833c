"""Names of files and devices may be any bytes; records are text, since JSON and metrics are."""

from typing import Any

import msgspec

from nvtopo.model.records.record import Problem
from nvtopo.sources.machine import Reading


def as_text(reading: Reading) -> Reading:
    """The same with U+FFFD in place of bytes that are no UTF-8; nearly always it is the reading itself."""
    try:
        msgspec.json.encode((reading.facts, reading.problems))
    except UnicodeEncodeError:
        facts: Any = reading.facts
        if facts is not None:
            facts = msgspec.convert(_plain(msgspec.to_builtins(facts)), _kind(facts))
        problems = msgspec.convert(_plain(msgspec.to_builtins(reading.problems)), tuple[Problem, ...])
        return reading._replace(facts=facts, problems=problems)
    return reading


def _kind(facts: Any) -> Any:
    return type(facts) if isinstance(facts, msgspec.Struct) else dict[str, Any]


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
