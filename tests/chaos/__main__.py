"""``python -m tests.chaos [FAULT...]``: all faults of the table, or those that are named; exits 1 if one was wrong."""

import logging
import sys
import tempfile
from pathlib import Path

from tests.chaos import runner, starved
from tests.chaos.faults import FAULTS
from tests.chaos.scene import scene
from tests.lab.process import LabError

_FORMAT = "{:16}{:>12}{:>10}{:>12}   {}\n"


def main(names: list[str]) -> int:
    """Run them, and print a line for each."""
    known = (*FAULTS, *starved.FAULTS)
    if unknown := sorted(set(names) - set(known)):
        sys.stderr.write(f"chaos: no such fault: {', '.join(unknown)}; there are {', '.join(known)}\n")
        return 2
    logging.getLogger("nvtopo").addHandler(logging.NullHandler())  # the table is what people read here
    failed = _changed([name for name in FAULTS if name in (names or FAULTS)])
    failed += _starved([name for name in starved.FAULTS if name in (names or starved.FAULTS)])
    return 1 if failed else 0


def _changed(names: list[str]) -> int:
    """Faults of a node and its labels; how many went wrong."""
    if not names:
        return 0
    sys.stdout.write(
        _FORMAT.format("fault", "detected", "placed", "recovered", "seen as; what a gang of two pods gets")
    )
    failed = 0
    with tempfile.TemporaryDirectory(prefix="nvtopo-chaos-") as folder, scene(Path(folder)) as both:
        for name in names:
            fault = FAULTS[name]
            try:
                found = runner.run(both, fault)
            except TimeoutError as error:
                found = runner.Outcome(0, 0, 0, (str(error),))
            times = (f"{one:.2f} s" for one in found[:3])
            fits = "both nodes" if isinstance(fault.two_pods, tuple) else "none: " + ", ".join(fault.two_pods)
            sys.stdout.write(_FORMAT.format(name, *times, f"{fault.seen_as}; {fits}"))
            sys.stdout.writelines(f"  WRONG {one}\n" for one in found.wrong)
            failed += bool(found.wrong)
    return failed


def _starved(names: list[str]) -> int:
    """Programs that get a tenth of a CPU; how many went wrong."""
    if names:
        sys.stdout.write("\n{:22}{:>10}{:>12}   {}\n".format("fault", "goes on", "recovered", "what it said meanwhile"))
    failed = 0
    for name in names:
        with tempfile.TemporaryDirectory(prefix="nvtopo-chaos-") as folder:
            try:
                found = starved.FAULTS[name](Path(folder))
            except (TimeoutError, AssertionError, LabError) as error:
                sys.stdout.write(f"{name}\n  WRONG {error}\n")
                failed += 1
                continue
        said = "right or nothing" if found.kept else "WRONG: took back what was known"
        said += "" if found.alive else "; WRONG: the kubelet would have killed it"
        sys.stdout.write(f"{name:22}{found.seen_seconds:8.1f} s{found.recovered_seconds:10.1f} s   {said}\n")
        failed += not found.well
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
