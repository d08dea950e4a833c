"""Ways in which a peer that is broken, old or hostile damages JSON, YAML and binary messages."""

import re
from collections.abc import Callable
from random import Random
from typing import Final

from tests.foreign.mutations import damaged as damaged_text

Mutation = Callable[[bytes, Random], bytes]

_VALUE: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null|[\[{]')
#: Each is in the place of one value of a document.
HOSTILE: Final = (
    b"null",
    b"true",
    b"-1",
    b"0",
    b"0.5",
    b"1e999",
    b"-0",
    b"18446744073709551616",
    b"9" * 5000,
    b"1" * 400 + b".5",
    b"NaN",
    b'""',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\\u0000"',
    b'"\x00"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\\u001b]0;x\\u0007"',
    b'"\xe2\x80\xae"',
    b'"' + b"x" * 5000 + b'"',
    b"[]",
    b"{}",
    b"[[[]]]",
    b'{"a":{"b":[1]}}',
    b"[1,2,3]",
    b'{"":0}',
    b'{"\xff":1}',
    b'{"\\ud800":1}',
    b"[" * 100 + b"]" * 100,
    b"[" * 1500 + b"]" * 1500,
    b'{"a":' * 1200 + b"1" + b"}" * 1200,
    b"[" * 3000,
    b'"2026-13-45T99:99:99Z"',
    b'"0001-01-01T00:00:00Z"',
    b'"9999-12-31T23:59:59+23:59"',
    b'"0000:ff:1f.7"',
    b"2001-99-99",
    b"0b_",
    b"._",
    b"*a",
    b"&a [*a]",
    b"!!int ''",
    b"!!python/object/apply:os.system [id]",
    b"<<: 1",
)
_LARGEST: Final = 1 << 15


def damaged(content: bytes, chance: Random) -> bytes:
    """A document after one to three damages: another value for one of its own, or what happens to any text."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        content = (other_value if chance.random() < 0.7 else damaged_text)(content, chance)[:_LARGEST]
    return content


def other_value(content: bytes, chance: Random) -> bytes:
    """Another value for one of the document's."""
    match = _VALUE.search(content, chance.randint(0, len(content)))
    if match is None:
        return content + chance.choice(HOSTILE)
    return content[: match.start()] + chance.choice(HOSTILE) + content[match.end() :]


def damaged_bytes(content: bytes, chance: Random) -> bytes:
    """A binary message after one to four damages."""
    for _ in range(chance.randint(1, 4)):
        place = chance.randint(0, len(content))
        content = chance.choice(_BINARY)(content, place, chance)
    return content[:_LARGEST]


def _flipped(content: bytes, place: int, chance: Random) -> bytes:
    return (
        content[:place]
        + bytes(byte ^ 1 << chance.randrange(8) for byte in content[place : place + 1])
        + content[place + 1 :]
    )


def _replaced(content: bytes, place: int, chance: Random) -> bytes:
    length = chance.randint(1, 6)
    return content[:place] + chance.randbytes(length) + content[place + length :]


def _inserted(content: bytes, place: int, chance: Random) -> bytes:
    return (
        content[:place]
        + chance.choice((b"\xff" * 10, b"\x00" * 4, b"\x80" * 9 + b"\x01", chance.randbytes(3)))
        + content[place:]
    )


def _cut(content: bytes, place: int, _chance: Random) -> bytes:
    return content[:place]


def _doubled(content: bytes, place: int, chance: Random) -> bytes:
    return content[:place] + content[place - chance.randint(0, 40) :]


_BINARY: Final = (_flipped, _flipped, _replaced, _inserted, _cut, _doubled)
