"""What is looked at again and again: the last answer counts, and what can't be read is logged once."""

import logging
import threading
from collections.abc import Mapping

import pytest

from nvtopo.aggregator.acceptance_watch import AcceptanceWatch
from nvtopo.aggregator.maintenance import Maintenance
from nvtopo.cluster.accepted import Acceptance, Act, Group
from nvtopo.errors import ApiError, NotFound, ParseError
from nvtopo.model.records.expected import Expectation

Acts = tuple[Mapping[str, Act], Mapping[str, str]]


def act(until: str | None = None) -> Act:
    return Act(at="2026-01-01T00:00:00Z", until=until, groups=(Group(nodes=("a",), expect=Expectation(gpus=7)),))


class Watched:
    """An AcceptanceWatch with the answers of its looks, one after the other, and what it published."""

    def __init__(self, *answers: Acts | Exception) -> None:
        self.published: list[set[str]] = []
        self.now = 1_767_225_600.0 + 10  # ten seconds into 2026
        self._answers = iter(answers)
        self.watch = AcceptanceWatch(self._look, self._publish, clock=lambda: self.now)

    def _look(self) -> Acts:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _publish(self, found: Mapping[str, Acceptance]) -> None:
        self.published.append(set(found))


def test_what_counts_is_published_when_it_changes() -> None:
    seen = Watched(({"1": act()}, {}), ({"1": act()}, {}), NotFound("gone"), NotFound("gone"))
    for _ in range(4):
        seen.watch.step()
    assert seen.published == [{"a"}, set()]


def test_while_the_api_server_is_away_an_act_counts_until_it_ends() -> None:
    seen = Watched(({"1": act("2026-01-01T00:01:00Z")}, {}), ApiError("away"), ParseError("no JSON"))
    seen.watch.step()
    seen.watch.step()
    assert seen.published == [{"a"}]
    seen.now += 60
    seen.watch.step()
    assert seen.published == [{"a"}, set()]


def test_what_can_not_be_read_is_logged_once_and_again_after_it_could(caplog: pytest.LogCaptureFixture) -> None:
    bad: Acts = ({}, {"1": "no act"})
    seen = Watched(bad, bad, ({}, {}), bad, ApiError("away"), ApiError("away"))
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            seen.watch.step()
    assert [record.reason for record in caplog.records] == ["no act", "no act", "away"]  # type: ignore[attr-defined]
    assert {record.getMessage() for record in caplog.records} == {"cannot read all that was accepted"}


def test_the_thread_looks_until_it_is_told_to_stop() -> None:
    stop, looks = threading.Event(), list[int]()

    def look() -> tuple[frozenset[str], str]:
        looks.append(len(looks))
        if len(looks) == 3:
            stop.set()
        return frozenset({f"n{len(looks)}"}), ""

    maintenance = Maintenance(look, look_seconds=0.001)
    maintenance.run(stop)
    assert len(looks) == 3
    assert maintenance.nodes() == {"n3"}


def test_cordoned_nodes_stay_known_while_the_api_server_is_away(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter(((frozenset({"a"}), "node b"), None))

    def look() -> tuple[frozenset[str], str]:
        answer = next(answers)
        if answer is None:
            raise ApiError("away")
        return answer

    maintenance = Maintenance(look)
    maintenance.step()
    maintenance.step()
    assert maintenance.nodes() == {"a"}
    assert [record.reason for record in caplog.records] == ["node b", "away"]  # type: ignore[attr-defined]
