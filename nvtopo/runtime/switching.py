"""How threads of a long-running verb share the interpreter."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Python's own is ten times that.
_SECONDS: Final = 0.0005


@contextmanager
def switch_often() -> Iterator[None]:
    """In the block, a thread that computes keeps the interpreter for half a millisecond at a time.

    A thread that answers waits for that after each of its system calls: the longest probe among 1,000 hostile clients
    took half as long (bench/strangers).
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
