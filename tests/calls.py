"""How much Python a piece of work runs: function calls, the same number on every machine, however busy it is.

What work costs in seconds is for ``bench/``; a test asks whether it grows as it should.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls(what: Callable[[], Any]) -> int:
    """How many functions of Python and of C are called in this thread while this runs."""
    count = 0

    def entered(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(entered)
    try:
        what()
    finally:
        sys.setprofile(None)
    return count
