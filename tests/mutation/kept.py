"""What was tried before, in a file: a line for each mutant, so that a run that was stopped goes on where it was."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self, get_args

from tests.mutation.sample import Chosen
from tests.mutation.trial import Outcome

_ALIVE: frozenset[Outcome] = frozenset({"survived", "not covered"})


@dataclass(frozen=True)
class Kept:
    """The outcomes of a file; what is tried is added to both."""

    file: Path
    outcomes: dict[str, Outcome]

    @classmethod
    def read(cls, file: Path, *, again: bool = False) -> Self:
        """Of a mutant that was tried twice the later outcome counts. ``again``: what lived counts as not tried.

        Raises:
            SystemExit: a line is none of ours.
        """
        outcomes: dict[str, Outcome] = {}
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines() if file.exists() else (), 1):
            try:
                key, outcome = json.loads(line)
            except ValueError:
                raise SystemExit(
                    f"mutation: {file}:{number}: expected a mutant and its outcome, got {line!r}"
                ) from None
            if outcome not in get_args(Outcome):
                raise SystemExit(f"mutation: {file}:{number}: expected one of {get_args(Outcome)}, got {outcome!r}")
            outcomes[key] = outcome
        return cls(file, {key: outcome for key, outcome in outcomes.items() if not (again and outcome in _ALIVE)})

    def outcome(self, chosen: Chosen) -> Outcome | None:
        """None: not tried yet."""
        return self.outcomes.get(chosen.key)

    def add(self, chosen: Chosen, outcome: Outcome) -> None:
        """Written at once: a run may be killed."""
        self.outcomes[chosen.key] = outcome
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([chosen.key, outcome]) + "\n")
