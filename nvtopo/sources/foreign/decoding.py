"""Bytes as text: what shells, editors, terminals and web pages make of a tool's ASCII, undone."""

import html
import re
from typing import Final

#: Longest mark first: UTF-32's begins as UTF-16's does. PowerShell's ``>`` writes UTF-16.
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
_LOOKED_AT: Final = 1 << 12
#: UTF-16 of ASCII is zeros by half.
_MOSTLY: Final = 0.8
#: Control sequences; SGR and erase also as trackers leave them: without the ESC byte, or with it spelled out.
_ESCAPE: Final = re.compile(
    r"\x1b\][^\x07\x1b\n]{0,200}(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b\[[0-9;?]{0,16}[A-Za-z]"
    r"|(?:\x1b|\ufffd|\u241b|\\u001b|\\ufffd|\\x1b|\\033|\\e|\^\[)?\[[0-9;]{0,16}[mK]"
)
_LINE_END: Final = re.compile(r"\r{1,8}\n|[\r\x0b\x0c\x85\u2028\u2029]")
_BLANKS: Final = dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " ")
_NOTHING: Final = dict.fromkeys((0xAD, *range(0x200B, 0x2010), *range(0x2060, 0x2065), 0xFEFF), "")
_TYPOGRAPHY: Final[dict[int, str]] = _BLANKS | _NOTHING
#: What a web page puts around a terminal's text.
_MARKUP: Final = re.compile(r"</?(?:pre|code|tt)\b[^<>]{0,80}>")
_ESCAPED_MARKUP: Final = ("&lt;system", "&lt;nvidia_smi_log", "&lt;topology", "&lt;?xml", "&nbsp;")


def decoded(content: bytes) -> str:
    """The text, every line ended by a line feed, without colours; bytes that are no text become U+FFFD."""
    text = content.decode(encoding(content), "replace")
    if any(escaped in text for escaped in _ESCAPED_MARKUP):
        text = html.unescape(text)
    if "<pre" in text or "<code" in text or "</" in text:
        text = _MARKUP.sub("", text)
    if not text.isascii():
        text = text.translate(_TYPOGRAPHY)
    if "\r" in text or "\x0b" in text or "\x0c" in text or not text.isascii():
        text = _LINE_END.sub("\n", text)
    return _ESCAPE.sub("", text) if "[" in text or "\x1b" in text else text


def encoding(content: bytes) -> str:
    """Which encoding its first bytes show; UTF-8 where they show none."""
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if marked is not None:
        return marked
    head = content[:_LOOKED_AT]
    even, odd = head[0::2], head[1::2]
    if odd and odd.count(0) > _MOSTLY * len(odd) and not even.count(0):
        return "utf-16-le"
    if even and even.count(0) > _MOSTLY * len(even) and not odd.count(0):
        return "utf-16-be"
    return "utf-8"
