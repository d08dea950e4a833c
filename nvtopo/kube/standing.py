"""What the aggregator says of a node, read from the API server's answer to the agent's own write: no request more."""

from typing import Final

import msgspec

from nvtopo.errors import ParseError
from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.standing import Standing
from nvtopo.wire.documents import Bytes, Json


class _Parts(msgspec.Struct):
    accepted: msgspec.Raw = msgspec.Raw()
    learned: msgspec.Raw = msgspec.Raw()


class _Status(msgspec.Struct):
    expected: msgspec.Raw = msgspec.Raw()


class _Object(msgspec.Struct):
    status: msgspec.Raw = msgspec.Raw()


_OBJECT: Final = Json(_Object, "a NodeTopology", has_raw=True)
_STATUS: Final = Json(_Status, "a status", has_raw=True)
_PARTS: Final = Json(_Parts, "what is expected", has_raw=True)
_EXPECTATION: Final = Json(Expectation, "an expectation")


def standing_in(answer: Bytes) -> Standing | None:
    """What stands in ``status.expected`` of a NodeTopology; None if nothing that can be read does.

    An older or newer aggregator, or anybody else, may have written anything there. A part that can't be read takes
    nothing else with it.
    """
    try:
        parts = _PARTS.read(_STATUS.read(_OBJECT.read(answer).status).expected)
    except ParseError:
        return None
    found = Standing(accepted=_expectation(parts.accepted), learned=_expectation(parts.learned))
    return None if found == Standing() else found


def _expectation(part: msgspec.Raw) -> Expectation | None:
    try:
        return _EXPECTATION.read(part)
    except ParseError:
        return None
