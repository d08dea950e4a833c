"""``python -m tests.chaos [FAULT...]``: all faults of the table, and an agent without CPU; exits 1 if one was wrong."""

import sys
import tempfile
from pathlib import Path

from tests.chaos import runner, starved
from tests.chaos.faults import FAULTS
from tests.chaos.scene import scene

_FORMAT = "{:16}{:>12}{:>10}{:>12}   {}\n"


def main(names: list[str]) -> int:
    """Run them, and print a line for each."""
    unknown = sorted(set(names) - FAULTS.keys())
    if unknown:
        sys.stderr.write(f"chaos: no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}\n")
        return 2
    sys.stdout.write(
        _FORMAT.format("fault", "detected", "placed", "recovered", "seen as; what a gang of two pods gets")
    )
    failed = 0
    with tempfile.TemporaryDirectory(prefix="nvtopo-chaos-") as folder, scene(Path(folder)) as both:
        for name in names or FAULTS:
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
    return 1 if failed or (not names and not _starved()) else 0


def _starved() -> bool:
    with tempfile.TemporaryDirectory(prefix="nvtopo-chaos-") as folder:
        found = starved.run(Path(folder))
    sys.stdout.write(f"agent-throttled to a tenth of a CPU: {found}\n")
    return found.labels_kept and found.alive


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
