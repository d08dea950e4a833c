"""What verbs that stay do once they have started."""

import gc
from typing import Final

#: Python's own: allocations less deallocations of one generation, then collections of it before the next one's turn.
_THRESHOLDS: Final = (700, 10, 10)


def settle() -> None:
    """Collect garbage as Python does, which start-up put off; what start-up made stays, and is not looked at again.

    Put off for good, cycles of failed requests pile up by tens of thousands, and memory with them (bench/soak).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
