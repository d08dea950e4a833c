"""Texts that gzip packed."""

import gzip
import io
import tarfile

import pytest

from nvtopo.errors import ParseError
from nvtopo.wire.packed import opened

TEXT = b'{"capture": 1}' * 1000


def test_a_packed_text_is_opened() -> None:
    assert opened(gzip.compress(TEXT), "x", 1 << 20) == TEXT


def test_one_that_is_cut_ends_where_it_is_cut() -> None:
    text = bytes(range(32, 127)) * 400
    found = opened(gzip.compress(text, 0)[: len(text) // 2], "x", 1 << 20)
    assert text.startswith(found)
    assert len(found) > len(text) // 3


def test_archives_and_what_is_not_packed_are_left() -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a"), io.BytesIO())
    for content in (archive.getvalue(), TEXT, b"\x1f\x8bnonsense", b"", gzip.compress(b"")):
        assert opened(content, "x", 1 << 20) == content


def test_one_that_is_too_large_is_refused() -> None:
    with pytest.raises(ParseError, match="x: expected at most 1 MiB unpacked"):
        opened(gzip.compress(b" " * (3 << 20)), "x", 1 << 20)
