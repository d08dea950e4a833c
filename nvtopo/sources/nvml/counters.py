"""The lines of the counters worker: requests and answers."""

from typing import Final

from nvtopo.errors import ParseError
from nvtopo.model.records.record import Record
from nvtopo.model.samples.gpu_counters import GpuSample
from nvtopo.runtime.worker_policy import Failure
from nvtopo.wire.documents import Json

TRAFFIC: Final = b"traffic\n"
#: The same, and errors, heat, power and limits.
HEALTH: Final = b"health\n"


class CounterLine(Record, frozen=True, kw_only=True):
    """One line of the worker."""

    gpus: tuple[GpuSample, ...] = ()
    lost: int = 0
    """GPUs that the driver counts and that do not answer."""
    failed: tuple[str, ...] = ()
    """What GPUs that do answer failed to say: ``GPU2: nvmlDeviceGetPowerUsage: Unknown Error``."""
    driver: str | None = None
    """Why the driver did not start."""


_ANSWER: Final = Json(CounterLine, "an answer")


def decode(line: bytes) -> CounterLine | Failure:
    """The answer; or the failure, after which this worker must be replaced."""
    try:
        answer = _ANSWER.read(line)
    except ParseError as error:
        return Failure("garbled", f"answer that can't be read: {error}")
    return answer if answer.driver is None else Failure("driver", answer.driver)
