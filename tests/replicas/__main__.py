"""``python -m tests.replicas``: kills the leader of three aggregators at random, on a control plane of its own.

With the defaults 50 times during 10,000 changes, which takes about 20 minutes. Exit code 1: something did not hold.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.lab import build
from tests.lab.control_plane import ControlPlane
from tests.replicas import killing
from tests.replicas.killing import Plan


def main() -> int:
    """Kill and judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.replicas", description=__doc__)
    for name in ("kills", "changes", "racks", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Plan(), name), metavar="N")
    plan, began = Plan(**vars(parser.parse_args())), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nvtopo-replicas-") as folder:
        (Path(folder) / "plane").mkdir()
        with ControlPlane(build.ensure(build.say), Path(folder) / "plane") as plane:
            found = killing.run(plane, Path(folder), plan, build.say)
    lines = (
        f"{found.kills} leaders killed during {found.changes} changes in {time.monotonic() - began:.0f} s",
        f"{found.writes} times a status became another one; {found.answers} answers of replicas",
        f"a new leader where all was true wrote {found.written_by_the_last:g} statuses",
        *(found.wrong[:50] or ["nothing lost, nothing twice, identifiers as they were, no generation went back"]),
    )
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if found.wrong or found.written_by_the_last else 0


if __name__ == "__main__":
    sys.exit(main())
