"""``.cache``: where builds that take minutes are kept, and the lock under which they are made."""

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

CACHE: Final = Path(__file__).resolve().parents[1] / ".cache"

#: Where a line of progress goes.
Report = Callable[[str], None]


def folder(name: str) -> Path:
    """The folder of that name in the cache, which tells git to ignore all of it."""
    made = CACHE / name
    made.mkdir(parents=True, exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", encoding="utf-8")
    return made


@contextlib.contextmanager
def locked(name: str, what: str, report: Report) -> Iterator[None]:
    """One build in the folder of that name at a time; the kernel releases the lock however its holder ends."""
    with folder(name).joinpath("lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another build of {what} …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
