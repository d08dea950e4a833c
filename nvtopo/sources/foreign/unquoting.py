"""Text that a log or an API quoted: JSON documents, JSON lines, and escapes where the JSON is cut."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

#: Under which keys log drivers and APIs put what a program printed.
_MESSAGE_KEYS: Final = (
    "log", "message", "MESSAGE", "msg", "stdout_lines", "stdout", "output", "text", "line", "body", "content",
    "textPayload", "event", "data",
)  # fmt: skip
_HOST_KEYS: Final = ("host", "hostname", "_HOSTNAME", "node", "nodeName", "node_name", "pod", "instance")
_ESCAPED: Final = re.compile(r'\\{2}(?=-[0-9\[])|\\{1,4}(?:(n|t|r|"|/)|u00(1b|0a|09|22|26|27|3c|3e|3C|3E))')
_PYTHON_STRING: Final = re.compile(r"(?<=[\[ ,])('(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")(?=[,\]])")
_MEANT: Final = {"n": "\n", "t": "\t", "r": ""}
_MOST_STRINGS: Final = 1 << 16
_DEEPEST: Final = 32
#: A log of a log of a log.
_MOST_NESTED: Final = 3


def unquoted(text: str) -> str:
    """The text that was quoted; the same text where nothing was."""
    for _ in range(_MOST_NESTED):
        found = _document(text) if text.lstrip()[:1] in ("{", "[", '"') else None
        if found is None:
            break
        text = found
    if "\n{" in text or text.startswith("{"):
        text = _lines(text)
    if "\\tGPU" in text or text.count("\\n") > text.count("\n"):
        text = _ESCAPED.sub(_unescaped, text)
    return text


def _document(text: str) -> str | None:
    """All that one JSON document says in its strings; None where it is none."""
    try:
        document = json.loads(text)  # noqa: TID251 - of a log, whose strings may hold halves of characters
    except (ValueError, RecursionError):
        document = _python_list(text)
    strings = [string for _, string in zip(range(_MOST_STRINGS), _strings(document, _DEEPEST), strict=False)]
    return "\n".join(strings) if strings else None


def _python_list(text: str) -> list[str]:
    """The strings of a list as Python prints it: what ``splitlines`` left in a log."""
    if not re.match(r"\s*\[\s*'", text[:80]):
        return []
    return [_ESCAPED.sub(_unescaped, found[1][1:-1]) for found in _PYTHON_STRING.finditer(text)]


def _lines(text: str) -> str:
    """JSON lines as what they quote, with the host before each where they are of several."""
    found = [_line(line) if line.startswith("{") else ("", line) for line in text.split("\n")]
    if len({host for host, _ in found if host}) > 1:
        return "\n".join(f"{host}: {line}" if host else line for host, said in found for line in said.split("\n"))
    return "\n".join(said for _, said in found)


def _line(line: str) -> tuple[str, str]:
    try:
        entry = json.loads(line)  # noqa: TID251 - as above
    except (ValueError, RecursionError):
        return "", line
    host = next((_whole(entry[key]) for key in _HOST_KEYS if isinstance(entry.get(key), str)), "")
    return host, "\n".join(_strings(entry, _DEEPEST)).removesuffix("\n")


def _strings(value: Any, depth: int) -> Iterator[str]:
    """What a value says, messages alone where it marks them as such."""
    if isinstance(value, str):
        yield _whole(value)
    elif isinstance(value, list) and depth:
        for item in value:
            yield from _strings(item, depth - 1)
    elif isinstance(value, dict) and depth:
        key = next((key for key in _MESSAGE_KEYS if value.get(key)), None)
        several = key is None and sum(1 for item in value.values() if isinstance(item, (dict, list, str)) and item) > 1
        for name, item in value.items() if key is None else ((key, value[key]),):
            if several and isinstance(item, (dict, list, str)):
                yield f"===== {_whole(name)} ====="
            yield from _strings(item, depth - 1)


def _whole(text: str) -> str:
    """Without halves of characters: JSON may escape them, and no encoding has them."""
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _unescaped(match: re.Match[str]) -> str:
    if match[1] is None and match[2] is None:
        return "\\"  # `lspci -tv` draws with it
    if match[1]:
        return _MEANT.get(match[1], match[1])
    return chr(int(match[2], 16)) if match[2] != "1b" else "\x1b"
