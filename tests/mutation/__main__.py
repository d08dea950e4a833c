"""``python -m tests.mutation``: how many wrong changes the unit tests notice. docs/mutation.md has the last figures.

A seeded sample of mutants, each tried with only the tests that run its lines. Tests that start processes or wait, and
the lab, are left out, as in ``make unit``. The working tree is not touched. ``--kept`` goes on where it stopped.
"""

import argparse
import importlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.mutation.covering import ROOT, Covering, measure
from tests.mutation.kept import Kept
from tests.mutation.mutants import applied, mutants
from tests.mutation.sample import Chosen, sample
from tests.mutation.trial import Outcome, trial

TARGETS: Final = (
    "nvtopo/model/**/*.py",
    "nvtopo/cluster/**/*.py",
    "nvtopo/kube/lease.py",
    "nvtopo/kube/election.py",
    "nvtopo/kube/applier.py",
    "nvtopo/kube/apply_queue.py",
    "nvtopo/agent/parts/sampler_policy.py",
)
#: A mutant has this many times the time of its tests, and some seconds to start.
_SLOWDOWN: Final = 5
_START_SECONDS: Final = 20


class Tried(NamedTuple):
    """A mutant and what became of it."""

    chosen: Chosen
    outcome: Outcome


#: What tests need and takes long to import: once here, and not again in each child.
_ONCE: Final = ("hypothesis", "msgspec", "prometheus_client", "starlette.testclient", "urllib3", "yaml")


def main() -> None:
    """Tries the sample, a line for each mutant that lives, then the score by folder."""
    for name in _ONCE:
        importlib.import_module(name)
    asked = _arguments()
    modules = sorted({str(path.relative_to(ROOT)) for target in asked.targets for path in ROOT.glob(target)})
    sources = {module: (ROOT / module).read_text(encoding="utf-8") for module in modules}
    everything = [(module, mutant) for module in modules for mutant in mutants(sources[module])]
    chosen = sample(everything, asked.seed, asked.count)
    with tempfile.TemporaryDirectory(prefix="nvtopo-mutation-") as temporary:
        folder = asked.kept or Path(temporary)
        folder.mkdir(exist_ok=True)
        covering = measure(folder, asked.tests)
        _check(chosen[0].module, sources, covering)
        kept = Kept.read(folder / "tried.jsonl", again=asked.again)
        tried = list(_tried(chosen, sources, covering, kept, time.monotonic() + 60 * asked.minutes))
    sys.stdout.write(
        f"\n{len(tried)} of {len(chosen)}, of {len(everything)} mutants, seed {asked.seed}\n\n{_table(tried)}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("targets", nargs="*", default=TARGETS, help="modules, as patterns below the repository")
    parser.add_argument("--count", type=int, default=500, help="size of the sample (500)")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another sample (1)")
    parser.add_argument("--minutes", type=float, default=60, help="end after this many minutes (60)")
    parser.add_argument("--kept", type=Path, help="a folder that keeps which test runs which line, and what was tried")
    parser.add_argument("--tests", action="append", default=[], help="files or folders of tests (those of make unit)")
    parser.add_argument("--again", action="store_true", help="try again what lived, with the tests as they are now")
    return parser.parse_args()


def _check(module: str, sources: dict[str, str], covering: Covering) -> None:
    """Without a change every test passes, here too: otherwise nothing below would mean anything."""
    tests = covering.of(module, (1, len(sources[module].splitlines())))[:100]
    outcome = trial(module, sources[module], tests, 10 * _START_SECONDS)
    if outcome != "survived":
        sys.exit(f"mutation: {module} as it is: expected its tests to pass, {outcome}")


def _tried(
    chosen: Sequence[Chosen], sources: dict[str, str], covering: Covering, kept: Kept, deadline: float
) -> Iterator[Tried]:
    for one in chosen:
        outcome = kept.outcome(one)
        if outcome is None:
            if time.monotonic() > deadline:
                continue
            tests = covering.of(one.module, one.mutant.lines)
            seconds = _START_SECONDS + _SLOWDOWN * sum(covering.seconds.get(test, 0) for test in tests)
            outcome = trial(one.module, applied(sources[one.module], one.mutant), tests, seconds)
            kept.add(one, outcome)
        if outcome in ("survived", "not covered"):
            line = sources[one.module].encode().count(b"\n", 0, one.mutant.start) + 1
            sys.stdout.write(f"{outcome}: {one.module}:{line}: {one.mutant.what}\n")
            sys.stdout.flush()
        yield Tried(one, outcome)


def _table(tried: Sequence[Tried]) -> str:
    """Folder or module, mutants, killed, killed by a time-out, alive, share killed; as Markdown."""
    rows = ["| where | mutants | killed | timed out | alive | killed in all |\n", "|---|---|---|---|---|---|\n"]
    for place in (*sorted({_place(one.chosen.module) for one in tried}), "all"):
        counted = Counter(one.outcome for one in tried if place in (_place(one.chosen.module), "all"))
        killed, late, total = counted["killed"], counted["timed out"], counted.total()
        share = f"{(killed + late) / total:.1%}"
        rows.append(f"| {place} | {total} | {killed} | {late} | {total - killed - late} | {share} |\n")
    return "".join(rows)


def _place(module: str) -> str:
    parts = module.split("/")
    return "/".join(parts[:3]) if parts[1] == "model" and len(parts) > 3 else "/".join(parts[:2])


if __name__ == "__main__":
    main()
