"""A run goes on where it stopped: the sample does not move, and what was tried is known."""

from pathlib import Path

import pytest

from tests.mutation.kept import Kept
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.sample import sample

BEFORE = "a = b < c\nd = e + f\n"


def _all(**modules: str) -> list[tuple[str, Mutant]]:
    return [(name, mutant) for name, source in modules.items() for mutant in mutants(source)]


def _keys(count: int, **modules: str) -> set[str]:
    return {one.key for one in sample(_all(**modules), 1, count)}


def test_an_edit_elsewhere_does_not_change_the_sample() -> None:
    everything = _all(a=BEFORE * 20, b=BEFORE)
    assert len(_keys(100, a=BEFORE * 20, b=BEFORE)) == len(everything), "of equal lines each has a key of its own"
    assert _keys(10, a=BEFORE * 20) == _keys(10, a="x = y\n" + BEFORE * 20)
    assert {one.key for one in sample(everything, 2, 10)} != _keys(10, a=BEFORE * 20, b=BEFORE)


def test_what_was_tried_is_known_and_the_later_outcome_counts(tmp_path: Path) -> None:
    one, other = sample(_all(a=BEFORE), 1, 2)
    kept = Kept.read(tmp_path / "tried.jsonl")
    assert kept.outcome(one) is None
    kept.add(one, "survived")
    kept.add(other, "killed")
    again = Kept.read(tmp_path / "tried.jsonl", again=True)
    assert (again.outcome(one), again.outcome(other)) == (None, "killed")
    again.add(one, "killed")
    assert Kept.read(tmp_path / "tried.jsonl").outcome(one) == "killed"


@pytest.mark.parametrize("line", ["{", '["a"]', '["a", "odd"]'])
def test_a_line_that_is_none_says_where(tmp_path: Path, line: str) -> None:
    (tmp_path / "tried.jsonl").write_text(f'["a", "killed"]\n{line}\n')
    with pytest.raises(SystemExit, match=r"tried.jsonl:2: expected"):
        Kept.read(tmp_path / "tried.jsonl")
