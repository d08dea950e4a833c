"""Sets as hexadecimal masks: ``0x00000303,,0x03030303`` in hwloc, ``00000000,ffffffff`` in NCCL's XML and in sysfs."""

import re

from nvtopo.model.formats.cpulist import format_cpulist

_WORD = re.compile(r"(?:0x)?([0-9a-fA-F]{0,8})")
#: NCCL cuts masks of about 900 CPUs; 65,536 are more than any machine has.
_MOST_WORDS = 2048
_WORD_BITS = 32


def members(mask: str) -> tuple[int, ...]:
    """The bits that are set, ascending. None where it is no mask; words may be short, and empty for zero."""
    words = [_WORD.fullmatch(word) for word in mask.strip().split(",")[: _MOST_WORDS + 1]]
    if not mask.strip() or len(words) > _MOST_WORDS:
        return ()
    found: list[int] = []
    for position, word in enumerate(reversed(words)):
        if word is None:
            return ()
        bits = int(word[1] or "0", 16)
        found += [position * _WORD_BITS + bit for bit in range(_WORD_BITS) if bits >> bit & 1]
    return tuple(found)


def cpulist(mask: str) -> str:
    """The set in the kernel's list format; empty if it is not a mask."""
    return format_cpulist(members(mask))
