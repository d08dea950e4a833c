"""``python -m tests.cases [--json] [FILTER]``: other people's machines against their known answers."""

import argparse
import json
import sys
import time

from tests.cases.runner import FOLDER, KINDS, Outcome, outcomes, there

_VERDICTS = ("right", "refused", "wrong")


def main() -> int:
    """Print the table and what is wrong; 0 where nothing is."""
    parser = argparse.ArgumentParser(prog="python -m tests.cases", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("filter", nargs="?", default="", help="only cases whose kind/name holds this")
    arguments = parser.parse_args()
    if not there():
        sys.stdout.write("cases: ../shared/cases is not there, nothing to compare\n")
        return 0
    begun = time.perf_counter()
    found = list(outcomes(arguments.filter))
    text = _as_json(found) if arguments.json else _table(found, time.perf_counter() - begun)
    sys.stdout.write(text + "\n")
    return 1 if any(outcome.verdict == "wrong" for outcome in found) else 0


def _counts(found: list[Outcome]) -> dict[str, dict[str, int]]:
    return {
        kind: {verdict: sum(1 for o in found if (o.kind, o.verdict) == (kind, verdict)) for verdict in _VERDICTS}
        for kind in KINDS
    }


def _as_json(found: list[Outcome]) -> str:
    wrong = {f"{o.kind}/{o.name}": o.lines for o in found if o.verdict == "wrong"}
    return json.dumps({"cases": len(found), "kinds": _counts(found), "wrong": wrong})


def _table(found: list[Outcome], seconds: float) -> str:
    lines = [f"{o.kind}/{o.name}\n" + "\n".join(f"    {line}" for line in o.lines) for o in found if o.lines]
    lines += ["", f"{'kind':<14}{'right':>7}{'refused':>9}{'wrong':>7}"]
    for kind, counts in _counts(found).items():
        lines.append(f"{kind:<14}{counts['right']:>7}{counts['refused']:>9}{counts['wrong']:>7}")
    totals = {verdict: sum(1 for o in found if o.verdict == verdict) for verdict in _VERDICTS}
    lines.append(f"{'all':<14}{totals['right']:>7}{totals['refused']:>9}{totals['wrong']:>7}")
    lines.append(f"{len(found)} cases of {FOLDER.name} in {seconds:.1f} s; refused: no topology is in them")
    return "\n".join(lines).lstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
