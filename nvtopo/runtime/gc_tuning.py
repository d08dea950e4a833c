"""Garbage collection of long-running verbs."""

import gc
from typing import Final

#: Python's own: allocations less deallocations of one generation, then collections of it before the next one's turn.
_THRESHOLDS: Final = (700, 10, 10)


def freeze_startup() -> None:
    """Turn on garbage collection, which start-up turned off, and exempt all objects made so far from it.

    Without collection, tens of thousands of cycles of failed requests would pile up in memory (bench/soak).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def freeze_settled() -> None:
    """Exempt what has been made since then too: what stays for long costs each collection a walk over all of it."""
    gc.collect(1)
    gc.freeze()
