"""Ways in which people, logs and disks damage a tool's output."""

import gzip
import re
from collections.abc import Callable
from random import Random
from typing import Final

_NUMBER: Final = re.compile(rb"[0-9]+")
_NUMBERS: Final = (b"0", b"-1", b"4294967296", b"99999999999999999999", b"1e308", b"0x7f", b"N/A", b"\xef\xbc\x91")
_SNIPPETS: Final = (
    b"\x1b[4m", b"[0m", b"\xef\xbf\xbd[4m", b"\x00", b"\r\n", b"\t\t", b" " * 80, b"&amp;", b"&x;", b"<!ENTITY x 'y'>",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"]]>", b"GPU0 GPU0", b"NV99", b"NIC1NIC2", b"../../..", b"'", b'"',
)  # fmt: skip
_LARGEST: Final = 1 << 15


def damaged(content: bytes, chance: Random) -> bytes:
    """The content after one to four damages; a packed archive is damaged inside or outside."""
    if content.startswith(b"\x1f\x8b") and chance.random() < 0.7:
        return gzip.compress(damaged(gzip.decompress(content), chance), compresslevel=1)
    for _ in range(chance.randint(1, 4)):
        content = chance.choice(DAMAGES)(content, chance)[:_LARGEST]
    return content


def _place(content: bytes, chance: Random) -> int:
    return chance.randint(0, len(content))


def _cut(content: bytes, chance: Random) -> bytes:
    return content[: _place(content, chance)]


def _beheaded(content: bytes, chance: Random) -> bytes:
    return content[_place(content, chance) :]


def _hole(content: bytes, chance: Random) -> bytes:
    start = _place(content, chance)
    return content[:start] + content[start + chance.randint(1, 40) :]


def _insertion(content: bytes, chance: Random) -> bytes:
    place = _place(content, chance)
    return content[:place] + chance.choice(_SNIPPETS) + content[place:]


def _noise(content: bytes, chance: Random) -> bytes:
    place = _place(content, chance)
    return content[:place] + chance.randbytes(chance.randint(1, 8)) + content[place:]


def _other_number(content: bytes, chance: Random) -> bytes:
    places = list(_NUMBER.finditer(content))
    if not places:
        return content
    match = chance.choice(places)
    return content[: match.start()] + chance.choice(_NUMBERS) + content[match.end() :]


def _lines(change: Callable[[list[bytes], Random], None]) -> Callable[[bytes, Random], bytes]:
    def changed(content: bytes, chance: Random) -> bytes:
        lines = content.split(b"\n")
        change(lines, chance)
        return b"\n".join(lines)

    return changed


def _swap(lines: list[bytes], chance: Random) -> None:
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _repeat(lines: list[bytes], chance: Random) -> None:
    line = chance.randrange(len(lines))
    lines[line:line] = [lines[line]] * chance.choice((1, 2, 300))


def _drop(lines: list[bytes], chance: Random) -> None:
    del lines[chance.randrange(len(lines))]


def _wrap(lines: list[bytes], chance: Random) -> None:
    width = chance.randint(10, 120)
    lines[:] = [line[at : at + width] for line in lines for at in range(0, max(len(line), 1), width)]


def _prefix(lines: list[bytes], chance: Random) -> None:
    mark = chance.choice((b"> ", b"INFO 2025-01-01T00:00:00Z ", b"[pod/a-0] ", b"| "))
    lines[:] = [mark + line for line in lines]


def _no_tabs(content: bytes, _chance: Random) -> bytes:
    return content.replace(b"\t", b" ")


DAMAGES: Final[tuple[Callable[[bytes, Random], bytes], ...]] = (
    _cut,
    _beheaded,
    _hole,
    _insertion,
    _noise,
    _other_number,
    _lines(_swap),
    _lines(_repeat),
    _lines(_drop),
    _lines(_wrap),
    _lines(_prefix),
    _no_tabs,
)
