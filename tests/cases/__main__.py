"""``python -m tests.cases [--cases DIR] [--json] [FILTER]``: other people's machines against their known answers."""

import argparse
import json
import sys
import time
from pathlib import Path

from tests.cases.runner import FOLDER, Outcome, kinds, outcomes, there

_VERDICTS = ("right", "refused", "wrong")


def main() -> int:
    """Print the table and what is wrong; 0 where nothing is."""
    parser = argparse.ArgumentParser(prog="python -m tests.cases", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--cases", type=Path, default=FOLDER, metavar="DIR", help="a collection laid out as this one")
    parser.add_argument("filter", nargs="?", default="", help="only cases whose kind/name holds this")
    arguments = parser.parse_args()
    if not there(arguments.cases):
        sys.stdout.write(f"cases: {_called(arguments.cases)} is not there, nothing to compare\n")
        return 0 if arguments.cases == FOLDER else 2
    begun = time.perf_counter()
    found = list(outcomes(arguments.filter, arguments.cases))
    counts = _counts(found, kinds(arguments.cases))
    seconds = time.perf_counter() - begun
    last = f"{len(found)} cases of {arguments.cases.name} in {seconds:.1f} s; refused: no topology is in them"
    text = _as_json(found, counts) if arguments.json else "\n".join([*_table(found, counts), last]).lstrip("\n")
    sys.stdout.write(text + "\n")
    return 1 if any(outcome.verdict == "wrong" for outcome in found) else 0


def _called(folder: Path) -> str:
    return "../shared/cases" if folder == FOLDER else str(folder)


def _counts(found: list[Outcome], of_kinds: list[str]) -> dict[str, dict[str, int]]:
    return {
        kind: {verdict: sum(1 for o in found if (o.kind, o.verdict) == (kind, verdict)) for verdict in _VERDICTS}
        for kind in of_kinds
    }


def _as_json(found: list[Outcome], counts: dict[str, dict[str, int]]) -> str:
    wrong = {f"{o.kind}/{o.name}": o.lines for o in found if o.verdict == "wrong"}
    return json.dumps({"cases": len(found), "kinds": counts, "wrong": wrong})


def _table(found: list[Outcome], counts: dict[str, dict[str, int]]) -> list[str]:
    lines = [f"{o.kind}/{o.name}\n" + "\n".join(f"    {line}" for line in o.lines) for o in found if o.lines]
    lines += ["", f"{'kind':<20}{'right':>7}{'refused':>9}{'wrong':>7}"]
    for kind, of_kind in counts.items():
        lines.append(f"{kind:<20}{of_kind['right']:>7}{of_kind['refused']:>9}{of_kind['wrong']:>7}")
    totals = {verdict: sum(1 for o in found if o.verdict == verdict) for verdict in _VERDICTS}
    lines.append(f"{'all':<20}{totals['right']:>7}{totals['refused']:>9}{totals['wrong']:>7}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
