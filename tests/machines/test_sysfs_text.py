"""The text form of recorded trees: what is written is read back, on disk too, and mistakes are pointed at."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machines import sysfs_text
from tests.machines.sysfs_text import EmptyDirectory, Entry, File, Link, Unreadable

_NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
_TARGETS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
_ENTRIES: st.SearchStrategy[Entry] = st.one_of(
    st.binary(max_size=40).map(File),
    st.text(max_size=40).map(File.of),
    _TARGETS.map(Link),
    st.sampled_from(["EIO", "EINVAL", "EACCES"]).map(Unreadable),
    st.just(EmptyDirectory()),
)


@st.composite
def _trees(draw: st.DrawFn) -> dict[str, Entry]:
    """Entries at paths of which none lies below another."""
    paths = draw(st.lists(st.lists(_NAMES, min_size=1, max_size=4).map("/".join), max_size=8))
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not any(path.startswith(f"{other}/") or other.startswith(f"{path}/") for other in kept):
            kept.append(path)
    return {f"/{path}": draw(_ENTRIES) for path in kept}


@given(_trees())
def test_parsing_a_rendered_tree_gives_the_tree(tree: dict[str, Entry]) -> None:
    assert sysfs_text.parse(sysfs_text.render(tree)) == tree


@given(_trees())
def test_an_unpacked_tree_is_recorded_as_it_was(tree: dict[str, Entry]) -> None:
    text = sysfs_text.render(tree)
    with tempfile.TemporaryDirectory() as directory:
        unreadable = sysfs_text.unpack(text, Path(directory))
        recorded = sysfs_text.parse(sysfs_text.record(Path(directory)))
    assert {path: unreadable[path] for path in unreadable if path in tree} == {
        path: entry.errno for path, entry in tree.items() if isinstance(entry, Unreadable)
    }
    assert recorded == {path: File(b"") if isinstance(entry, Unreadable) else entry for path, entry in tree.items()}


def test_open_and_readlink_work_on_an_unpacked_tree(tmp_path: Path) -> None:
    text = (
        "/sys/class/net/eth0 -> ../../devices/eth0\n"
        "/sys/devices/eth0/mtu = 9000\n"
        "/proc/meminfo = a 1\\nb 2\n"
        "/sys/class/iommu/\n"
    )
    assert sysfs_text.unpack(text, tmp_path) == {}
    assert (tmp_path / "sys/class/net/eth0").readlink() == Path("../../devices/eth0")
    assert (tmp_path / "sys/class/net/eth0/mtu").read_text() == "9000\n"
    assert (tmp_path / "proc/meminfo").read_text() == "a 1\nb 2\n"
    assert list((tmp_path / "sys/class/iommu").iterdir()) == []


def test_an_unreadable_file_is_so_through_a_link_too(tmp_path: Path) -> None:
    text = "/sys/class/net/eth0 -> ../../devices/a/eth0\n/sys/devices/a/eth0/ports/1/speed ! EINVAL\n"
    assert sysfs_text.unpack(text, tmp_path) == {
        "/sys/devices/a/eth0/ports/1/speed": "EINVAL",
        "/sys/class/net/eth0/ports/1/speed": "EINVAL",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_recorded_as_such(tmp_path: Path) -> None:
    (tmp_path / "rate").touch(mode=0)
    assert sysfs_text.record(tmp_path) == "/rate ! EACCES\n"


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("/a", "line 1: expected 'PATH -> TARGET'"),
        ("a = 1", "line 1: expected an absolute path"),
        ("/a/../b = 1", "line 1: expected an absolute path"),
        ("/a =x 1", "line 1: expected hexadecimal digits in pairs, got '1'"),
        ("/a ! SAD", "line 1: expected the name of an error such as EIO, got 'SAD'"),
        ("/a = \\q", r"line 1: expected one of \\ \n \r \s, got '\\q'"),
        ("# note\n/a = 1\n/a = 2", "line 3: expected a path once, it is on line 2 already, got '/a'"),
        ("/a -> ../b\n/a/c = 1", "line 2: expected a path below directories, /a is none, got '/a/c'"),
    ],
)
def test_a_mistake_is_named_with_its_line(line: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'sys.txt {mistake}')}"):
        sysfs_text.parse(line)
