"""What judges the replicas finds what is wrong, and nothing where all is well."""

from typing import Any

from tests.replicas.judge import Generations, Watched, of_history, of_statuses, version


def step(before: int, after: int, at: str = "t") -> dict[str, Any]:
    return {"path": "driverVersion", "before": f'"{version(before)}"', "after": f'"{version(after)}"', "at": at}


def test_a_history_with_each_change_once_is_right() -> None:
    other = {"path": "nvlinks.state", "before": "x", "after": "y"}
    assert not of_history("n", [step(0, 1), other, step(1, 2), step(2, 5)], 5)
    assert not of_history("n", [], 0)


def test_a_change_that_is_there_twice_or_missing_or_the_last_is_told() -> None:
    assert of_history("n", [step(0, 1), step(0, 1, "u")], 1) == ["n: the history says (0, 1) at t and u"]
    assert of_history("n", [step(0, 1), step(2, 3)], 3) == ["n: the history goes on from 1 with 2"]
    assert of_history("n", [step(0, 1)], 2) == ["n: the history ends with [(0, 1)], expected version 2"]
    assert of_history("n", [], 2)


def test_identifiers_that_change_and_a_history_that_goes_back_are_told() -> None:
    watched = Watched()
    for number in (1, 1, 2):
        watched.see("n", {"identifiers": [7], "history": [step(number - 1, number)]})
    assert (watched.writes, watched.wrong) == (2, [])
    watched.see("n", {"identifiers": [8], "history": [step(0, 1)]})
    assert watched.wrong == ["n: identifiers [7] became [8]", "n: the history went back from 2 to 1"]


def test_a_generation_that_goes_back_is_told() -> None:
    generations = Generations("one")
    for number in (5, 5, 9, 8):
        generations.see(number)
    assert generations.wrong == ["one: generation 9 was followed by 8"]


def test_a_status_that_is_not_what_follows_is_told() -> None:
    wanted = {"n": {"gpus": 4}}
    assert not of_statuses({"n": {"gpus": 4, "history": []}}, wanted)
    assert of_statuses({}, wanted) == ["n: gpus is None, expected 4"]
