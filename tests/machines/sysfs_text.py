"""Recorded /sys and /proc trees as text: one line a file, link or empty directory.

    /sys/bus/pci/devices/0000:18:00.0 -> ../../../devices/pci0000:15/0000:18:00.0      a link
    /sys/devices/pci0000:15/0000:18:00.0/numa_node = 0                                 a file of one line
    /proc/meminfo = MemTotal: 1 kB\\nMemFree: 1 kB                                      a file of several, escaped
    /sys/devices/pci0000:15/0000:18:00.0/vpd =x 8223                                   bytes that are no such text
    /sys/class/infiniband/mlx5_0/ports/1/rate ! EIO                                    a file that cannot be read
    /sys/class/iommu/                                                                  an empty directory

A file's text ends in a newline, which is not written. In paths a space is `\\s`; everywhere a backslash is `\\\\`, a
newline `\\n`, a carriage return `\\r`. Empty lines and lines that start with `#` mean nothing.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_PATH_ESCAPES: Final = {**_ESCAPES, " ": "\\s"}
_MEANINGS: Final = {escaped[1]: plain for plain, escaped in _PATH_ESCAPES.items()}
_FORM: Final = "'PATH -> TARGET', 'PATH = VALUE', 'PATH =x HEX', 'PATH ! ERRNO' or 'PATH/'"


@dataclass(frozen=True)
class Link:
    """A symbolic link, as readlink gives it."""

    target: str


@dataclass(frozen=True)
class File:
    """A file with its whole content."""

    content: bytes

    @classmethod
    def of(cls, value: object) -> File:
        """An attribute as the kernel shows it: the value and a newline."""
        return cls(f"{value}\n".encode())


@dataclass(frozen=True)
class Unreadable:
    """A file that is there and gives an error when read."""

    errno: str
    """The error's name, such as `EIO`."""


@dataclass(frozen=True)
class EmptyDirectory:
    """A directory without entries. Others follow from the paths below them."""


Entry = Link | File | Unreadable | EmptyDirectory


def parse(text: str) -> dict[str, Entry]:
    """The entries by absolute path. Raises ValueError that names the line, what was expected and what was found."""
    entries: dict[str, Entry] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.startswith("#"):
            continue
        path, entry = _parse_line(number, line)
        if path in entries:
            raise _mistake(number, f"a path once, it is on line {lines[path]} already", path)
        entries[path], lines[path] = entry, number
    for path, number in lines.items():
        _check_parents(path, number, entries)
    return entries


def render(entries: Mapping[str, Entry]) -> str:
    """The text of a tree, sorted by path: the inverse of `parse`."""
    return "".join(f"{_render_line(path, entries[path])}\n" for path in sorted(entries))


def unpack(text: str, root: Path) -> Mapping[str, str]:
    """Writes the tree below an existing directory; gives the paths that must fail when read, with the error's name.

    Those are empty files on disk, so that directories list them; who reads the tree injects the error. A path counts
    as recorded and as reached through one link: `/sys/class/infiniband/mlx5_0/…` as well as `/sys/devices/…`.
    """
    entries = parse(text)
    unreadable: dict[str, str] = {}
    for path, entry in entries.items():
        target = root / path[1:]
        if isinstance(entry, EmptyDirectory):
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        match entry:
            case Link():
                os.symlink(entry.target, target)  # noqa: PTH211 - pathlib would tidy the target
            case File():
                target.write_bytes(entry.content)
            case Unreadable():
                target.touch()
                unreadable[path] = entry.errno
    return MappingProxyType(unreadable | _through_links(entries, unreadable))


def record(root: Path) -> str:
    """The text of the tree below a directory, with what could not be read marked so. Links are not followed."""
    return render(dict(_walk(root, root)))


def _through_links(entries: Mapping[str, Entry], unreadable: Mapping[str, str]) -> dict[str, str]:
    """The unreadable paths as they are spelled through each link to a directory above them."""
    links: dict[str, list[str]] = {}
    for path, entry in entries.items():
        if isinstance(entry, Link):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry.target))
            links.setdefault(target, []).append(path)
    found: dict[str, str] = {}
    for path, code in unreadable.items():
        above = posixpath.dirname(path)
        while above != "/":
            found |= {link + path.removeprefix(above): code for link in links.get(above, [])}
            above = posixpath.dirname(above)
    return found


def _walk(root: Path, directory: Path) -> Iterator[tuple[str, Entry]]:
    children = sorted(directory.iterdir())
    if not children and directory != root:
        yield _inside(root, directory), EmptyDirectory()
    for child in children:
        if child.is_symlink():
            yield _inside(root, child), Link(os.readlink(child))  # noqa: PTH115 - as above
        elif child.is_dir():
            yield from _walk(root, child)
        else:
            yield _inside(root, child), _read(child)


def _read(path: Path) -> File | Unreadable:
    try:
        return File(path.read_bytes())
    except OSError as error:
        return Unreadable(errno.errorcode.get(error.errno or 0, "EIO"))


def _inside(root: Path, path: Path) -> str:
    return f"/{path.relative_to(root)}"


def _render_line(path: str, entry: Entry) -> str:
    name = _escape(path, _PATH_ESCAPES)
    match entry:
        case Link(target):
            return f"{name} -> {_escape(target, _ESCAPES)}"
        case Unreadable(code):
            return f"{name} ! {code}"
        case EmptyDirectory():
            return f"{name}/"
        case File(content):
            value = _as_text(content)
            if value is None:
                return f"{name} =x {content.hex()}".rstrip(" ")
            return f"{name} = {_escape(value, _ESCAPES)}".rstrip(" ")


def _as_text(content: bytes) -> str | None:
    """What stands before the last newline; None where that would lose something."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    value = text.removesuffix("\n")
    plain = text.endswith("\n") and not value.endswith(" ") and "\0" not in value
    return value if plain else None


def _escape(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in text)


def _unescape(number: int, text: str) -> str:
    def meaning(match: re.Match[str]) -> str:
        if match[1] not in _MEANINGS:
            raise _mistake(number, r"one of \\ \n \r \s", match[0])
        return _MEANINGS[match[1]]

    return re.sub(r"\\(.?)", meaning, text)


def _parse_line(number: int, line: str) -> tuple[str, Entry]:
    name, space, rest = line.partition(" ")
    path = _parse_path(number, name.removesuffix("/"))
    if name.endswith("/") and not space:
        return path, EmptyDirectory()
    sign, _, value = rest.partition(" ")
    match sign:
        case "->" if value:
            return path, Link(_unescape(number, value))
        case "=":
            return path, File.of(_unescape(number, value))
        case "=x":
            return path, File(_parse_hex(number, value))
        case "!" if hasattr(errno, value):
            return path, Unreadable(value)
        case "!":
            raise _mistake(number, "the name of an error such as EIO", value)
    raise _mistake(number, _FORM, line)


def _parse_path(number: int, name: str) -> str:
    path = _unescape(number, name)
    steps = path.split("/")
    if steps[0] or len(steps) == 1 or any(step in {"", ".", ".."} for step in steps[1:]):
        raise _mistake(number, "an absolute path without '.', '..' and empty steps", path)
    return path


def _parse_hex(number: int, value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise _mistake(number, "hexadecimal digits in pairs", value) from None


def _check_parents(path: str, number: int, entries: Mapping[str, Entry]) -> None:
    """Nothing lies below a link or a file: writing through a link could leave the root."""
    parent = posixpath.dirname(path)
    while parent != "/":
        if parent in entries and not isinstance(entries[parent], EmptyDirectory):
            raise _mistake(number, f"a path below directories, {parent} is none", path)
        parent = posixpath.dirname(parent)


def _mistake(number: int, expected: str, got: str) -> ValueError:
    return ValueError(f"sys.txt line {number}: expected {expected}, got {got!r}")
