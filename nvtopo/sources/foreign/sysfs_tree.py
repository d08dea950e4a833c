"""A recorded ``/sys`` in memory, as the sources see a live one: files, folders, symbolic links."""

import errno
import os
from typing import NamedTuple

from nvtopo.sources.sysfs import SysfsRoot

_MOST_LINKS = 40


class Content(NamedTuple):
    """What an archive holds, by path without leading slash, and why it is not all."""

    files: dict[str, bytes]
    links: dict[str, str]
    cut: str | None = None


class Tree(SysfsRoot):
    """The files, links and folders of an archive below one of its folders, as the sources see ``/sys``."""

    def __init__(self, content: Content, prefix: str) -> None:
        super().__init__()
        self._files = content.files
        self._links = content.links
        self._prefix = prefix
        self._folders: dict[str, set[str]] = {}
        for path in (*content.files, *content.links):
            self._note(path)

    def _note(self, path: str) -> None:
        while path:
            parent, _, name = path.rpartition("/")
            below = self._folders.setdefault(parent, set())
            if name in below:
                return
            below.add(name)
            path = parent

    def read(self, path: str, *, head: bool = False) -> bytes:  # noqa: ARG002 - a file in memory has no pages
        """The content of the file."""
        key = self._resolve(path)
        if key not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._files[key]

    def is_file(self, path: str) -> bool:  # noqa: ARG002 - an archive holds nothing else
        """True: an archive holds nothing but files."""
        return True

    def names(self, path: str) -> list[str]:
        """What the folder holds, in order."""
        below = self._folders.get(self._resolve(path))
        if below is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return sorted(below)

    def target(self, path: str) -> str:
        """What the symbolic link says."""
        parent, _, name = path.rpartition("/")
        found = self._links.get(f"{self._resolve(parent)}/{name}".lstrip("/"))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def _resolve(self, path: str) -> str:
        """Where a path ends, links followed; a loop of links ends nowhere."""
        todo = [part for part in f"{self._prefix}{path}".split("/") if part][::-1]
        here: list[str] = []
        followed = 0
        while todo:
            part = todo.pop()
            if part == "..":
                here = here[:-1]
                continue
            if part == ".":
                continue
            target = self._links.get("/".join([*here, part]))
            if target is None:
                here.append(part)
                continue
            followed += 1
            if followed > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                here = [part for part in self._prefix.split("/") if part]
            todo += [part for part in target.split("/") if part][::-1]
        return "/".join(here)
