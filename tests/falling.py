"""``python -m tests.falling DIRECTORY VICTIM ARGUMENTS…``: nvtopo, of which one thread ends by an exception on order.

The thread named VICTIM starts its work in a thread beside it, and raises once the file ``fall`` is in DIRECTORY: until
then everything works, and whatever a thread is blocked in, its end is that of a bug. The file ``threads`` there lists
the names of all threads.
"""

import sys
import threading
import time
from pathlib import Path
from typing import Final

_TICK_SECONDS: Final = 0.05
_OWN: Final = "falling"


def main(directory: Path, victim: str, arguments: list[str]) -> None:
    """Run nvtopo so."""
    work = threading.Thread.run

    def run(thread: threading.Thread) -> None:
        if thread.name != victim:
            work(thread)
            return
        threading.Thread(target=work, args=(thread,), name=_OWN, daemon=True).start()
        while not (directory / "fall").exists():
            time.sleep(_TICK_SECONDS)
        raise LookupError(f"{victim} falls")

    def tell() -> None:
        while True:
            names = sorted(thread.name for thread in threading.enumerate() if thread.name not in (_OWN, "MainThread"))
            (directory / "threads.new").write_text("\n".join(names))
            (directory / "threads.new").rename(directory / "threads")
            time.sleep(_TICK_SECONDS)

    threading.Thread.run = run  # type: ignore[method-assign, assignment]
    threading.Thread(target=tell, name=_OWN, daemon=True).start()
    from nvtopo.__main__ import run as nvtopo

    sys.argv[1:] = arguments
    nvtopo()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
