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


def test_members_packed_one_after_the_other_are_one_text() -> None:
    assert opened(gzip.compress(TEXT) + gzip.compress(b"more"), "x", 1 << 20) == TEXT + b"more"


def test_one_that_is_cut_is_refused() -> None:
    """Half of a fabric would be read as one with missing cables."""
    whole = gzip.compress(TEXT, 0)
    for length in (100, len(whole) // 2, len(whole) - 1):
        with pytest.raises(ParseError, match="x: expected a whole gzip file, got one that is cut"):
            opened(whole[:length], "x", 1 << 20)


def test_one_that_is_damaged_is_refused() -> None:
    damaged = bytearray(gzip.compress(TEXT, 0))
    damaged[-10] ^= 1
    with pytest.raises(ParseError, match="x: expected a whole gzip file, got a damaged one"):
        opened(bytes(damaged), "x", 1 << 20)


def test_archives_and_what_is_not_packed_are_left() -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a"), io.BytesIO())
    for content in (archive.getvalue(), TEXT, b"\x1f\x8bnonsense", b"", gzip.compress(b"")):
        assert opened(content, "x", 1 << 20) == content


def test_one_that_is_too_large_is_refused() -> None:
    with pytest.raises(ParseError, match="x: expected at most 1 MiB unpacked"):
        opened(gzip.compress(b" " * (3 << 20)), "x", 1 << 20)
