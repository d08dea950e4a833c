"""``python -m tests.fuzz --count N NAME…``: damaged inputs for each decoder, in process; without names, for all.

A decoder may read an input or refuse it with one line. What does anything else, takes longer than two seconds or more
than 2 GiB is written to standard error with the seed that makes it again. The count of inputs is printed for each;
with ``--record`` they go on where the last ones ended, and are counted in docs/fuzzing.md.
"""

import argparse
import gc
import logging
import resource
import signal
import sys
import time
from collections import Counter
from types import FrameType
from typing import Final

from tests.fuzz import record
from tests.fuzz.targets import FILES, TARGETS, WIRE, Target, one, run

SECONDS_PER_INPUT: Final = 2.0
_MEMORY_BYTES: Final = 2 << 30
_MOST_SHOWN: Final = 5
_KINDS: Final = {"all": TARGETS, "wire": WIRE, "file": FILES}


def main() -> int:
    """Run the inputs and say how many of them became what; 1 if something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(TARGETS)}")
    parser.add_argument("--count", type=int, default=10_000, help="inputs for each decoder")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most so long for each decoder")
    first = parser.add_mutually_exclusive_group()
    first.add_argument("--seed", type=int, default=0, help="the first input's")
    first.add_argument("--record", action="store_true", help="from the first seed that was not tried; count them")
    parser.add_argument("--of", choices=_KINDS, default="all", help="without names: decoders of what")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - TARGETS.keys()
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; expected some of {', '.join(TARGETS)}")
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _too_long)
    total: Counter[str] = Counter()
    gc.freeze()
    for name in arguments.names or _KINDS[arguments.of]:
        began = time.monotonic()
        first_seed = record.tried()[name] if arguments.record else arguments.seed
        counts = _fuzzed(name, TARGETS[name], range(first_seed, first_seed + arguments.count), arguments.seconds)
        total += counts
        if arguments.record and not counts["broken"]:
            record.add(name, counts.total())
        _say(f"{name:14}", counts, time.monotonic() - began)
    _say("all", total, None)
    return 1 if total["broken"] else 0


def _fuzzed(name: str, target: Target, seeds: range, seconds: float) -> Counter[str]:
    sources = list(target.samples())
    until = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    for seed in seeds:
        counts[_outcome(name, target, sources, seed, counts["broken"])] += 1
        if time.monotonic() > until:
            break
    return counts


def _outcome(name: str, target: Target, sources: list[bytes], seed: int, broken: int) -> str:
    body = one(target, sources, seed)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_INPUT)
    try:
        return run(target, body)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        if broken < _MOST_SHOWN:
            where = error.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""
            sys.stderr.write(f"{name} seed {seed}: {type(error).__name__}: {str(error)[:200]!r} at {place}\n")
        return "broken"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"longer than {SECONDS_PER_INPUT} s")


def _say(name: str, counts: Counter[str], seconds: float | None) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    took = "" if seconds is None else f" in {seconds:.1f} s"
    sys.stdout.write(f"{name} {counts.total()} inputs{took}, peak {peak} MiB: {dict(sorted(counts.items()))}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
