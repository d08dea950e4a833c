"""Whatever stands before the lines of an output, and however it is encoded: every format says the same as without."""

import html
import json
import re
from collections.abc import Callable, Iterator
from itertools import count, cycle, product
from typing import Any, Final

import pytest

from nvtopo.sources.foreign.recognise import read_foreign
from tests.foreign.samples import SAMPLES

_TEXTS: Final = {name: make().decode() for name, make in SAMPLES.items() if "archive" not in name}


def _each(prefix: str) -> Callable[[str], bytes]:
    return lambda text: "\n".join(f"{prefix}{line}" for line in text.split("\n")).encode()


def _numbered(form: str) -> Callable[[str], bytes]:
    def mangle(text: str) -> bytes:
        numbers = count(7)
        return "\n".join(form.format(next(numbers)) + line for line in text.split("\n")).encode()

    return mangle


def _json_lines(text: str) -> bytes:
    return "".join(json.dumps({"log": f"{line}\n", "stream": "stdout"}) + "\n" for line in text.split("\n")).encode()


MANGLES: Final[dict[str, Callable[[str], bytes]]] = {
    "quote": _each("> "),
    "quote twice": _each("> > "),
    "quote, blanks at the end lost": lambda text: re.sub(rb"(?m) +$", b"", _each("> ")(text)),
    "indented": _each("      "),
    "tab": _each("\t"),
    "comment": _each("# "),
    "kubectl": _each("[pod/agent-x7k2p/agent] "),
    "kubectl with time": _numbered("[pod/a-1/c] 2025-01-01T00:{:02}:00.123Z "),
    "pdsh": _each("gpu-node-17: "),
    "srun": _each("0: "),
    "syslog": _numbered("Nov  1 10:{:02}:01 gpu17 collect[4711]: "),
    "journal": _numbered("2025-11-01T10:{:02}:01+0000 gpu17 collect[4711]: "),
    "cri": _numbered("2025-01-01T00:{:02}:00.000000001Z stdout F "),
    "python": _numbered("2025-01-01 00:{:02}:00,123 - tool.run - INFO - "),
    "klog": _numbered("I1101 10:{:02}:01.000001   4711 run.go:42] "),
    "compose": _each("agent-1  | "),
    "ray": _each("(Worker pid=4711, ip=10.0.0.1) "),
    "mpirun": _each("[1,0]<stdout>:"),
    "grep": _numbered("{}:"),
    "cat": _numbered("{:6}\t"),
    "unknown": _numbered("~~ job/{} => "),
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "cr": lambda text: text.replace("\n", "\r").encode(),
    "crcrlf": lambda text: text.replace("\n", "\r\r\n").encode(),
    "non-breaking": lambda text: text.replace(" ", "\u00a0").encode(),
    "zero width": lambda text: text.replace("\n", "\u200b\n").encode(),
    "utf-8 mark": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 big": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "utf-16 unmarked": lambda text: text.encode("utf-16-le"),
    "utf-16 big unmarked": lambda text: text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "powershell": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "json text": lambda text: json.dumps(text).encode(),
    "json issue": lambda text: json.dumps({"title": "it hangs", "body": text}).encode(),
    "json lines": _json_lines,
    "json array": lambda text: json.dumps({"stdout_lines": text.split("\n")}).encode(),
    "json cut": lambda text: json.dumps({"log": text, "more": ""})[:-3].encode(),
    "json twice": lambda text: json.dumps({"a": json.dumps({"log": text})}).encode(),
    "repr": lambda text: repr(text).encode(),
    "colours": lambda text: re.sub("(?m)^", "\x1b[32m", text).replace("\n", "\x1b[0m\n").encode(),
}
#: A quote that escapes nothing but line ends says less than the text where it holds quotes itself.
_HTML: Final = [name for name, text in _TEXTS.items() if text.lstrip().startswith("<")]


def _pairs() -> Iterator[Any]:
    """Every output in every way. ``make unit`` has each output and each way, the output of a way being the next one."""
    quick = set(zip(cycle(_TEXTS), (*MANGLES, *MANGLES), strict=False))
    for name, mangle in product(_TEXTS, MANGLES):
        marks = () if (name, mangle) in quick else (pytest.mark.slow,)
        yield pytest.param(name, mangle, id=f"{name}-{mangle}", marks=marks)


@pytest.mark.parametrize(("name", "mangle"), [*_pairs()])
def test_a_mangled_output_says_the_same(name: str, mangle: str) -> None:
    text = _TEXTS[name]
    assert read_foreign(MANGLES[mangle](text), "input") == read_foreign(text.encode(), "input")


@pytest.mark.parametrize("name", _HTML)
def test_escaped_markup_says_the_same(name: str) -> None:
    text = _TEXTS[name]
    assert read_foreign(html.escape(text).encode(), "input") == read_foreign(text.encode(), "input")
