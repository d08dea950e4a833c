"""The policy of a worker as tables: at this time this happens, and then that is to be done. No threads, no sleeps."""

import math
from collections.abc import Callable
from typing import Final

import pytest

from nvtopo.runtime.backoff import Backoff
from nvtopo.runtime.worker_policy import (
    Action,
    End,
    Failure,
    Grace,
    Report,
    Start,
    Stop,
    Wait,
    WorkerPolicy,
)

FIRST_LINE: Final = 20.0
SILENCE: Final = 5.0
SETTLED: Final = 60.0
UNWANTED, FAILED, STOPPED = 1.0, 0.1, 0.2
SICK: Final = Failure("driver", "Driver Not Loaded")
HANGS: Final = Failure("hang", "no answer within 20 s: the driver hangs")
DIED: Final = Failure("died", "the worker ended")


class Lines(WorkerPolicy):
    """A worker that has to say something every five seconds."""

    def __init__(self) -> None:
        backoff = Backoff(1, 60, draw=lambda: 1.0)
        super().__init__(backoff, first_line=FIRST_LINE, settled=SETTLED, grace=Grace(UNWANTED, FAILED, STOPPED))
        self.needed = True
        self.lines: list[bytes] = []

    def wanted(self, _now: float) -> bool:
        return self.needed

    def line(self, now: float, line: bytes) -> None:
        self.lines.append(line)
        self.expect(now, SILENCE)
        self.report(None)


Event = Callable[[Lines, float], object]
Row = tuple[float, Event, Action]


def nothing(_policy: Lines, _now: float) -> None:
    pass


def started(policy: Lines, now: float) -> None:
    policy.started(now)


def absent(policy: Lines, now: float) -> None:
    policy.absent(now)


def says(policy: Lines, now: float) -> None:
    policy.heard(now, b"line")


def sick(policy: Lines, now: float) -> None:
    policy.failed(now, SICK)


def ended(policy: Lines, now: float) -> None:
    policy.ended(now)


def kept(policy: Lines, _now: float) -> None:
    policy.kept()


def restart(policy: Lines, _now: float) -> None:
    policy.restart()


def stop(policy: Lines, _now: float) -> None:
    policy.stop()


def needed(policy: Lines, _now: float) -> None:
    policy.needed = True


def not_needed(policy: Lines, _now: float) -> None:
    policy.needed = False


#: When, what happens, and what is to be done next.
TABLES: Final[dict[str, list[Row]]] = {
    "a worker that speaks in time goes on": [
        (0, nothing, Start()),
        (0, started, Wait(20)),
        (19, says, Wait(24)),
        (23.9, nothing, Wait(24)),
        (23.9, says, Wait(28.9)),
    ],
    "silence before the first line is a hang, and the next worker waits": [
        (0, started, Wait(20)),
        (20, nothing, End(FAILED)),
        (20, ended, Wait(21)),
        (21, nothing, Start()),
    ],
    "silence after a line is a hang sooner": [
        (0, started, Wait(20)),
        (1, says, Wait(6)),
        (6, nothing, End(FAILED)),
    ],
    "a worker that dies is replaced": [
        (0, started, Wait(20)),
        (3, ended, Wait(4)),
        (4, nothing, Start()),
    ],
    "what fails again and again is tried less and less": [
        (0, started, Wait(20)),
        (0, sick, End(FAILED)),
        (0, ended, Wait(1)),
        (1, started, Wait(21)),
        (1, sick, End(FAILED)),
        (1, ended, Wait(3)),
        (3, sick, Wait(7)),  # it could not be started
        (7, started, Wait(27)),
        (7, ended, Wait(15)),
    ],
    "a worker that ran well before it failed is replaced soon": [
        (0, started, Wait(20)),
        (0, ended, Wait(1)),
        (1, started, Wait(21)),
        (1, ended, Wait(3)),
        (3, started, Wait(23)),
        (62.9, says, Wait(67.9)),
        (63, ended, Wait(64)),
    ],
    "one that speaks and dies at once is no healthy worker": [
        (0, started, Wait(20)),
        (1, says, Wait(6)),
        (1, ended, Wait(2)),
        (2, started, Wait(22)),
        (3, says, Wait(8)),
        (3, ended, Wait(5)),
    ],
    "no second worker joins one that the kernel keeps": [
        (0, started, Wait(20)),
        (20, nothing, End(FAILED)),
        (21, kept, Wait(22)),
        (500, nothing, Wait(501)),
        (500, ended, Start()),
    ],
    "what a worker says that is to be ended is ignored": [
        (0, started, Wait(20)),
        (1, sick, End(FAILED)),
        (1, says, End(FAILED)),
    ],
    "a machine without a driver is asked for one less and less": [
        (0, absent, Wait(1)),
        (1, absent, Wait(3)),
        (3, nothing, Start()),
    ],
    "who is not wanted is ended in peace, and started when wanted": [
        (0, started, Wait(20)),
        (1, not_needed, End(UNWANTED)),
        (2, ended, Wait()),
        (9, needed, Start()),
    ],
    "a restart is no failure": [
        (0, started, Wait(20)),
        (1, restart, End(UNWANTED)),
        (1.5, ended, Start()),
    ],
    "a restart cuts a backoff short": [
        (0, started, Wait(20)),
        (0, ended, Wait(1)),
        (0.1, restart, Start()),
        (0.2, started, Wait(20.2)),
    ],
    "a stop ends the worker, and then it is over": [
        (0, started, Wait(20)),
        (1, stop, End(STOPPED)),
        (1.1, ended, Stop()),
    ],
    "a stop does not wait for one that the kernel keeps": [
        (0, started, Wait(20)),
        (1, stop, End(STOPPED)),
        (1.3, kept, Stop()),
    ],
    "a stop in the middle of a backoff is over at once": [
        (0, sick, Wait(1)),
        (0.1, stop, Stop()),
    ],
}


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_what_is_done(table: list[Row]) -> None:
    policy = Lines()
    for row, (now, event, action) in enumerate(table):
        event(policy, now)
        assert policy.next(now) == action, f"row {row}, at {now} s"


REPORTS: Final[dict[str, tuple[list[tuple[float, Event]], list[Failure | None]]]] = {
    "a healthy worker is nothing to report": ([(0, started), (1, says), (2, restart), (3, ended)], []),
    "a failure is said once": (
        [(0, started), (0, sick), (0, ended), (1, started), (1, sick), (1, ended), (3, started), (3, sick)],
        [SICK],
    ),
    "another failure is said too": ([(0, started), (0, sick), (0, ended), (1, started), (2, ended)], [SICK, DIED]),
    "and that it is over": (
        [(0, started), (20, nothing), (20, ended), (21, started), (22, says), (23, says)],
        [HANGS, None],
    ),
    "a failure after that is news": (
        [(0, started), (0, sick), (0, ended), (1, started), (2, says), (3, sick)],
        [SICK, None, SICK],
    ),
    "what fails because it is stopped is none": ([(0, started), (1, stop), (1, ended)], []),
}


@pytest.mark.parametrize(("events", "said"), REPORTS.values(), ids=list(REPORTS))
def test_transitions_are_said_and_nothing_else(events: list[tuple[float, Event]], said: list[Failure | None]) -> None:
    policy = Lines()
    for now, event in events:
        event(policy, now)
        policy.next(now)
    assert policy.reports() == [Report(failure) for failure in said]
    assert policy.reports() == []


def test_a_worker_that_ends_while_it_is_told_to_is_no_failure() -> None:
    policy = Lines()
    policy.started(0)
    policy.stop()
    policy.ended(0)
    assert policy.reports() == []


def test_no_line_of_a_worker_that_failed_is_taken() -> None:
    policy = Lines()
    policy.started(0)
    says(policy, 1)
    sick(policy, 1)
    says(policy, 1)
    assert policy.lines == [b"line"]


def test_a_wait_has_no_end_where_nothing_is_expected() -> None:
    assert Wait().until == math.inf
