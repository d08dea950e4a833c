"""How long ``nvtopo doctor`` takes: on one captured node and on a thousand, against the interpreter, in one run."""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bench.timing import Costs, Program, ProgramFailed, interleaved
from tests.cli import captured_fleet

Json = dict[str, Any]

EXIT_READ: Final = 3
NODES: Final = 1000
REPETITIONS: Final = 3
PYTHON: Final = "python -c 'import click, msgspec'"
ONE: Final = "nvtopo doctor, one node"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench/doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object of the figures as the last line")
    parser.add_argument("--nodes", type=int, default=NODES, metavar="N", help="default: %(default)s")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, metavar="N", help="default: %(default)s")
    options = parser.parse_args()
    if min(options.nodes, options.repetitions) < 1:
        parser.error("--nodes, --repetitions: expected 1 or more")
    try:
        figures = measure(options.nodes, options.repetitions)
    except ProgramFailed as error:
        print(f"bench/doctor: {error}", file=sys.stderr)
        return EXIT_READ
    print(table(figures))
    if options.json:
        print(json.dumps(figures))
    return 0


def measure(nodes: int, repetitions: int) -> Json:
    """Medians in seconds, and how many times the interpreter with its imports they are."""
    with tempfile.TemporaryDirectory(prefix="nvtopo-bench-") as folder:
        captured_fleet.write(Path(folder), nodes)
        doctor = (sys.executable, "-m", "nvtopo", "doctor", "--from")
        costs = interleaved(
            {
                PYTHON: Program((sys.executable, "-c", "import click, msgspec")),
                ONE: Program((*doctor, str(captured_fleet.CAPTURE))),
                f"nvtopo doctor, {nodes} nodes": Program((*doctor, folder)),
            },
            repetitions,
        )
    return {"nodes": nodes, "repetitions": repetitions, "programs": {name: _row(costs, name) for name in costs}}


def _row(costs: dict[str, Costs], name: str) -> Json:
    wall, cpu = costs[name].median("wall"), costs[name].median("cpu")
    return {"wallSeconds": wall, "cpuSeconds": cpu, "timesPython": cpu / costs[PYTHON].median("cpu")}


def table(figures: Json) -> str:
    """The figures for people."""
    programs: dict[str, Json] = figures["programs"]
    width = max(map(len, programs))
    head = f"{figures['repetitions']} interleaved runs, medians in seconds; the ratio is of processor time"
    return "\n".join((head, *(f"{name:{width}}  {_line(row)}" for name, row in programs.items())))


def _line(row: Json) -> str:
    return "wall {wallSeconds:7.3f}  user+sys {cpuSeconds:7.3f}  x python {timesPython:5.1f}".format(**row)


if __name__ == "__main__":
    sys.exit(main())
