"""Which mutants are tried. An edit changes the sample only where it changes a line, so a run can go on after it."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tests.mutation.mutants import Mutant


class Chosen(NamedTuple):
    """A mutant of the sample."""

    module: str
    mutant: Mutant
    key: str
    """The same as long as its line is: the module, the change, and how often the module had it before."""


def sample(everything: Sequence[tuple[str, Mutant]], seed: int, count: int) -> list[Chosen]:
    """So many of them, in an order that depends on nothing but the seed and each mutant's key."""
    before: Counter[tuple[str, str]] = Counter()
    chosen: list[tuple[bytes, Chosen]] = []
    for module, mutant in everything:
        nth = before[module, mutant.what]
        before[module, mutant.what] += 1
        key = f"{module}: {mutant.what}: {nth}"
        chosen.append((hashlib.sha256(f"{seed} {key}".encode()).digest(), Chosen(module, mutant, key)))
    return [one for _, one in sorted(chosen, key=lambda pair: pair[0])[:count]]
