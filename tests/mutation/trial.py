"""One mutant's trial: its covering tests in a child process in which the module has the change. No file is touched."""

import importlib.abc
import importlib.machinery
import importlib.util
import math
import os
import resource
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, Literal

import pytest

from tests.mutation.covering import OPTIONS, ROOT

Outcome = Literal["killed", "timed out", "survived", "not covered"]

#: Beside others on a busy machine a process has only this share of its CPU.
_WALL_SECONDS_PER_CPU_SECOND: Final = 5
#: A change may make a loop that gathers for ever.
_MOST_MEMORY_BYTES: Final = 6 << 30
_OK: Final = 0
_NOT_FOUND: Final = 4


class _Changed(importlib.machinery.SourceFileLoader):
    """Loads a module from its changed text."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self.text = text

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return compile(self.text, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, path: Path, text: str) -> None:
        parts = path.relative_to(ROOT).with_suffix("").parts
        self.package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.package else parts)
        self.loader = _Changed(self.name, str(path), text)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(
            fullname,
            self.loader.path,
            loader=self.loader,
            submodule_search_locations=[str(Path(self.loader.path).parent)] if self.package else None,
        )


def trial(module: str, text: str, tests: Sequence[str], seconds: float) -> Outcome:
    """Whether one of the tests notices this text of the module within these CPU seconds."""
    if not tests:
        return "not covered"
    child = os.fork()
    if child == 0:
        _run(ROOT / module, text, tests, seconds)
    pidfd = os.pidfd_open(child)
    try:
        ready, _, _ = select.select([pidfd], [], [], seconds * _WALL_SECONDS_PER_CPU_SECOND)
    finally:
        os.close(pidfd)
    if not ready:
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(status)
    if not ready or status == -signal.SIGXCPU:
        return "timed out"
    return "survived" if status == _OK else "killed"


def _by_file(tests: Sequence[str]) -> list[list[str]]:
    """The tests of each file together, in the order in which the files first come: one file is quick to import."""
    found: dict[str, list[str]] = {}
    for test in tests:
        found.setdefault(test.partition("::")[0], []).append(test)
    return list(found.values())


def _status(tests: Sequence[str]) -> int:
    # Each file is a run of pytest in the same process, which would warn that its plugins are there already.
    options = ("-x", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning", *OPTIONS)
    status = int(pytest.main([*options, *tests]))
    if status == _NOT_FOUND:  # a test is called after a value that the change has changed
        status = int(pytest.main([*options, tests[0].partition("::")[0]]))
    return status


def _run(path: Path, text: str, tests: Sequence[str], seconds: float) -> None:
    """The child: it imports nvtopo for the first time, and ends with pytest's status."""
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 5))
    assert not any(name.partition(".")[0] == "nvtopo" for name in sys.modules), "the parent must not import it"
    sys.meta_path.insert(0, _Finder(path, text))
    status = 1
    try:
        status = next(filter(None, map(_status, _by_file(tests))), _OK)
    finally:
        os._exit(status)
