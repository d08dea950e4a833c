"""CPU seconds that do not depend on whose machine it is, and how busy it is: measured beside a reference."""

import gc
import time
from collections.abc import Callable
from typing import Any

REFERENCE_SECONDS = 0.075
"""What the reference takes on a common machine that is not busy."""


def _reference() -> None:
    sum(len(str(number)) for number in range(500_000))


def _cpu_seconds(what: Callable[[], Any]) -> float:
    gc.disable()  # as timeit does: what else the process holds is no part of it
    try:
        began = time.process_time()
        what()
        return time.process_time() - began
    finally:
        gc.enable()


def seconds(what: Callable[[], Any]) -> float:
    """The CPU seconds that this takes on a common machine: the better of two tries, each between two references."""
    return min(_once(what) for _try in range(2))


def _once(what: Callable[[], Any]) -> float:
    before, took, after = _cpu_seconds(_reference), _cpu_seconds(what), _cpu_seconds(_reference)
    return took / (before + after) * 2 * REFERENCE_SECONDS
