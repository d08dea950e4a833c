"""Hours of work in minutes: an agent whose machine changes every second or so, scraped every second, faults at random.

The real agent, with a real API server, on a recorded machine of eight GPUs with 18 NVLinks each, asked through the C
library of ``tests/nvml``. Each change has to be seen in labels, resource and metrics; each fault has to pass without a
trace in memory, descriptors and threads. Beside it, in the same run, an agent at default settings and Debian's node
exporter are scraped every 15 s: what the two cost.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.soaking import apart
from bench.soaking.calm import calm
from bench.soaking.figures import Json, figures, table
from bench.soaking.places import install, place
from bench.soaking.scenario import Machine
from bench.soaking.soak_run import DEADLINE_SECONDS, SoakRun
from bench.soaking.watched import Scraper
from bench.timing import ProgramFailed
from tests.lab import build
from tests.lab.control_plane import ControlPlane
from tests.lab.process import LabError

EXIT_NO: Final = 1
EXIT_READ: Final = 3
SECONDS: Final = 1500.0

_SCRAPE_SECONDS: Final = 1.0
#: The slow pass, that finds what no event told of.
_INTERVAL_SECONDS: Final = 5


def main() -> int:
    """Soak and print."""
    options = _options()
    if not apart.is_possible():
        print("bench/soak: needs root, for network namespaces", file=sys.stderr)
        return EXIT_READ
    try:
        with tempfile.TemporaryDirectory(prefix="nvtopo-soak-") as directory:
            found = measure(options.seconds, options.seed, Path(directory))
    except (ProgramFailed, LabError, AssertionError) as error:
        print(f"bench/soak: {error}", file=sys.stderr)
        return EXIT_READ
    print(table(found))
    if options.json:
        print(json.dumps(found))
    return EXIT_NO if False in found["met"].values() else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/soak", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object of the figures as the last line")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another number, another scenario")
    options = parser.parse_args()
    if options.seconds <= 0:
        parser.error("--seconds: expected more than 0")
    return options


def measure(seconds: float, seed: int, directory: Path) -> Json:
    """All figures."""
    pace = ("--interval", str(_INTERVAL_SECONDS), "--nvml-deadline", str(DEADLINE_SECONDS))
    for name in ("plane", "soak", "calm"):
        (directory / name).mkdir()
    with ControlPlane(build.ensure(build.say), directory / "plane") as plane:
        install(plane)
        with (
            calm(plane, directory / "calm", seconds) as beside,
            place(plane, directory / "soak", "soak", *pace) as soaked,
            Scraper(soaked, _SCRAPE_SECONDS) as scraper,
        ):
            soak_run = SoakRun(soaked, Machine(soaked.node), scraper, seed)
            soak_run.settle()
            began = time.monotonic()
            with beside:
                soak_run.run(seconds)
            ended = time.monotonic()
    return figures(soak_run, scraper, beside.figures, began, ended)


if __name__ == "__main__":
    sys.exit(main())
