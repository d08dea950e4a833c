"""``python -m tests.foreign.fuzz --inputs N``: damaged inputs, in process; only a node or a ParseError may come out.

Each input has a time limit and the process a memory limit. What breaks one of them is written to the error stream
with the seed that makes it again.
"""

import argparse
import resource
import signal
import sys
import time
from collections import Counter
from random import Random
from types import FrameType
from typing import Final

import msgspec

from nvtopo.errors import ParseError
from nvtopo.model.derive import derive
from nvtopo.model.node import NodeTopology, encode
from nvtopo.sources.foreign.recognise import read_foreign
from tests.foreign.mutations import damaged
from tests.foreign.samples import SAMPLES

SECONDS_PER_INPUT: Final = 2.0
_MEMORY_BYTES: Final = 2 << 30
_PROGRESS_SECONDS: Final = 5.0


def outcome(content: bytes) -> str:
    """``node`` or ``refused``, which is one line; anything else is an exception."""
    try:
        node = read_foreign(content, "input")
    except ParseError as error:
        if "\n" in str(error):
            raise
        return "refused"
    derive(node)
    assert msgspec.json.decode(encode(node), type=NodeTopology) == node, "the node does not survive its own document"
    return "node"


def one(seed: int, samples: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """The input of a seed: which sample it was, and what became of it."""
    chance = Random(seed)  # noqa: S311 - repeatable, not secret
    name, content = samples[seed % len(samples)]
    return name, damaged(content, chance)


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"longer than {SECONDS_PER_INPUT} s")


def main() -> int:
    """Run the inputs and say how many of them became what; 1 where something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.foreign.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _too_long)
    samples = [(name, make()) for name, make in SAMPLES.items()]
    counts: Counter[str] = Counter()
    begun = shown = time.monotonic()
    for seed in range(arguments.seed, arguments.seed + arguments.inputs):
        counts[_run(seed, samples)] += 1
        if time.monotonic() - shown > _PROGRESS_SECONDS:
            shown = time.monotonic()
            _say(f"{sum(counts.values())} inputs, {shown - begun:.0f} s: {dict(counts)}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    _say(f"{sum(counts.values())} inputs, {time.monotonic() - begun:.0f} s, peak {peak} MiB: {dict(counts)}")
    return 1 if counts["broken"] else 0


def _run(seed: int, samples: list[tuple[str, bytes]]) -> str:
    name, content = one(seed, samples)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_INPUT)
    try:
        return outcome(content)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        line = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""
        sys.stderr.write(f"seed {seed} ({name}): {type(error).__name__}: {error} at {line}\n")
        return "broken"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
