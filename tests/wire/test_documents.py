"""JSON, YAML and text that others wrote: a record, or one printable line of ours."""

import subprocess
import sys

import msgspec
import pytest

from nvtopo.errors import ParseError
from nvtopo.wire import yaml
from nvtopo.wire.documents import ANY, Json, one_line, utf8


class Thing(msgspec.Struct):
    name: str
    size: int = 0
    raw: msgspec.Raw = msgspec.Raw(b"null")


THING = Json(Thing, "a thing", most_bytes=10 << 20)
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "truncated"),
        (b'{"name": "\xff"}', "bytes that are not UTF-8 at offset"),
        (b'{"name": "\xed\xa0\x80"}', "bytes that are not UTF-8 at offset"),
        (b'{"name": "\\ud800\\u0041"}', "surrogate"),
        (b'{"name": "a\x00"}', "invalid character"),
        (b'{"name": 5}', "Expected `str`, got `int`"),
        (b'{"name": "a", "size": ' + b"9" * 5000 + b"}", "out of range"),
        (b'{"name": "a", "size": 1e999}', "out of range"),
        (b"[" * 100_000, "got `array`"),
        (b'{"name": ' + DEEP + b"}", "got `array`"),
        (b'{"name": ' * 100_000, "got `object`"),
        (b'{"other": ' * 100_000, "nested deeper than 64 levels"),
        (b" " * (10 << 20) + b"{}", "which is more than"),
        (b"\xef\xbb\xbf{}", "malformed"),
    ],
)
def test_what_is_no_such_document_is_refused_in_one_printable_line(content: bytes, says: str) -> None:
    with pytest.raises(ParseError) as caught:
        THING.read(content, "peer")
    text = str(caught.value)
    assert text.startswith("peer: expected a thing: ")
    assert says in text
    assert text.isprintable()
    assert len(text) < 400


def test_what_is_deep_in_a_field_that_is_not_read_does_no_harm() -> None:
    content = b'{"other": {"x": ' + DEEP + b'}, "name": "a", "raw": [1, ' + DEEP + b', "]"], "size": 2}'
    found = THING.read(content)
    assert (found.name, found.size) == ("a", 2)
    raw = ANY.read(found.raw)
    assert isinstance(raw, list)
    assert raw[0::2] == [1, "]"]


@pytest.mark.parametrize("depth", [1, 62, 63, 64, 65, 66, 999, 1000])
def test_what_follows_a_deep_value_is_read_at_any_depth(depth: int) -> None:
    nested = b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + b'"]}"' + b"]" * (depth % 2) + b"]}" * (depth // 2)
    found = THING.read(b'{"other":' + nested + b',"deep":' + DEEP + b',"name":"a"}')
    assert found.name == "a"


HEADS = ("[" * 2000, '{"raw":["')


@pytest.mark.parametrize("head", HEADS)
def test_a_string_without_an_end_is_looked_through_once(head: str) -> None:
    """Looking for its end from each of a million quotes would take days."""
    script = (
        "import msgspec; from nvtopo.wire.documents import Json\n"
        "T = msgspec.defstruct('T', [('raw', msgspec.Raw)])\n"
        f"content = ({head!r} + chr(34) + (chr(92) + chr(34)) * 1_000_000).encode()\n"
        "for kind in (Json(T, 'x', has_raw=True), Json(object, 'x')):\n"
        "    try: kind.read(content)\n"
        "    except Exception as error: print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["ParseError"] * 2, done.stderr


@pytest.mark.parametrize(
    "word", [b"NaN", b"Infinity", b"-Infinity", b"01", b"1.", b".5", b"+1", b"nul", b"'x'", b"0x1f", b"1e", b"\xff"]
)
def test_a_word_that_is_no_json_costs_the_raw_value_it_is_in(word: bytes) -> None:
    things = Json(list[msgspec.Raw], "things", has_raw=True)
    good = '{"name": "é \\" NaN", "size": -0.5e3, "other": [true, false, null, 0, 12, 1.5]}'.encode()
    bad, kept = things.read(b'[{"name": "a", "size": %s}, %s]' % (word, good))
    assert bytes(kept) == good
    with pytest.raises(ParseError):
        THING.read(bad)


def test_a_line_is_short_and_printable() -> None:
    assert one_line("a\n\x1b[2Jb " + "c" * 5000).startswith("a \ufffd[2Jb c")
    assert len(one_line("x" * 5000)) == 200


def test_text_that_is_no_utf8_is_refused() -> None:
    assert utf8(b"\xc3\xa9", "label") == "é"
    with pytest.raises(ParseError, match=r"label: bytes that are not UTF-8 at offset 1"):
        utf8(b"a\xff", "label")


def _bomb(levels: int) -> bytes:
    lines = ["name: a", "x0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (_bomb(9), "more than 50000 values, those of aliases included"),
        (b"name: a\nx: &x [*x]", "an alias *x that nothing before it defines"),
        (b"name: a\nx: " + b"[" * 100_000, "nested deeper than 64 levels"),
        (b"name: a\nx: " + b"{a: " * 100_000, ""),
        (b"name: a\nx: [" + b"1," * 60_000 + b"]", "more than 50000 values"),
        (b"name: a\n" + b"#" * (1 << 20), "more than 1 MiB of YAML"),
        (b"name: !!python/object/apply:os.system [id]", "a tag"),
        (b"name: !!int ''", "a tag"),
        (b"name: 2001-99-99", "month"),
        (b"name: " + b"1" * 5000, ""),
        (b"name: \xff", ""),
        (b"name: \x00", ""),
        (b"<<: 1\nname: a", ""),
        (b"? [a]\n: b\nname: c", ""),
        (b"", "got `null`"),
        (b"--- a\n--- b\n", "single document"),
    ],
)
def test_yaml_that_is_no_such_document_is_refused_in_one_line(content: bytes, says: str) -> None:
    with pytest.raises(ParseError) as caught:
        yaml.read(content, Thing, "a thing", "file.yaml")
    text = str(caught.value)
    assert text.startswith("file.yaml: expected a thing: ")
    assert says in text
    assert text.isprintable()


def test_aliases_that_people_write_are_read() -> None:
    text = b"defaults: &d {size: 3}\nlist: [*d, *d]\nname: a\nsize: 3\n"
    assert yaml.read(text, Thing, "a thing", "x") == Thing("a", 3)


@pytest.mark.slow
def test_a_helper_that_decodes_beside_the_place_for_it_is_found() -> None:
    code = b"import msgspec\nimport json\n\nmsgspec.json.decode(b'')\njson.loads('')\nmsgspec.json.Decoder(int)\n"
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--output-format", "concise", "-"]
    for name, found in (("nvtopo/kube/new.py", 3), ("nvtopo/wire/new.py", 0)):
        done = subprocess.run([*command, "--stdin-filename", name], input=code, capture_output=True, check=False)
        assert done.stdout.count(b"TID251") == found, done.stdout
