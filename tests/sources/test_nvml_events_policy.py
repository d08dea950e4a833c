"""What the events worker's lines amount to, without a worker."""

from typing import Final

import pytest

from nvtopo.model.records.nvml_events import NvmlEvent
from nvtopo.runtime.backoff import Backoff
from nvtopo.runtime.worker_policy import End, Start, Wait
from nvtopo.sources.nvml.events_policy import EventsPolicy, News, Opened, Pace

PACE: Final = Pace(silence=15, start=20)
LISTENS: Final = b'{"gpus": 8}'
ALIVE: Final = b"{}"
XID: Final = b'{"event": {"kind": "xid", "gpu": 3, "uuid": "GPU-3", "xid": 79}}'
FALLEN: Final = NvmlEvent(kind="xid", gpu=3, uuid="GPU-3", xid=79)


@pytest.fixture
def policy() -> EventsPolicy:
    policy = EventsPolicy(PACE, Backoff(1, 60, draw=lambda: 1.0))
    assert policy.next(0) == Start()
    policy.started(0)
    return policy


@pytest.mark.parametrize(
    ("lines", "news", "listening"),
    [
        ([], [], 0),
        ([LISTENS], [Opened(8)], 8),
        ([LISTENS, ALIVE, ALIVE], [Opened(8)], 8),
        ([LISTENS, XID, XID], [Opened(8), FALLEN, FALLEN], 8),
        ([LISTENS, XID, b'{"driver": "GPU is lost"}'], [Opened(8), FALLEN], 0),
        ([LISTENS, b"nonsense", XID], [Opened(8)], 0),
        ([b'{"gpus": -1}'], [], 0),
    ],
)
def test_lines(policy: EventsPolicy, lines: list[bytes], news: list[News], listening: int) -> None:
    for line in lines:
        policy.heard(1, line)
    assert policy.news() == news
    assert policy.listening == listening
    assert policy.news() == []


def test_signs_of_life_put_off_the_deadline(policy: EventsPolicy) -> None:
    assert policy.next(0) == Wait(20)
    policy.heard(5, LISTENS)
    assert policy.next(5) == Wait(20)
    policy.heard(10, ALIVE)
    assert policy.next(10) == Wait(25)
    assert isinstance(policy.next(25), End)
    assert policy.listening == 0


def test_a_worker_that_listens_again_is_reported_and_one_that_only_lives_is_not(policy: EventsPolicy) -> None:
    policy.heard(0, b'{"driver": "Driver Not Loaded"}')
    policy.ended(0)
    policy.started(1)
    policy.heard(1, ALIVE)
    assert [report.failure and report.failure.words for report in policy.reports()] == ["Driver Not Loaded"]
    policy.heard(2, LISTENS)
    assert [report.failure for report in policy.reports()] == [None]


def test_a_worker_is_not_killed_before_it_could_end_by_itself(policy: EventsPolicy) -> None:
    """It looks at its input twice a second; from a kill a GPU may suffer."""
    policy.heard(1, b"nonsense")
    action = policy.next(1)
    assert isinstance(action, End)
    assert action.grace_seconds > 0.5


def test_who_is_renewed_does_not_listen_until_it_does(policy: EventsPolicy) -> None:
    policy.heard(1, LISTENS)
    policy.restart()
    assert isinstance(policy.next(1), End)
    policy.ended(2)
    assert policy.listening == 0
    assert policy.next(2) == Start()
    assert policy.reports() == []
