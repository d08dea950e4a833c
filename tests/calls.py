"""How much Python a piece of work runs: function calls, the same number on every machine, however busy it is.

What work costs in seconds is for ``bench/``; a test asks whether it grows as it should.
"""

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Self


class Calls:
    """How often functions of Python and of C are called in this thread while the block lasts, or one function alone."""

    def __init__(self, function: Any = None) -> None:
        """``function``: this one of Python, whoever imported it."""
        self.count = 0
        self._code = None if function is None else function.__code__
        self._collects = False

    def __enter__(self) -> Self:
        self._collects = gc.isenabled()
        gc.disable()  # what others left behind may have finalizers
        sys.setprofile(self._entered if self._code is None else self._entered_one)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        if self._collects:
            gc.enable()

    def _entered(self, _frame: FrameType, event: str, _argument: object) -> None:
        self.count += event in ("call", "c_call")

    def _entered_one(self, frame: FrameType, event: str, _argument: object) -> None:
        self.count += event == "call" and frame.f_code is self._code


def calls(what: Callable[[], Any]) -> int:
    """How many functions are called while this runs."""
    with Calls() as found:
        what()
    return found.count
