"""What was probably meant by a name that is not there."""

from collections.abc import Iterable
from typing import Final

_MOST_NAMED: Final = 2
#: To compare with each of 10,000 names takes a second.
_MOST_COMPARED: Final = 10_000


def hint(typed: str, known: Iterable[str]) -> str:
    """``. Did you mean dump?``, to end a message with; empty if nothing is like it. Case does not count."""
    from difflib import get_close_matches  # nobody mistypes most of the time
    from itertools import islice

    spelt = {name.lower(): name for name in islice(known, _MOST_COMPARED)}
    near = get_close_matches(typed.lower(), spelt, _MOST_NAMED)
    return f". Did you mean {' or '.join(spelt[name] for name in near)}?" if near else ""
