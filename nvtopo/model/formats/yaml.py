"""JSON-shaped data as YAML in block style, read alike by YAML 1.1 (PyYAML, kubectl) and 1.2.

Own code, because the versions disagree on plain words: PyYAML writes the text ``1e5`` bare, which others read as a
number, and old ones take ``no`` for false. Here a text is unquoted only if no version can misread it, else
it is written as JSON.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

#: A letter first, then characters without a meaning in YAML; no blank at the end, no ``: `` and no `` #``.
_BARE: Final = re.compile(r"[A-Za-z](?:[A-Za-z0-9_./+()-]| (?=[A-Za-z0-9_./+()-])|:(?=[A-Za-z0-9_]))*")
#: Words that some YAML version does not read as text, in lower case.
_WORDS: Final = frozenset(("true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"))
#: Characters that YAML requires to be escaped and JSON does not: not printable, or a line break in version 1.1.
_UNPRINTABLE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def text_of(value: object) -> str:
    """The document; ends with a newline."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: object) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _entry(f"{_scalar(key)}:", below)
    elif isinstance(value, list) and value:
        for below in value:
            yield from _item(below)
    else:
        yield _scalar(value)


def _entry(key: str, value: object) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield key
        indent = "  " if isinstance(value, dict) else ""
        for line in _lines(value):
            yield indent + line
    else:
        yield f"{key} {_scalar(value)}"


def _item(value: object) -> Iterator[str]:
    for position, line in enumerate(_lines(value)):
        yield ("- " if position == 0 else "  ") + line


def _scalar(value: object) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
