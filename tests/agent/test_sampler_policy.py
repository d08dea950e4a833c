"""The sampler's policy by the clock of the test: no thread, no worker, no sleep."""

from typing import Final

import msgspec
import pytest

from nvtopo.agent.parts.sampler_policy import Pace, SamplerPolicy
from nvtopo.model.samples.gpu_counters import GpuSample
from nvtopo.runtime.backoff import Backoff
from nvtopo.runtime.worker_policy import Action, End, Failure, Send, Start, Wait
from nvtopo.sinks.metrics.sampler import Sampled
from nvtopo.sources.nvml.counters import HEALTH, TRAFFIC, CounterLine

PACE: Final = Pace(interval=1, health=5, idle=300, deadline=3, start=20, backoff=1, longest_backoff=60)
#: An answer takes so long.
TOOK: Final = 0.125


class Clock:
    """A policy, a worker that answers as it is told, and the time."""

    def __init__(self, pace: Pace = PACE, *, present: bool = True) -> None:
        self.policy = SamplerPolicy(pace, present=present, backoff=Backoff(1, 60, draw=lambda: 1.0))
        self.now = 1000.0
        self.starts: list[float] = []
        self.asked: list[tuple[float, bytes]] = []
        self.lost = 0
        self.failed: tuple[str, ...] = ()
        self.hangs = False
        self.sent = 0

    def until(self, end: float) -> None:
        """Do what the policy says until then."""
        while (action := self.policy.next(self.now)) is not None:
            if isinstance(action, Wait) and action.until >= end:
                self.now = end
                return
            self._do(action)

    def _do(self, action: Action) -> None:
        if isinstance(action, Start):
            self.starts.append(self.now - 1000)
            self.policy.started(self.now)
        elif isinstance(action, Wait):
            self.now = action.until
        elif isinstance(action, Send):
            self.asked.append((self.now - 1000, action.line))
            self.policy.sent(self.now, action.line)
            if not self.hangs:
                self.now += TOOK
                self.policy.heard(self.now, self._answer(health=action.line == HEALTH))
        elif isinstance(action, End):
            self.policy.ended(self.now)

    def _answer(self, *, health: bool) -> bytes:
        indices = range(2 - self.lost)
        gpus = tuple(GpuSample(index=index, uuid=f"GPU-{index}", at=self.now, sent=(self.sent,)) for index in indices)
        return msgspec.json.encode(CounterLine(gpus=gpus, lost=self.lost, failed=self.failed if health else ()))

    def scrape(self) -> Sampled:
        sampled = self.policy.scrape(self.now)
        assert sampled is not None
        return sampled

    def peak(self) -> float | None:
        """Bytes per second of the first GPU's link, at the most since the last scrape."""
        return self.scrape().gpus[0].sent.peak[0]

    def shown(self) -> tuple[int, set[str]]:
        """How many GPUs a scrape shows now, and what it says is wrong."""
        sampled = self.scrape()
        return len(sampled.gpus), set(sampled.reasons)


@pytest.fixture
def clock() -> Clock:
    """After a scrape that has begun it."""
    clock = Clock()
    clock.policy.scrape(clock.now)
    return clock


def test_nobody_is_asked_before_somebody_scrapes() -> None:
    assert SamplerPolicy(PACE, present=True).next(0) == Wait()


def test_traffic_is_asked_for_each_second_and_health_each_fifth(clock: Clock) -> None:
    clock.until(1011.5)
    assert clock.asked == [(float(second), HEALTH if second % 5 == 0 else TRAFFIC) for second in range(12)]


def test_one_question_at_a_time(clock: Clock) -> None:
    clock.until(1000.5)
    clock.hangs = True
    clock.until(1003.9)
    assert [at for at, _ in clock.asked] == [0, 1]


def test_the_first_answer_may_take_as_long_as_the_driver_does(clock: Clock) -> None:
    clock.hangs = True
    clock.until(1019.9)
    assert clock.policy.state.reasons == {"starting"}
    clock.until(1020.1)
    assert clock.policy.state.reasons == {"hang"}


def test_so_may_the_first_answer_of_the_worker_that_follows_a_hang(clock: Clock) -> None:
    clock.until(1000.5)
    clock.hangs = True
    clock.until(1024.9)
    assert (clock.starts, clock.policy.state.restarts) == ([0, 5], 1)
    clock.until(1025.1)
    assert clock.policy.state.restarts == 2


def test_a_scrape_shows_the_samples_while_they_are_fresh(clock: Clock) -> None:
    clock.until(1002.5)
    assert clock.shown() == (2, set())
    assert clock.scrape().sample_seconds == TOOK


def test_samples_that_are_not_fresh_are_not_on_the_page() -> None:
    """Whatever holds up the thread: an interval, a deadline and a second after the last sample."""
    clock = Clock()
    clock.policy.scrape(clock.now)
    clock.until(1000.5)
    last = 1000 + TOOK
    clock.now = last + 5
    assert clock.shown() == (2, set())
    clock.now = last + 5.001
    assert clock.shown() == (0, {"stale"})
    assert not clock.scrape().up


def test_a_hang_takes_the_samples_off_the_page_at_its_deadline(clock: Clock) -> None:
    clock.until(1000.5)
    clock.hangs = True
    clock.until(1003.5)
    assert clock.shown() == (2, set())
    clock.until(1004.5)
    assert clock.shown() == (0, {"hang"})
    state = clock.policy.state
    assert (state.restarts, state.sample_seconds) == (1, None)
    clock.hangs = False
    clock.until(1005.5)
    assert clock.shown() == (2, set())


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b'{"driver": "Driver Not Loaded"}', "driver"), (b"nonsense", "garbled"), (b'{"gpus": 1}', "garbled")],
)
def test_an_answer_that_is_none_takes_them_off_too(clock: Clock, line: bytes, reason: str) -> None:
    clock.until(1000.5)
    clock.policy.sent(clock.now, TRAFFIC)
    clock.policy.heard(clock.now, line)
    assert clock.shown() == (0, {reason})
    assert isinstance(clock.policy.next(clock.now), End)


def test_an_answer_to_no_question_is_garbled(clock: Clock) -> None:
    clock.until(1000.5)
    clock.policy.heard(clock.now, msgspec.json.encode(CounterLine()))
    assert clock.shown() == (0, {"garbled"})


def test_a_worker_that_died_is_no_more_asked(clock: Clock) -> None:
    clock.until(1000.5)
    clock.policy.ended(clock.now)
    assert clock.shown() == (0, {"died"})
    assert clock.policy.next(clock.now) == Wait(1001.5)
    clock.until(1003)
    assert [at for at, _ in clock.asked] == [0, 1.5, 2.5]
    assert clock.asked[1][1] == HEALTH


def test_a_worker_that_can_t_be_started_is_tried_later(clock: Clock) -> None:
    clock.policy.failed(clock.now, Failure("died", "cannot start the worker"))
    assert clock.shown() == (0, {"died"})
    assert clock.policy.next(clock.now) == Wait(1001)


def test_a_lost_gpu_has_no_series_and_the_others_have(clock: Clock) -> None:
    clock.until(1001.5)
    clock.lost = 1
    clock.until(1002.5)
    assert clock.shown() == (1, {"gpu-lost"})
    assert [report.failure for report in clock.policy.reports()] == [Failure("gpu-lost", "1 GPUs do not answer")]
    clock.lost = 0
    clock.until(1003.5)
    assert clock.shown() == (2, set())
    assert [report.failure for report in clock.policy.reports()] == [None]


def test_while_a_gpu_is_lost_the_worker_is_replaced_once_a_minute_and_the_samples_stay(clock: Clock) -> None:
    clock.lost = 1
    clock.until(1001)
    while clock.now < 1190:
        clock.until(clock.now + 0.25)
        assert clock.shown() == (1, {"gpu-lost"})
    assert clock.starts == pytest.approx([0, 61, 122, 183], abs=0.5)
    assert clock.policy.state.restarts == 0


def test_without_a_scrape_the_driver_is_let_go_and_the_next_one_takes_it_up(clock: Clock) -> None:
    clock.until(1299.9)
    assert clock.asked[-1][0] == 299
    assert clock.policy.state.reasons == set()
    clock.until(1400)
    assert clock.asked[-1][0] < 300
    assert clock.policy.next(clock.now) == Wait()
    assert clock.policy.state.reasons == {"starting"}
    assert clock.shown() == (0, {"starting"})
    assert clock.policy.next(clock.now) == Start()


def test_what_failed_before_the_driver_was_let_go_is_forgotten(clock: Clock) -> None:
    clock.policy.failed(clock.now, Failure("died", "cannot start the worker"))
    clock.now = 1500
    assert clock.policy.next(clock.now) == Wait()
    assert clock.shown() == (0, {"starting"})


def test_a_machine_without_a_driver_has_no_sampler_on_its_page_until_it_has_one() -> None:
    clock = Clock(present=False)
    assert clock.policy.scrape(clock.now) is None
    assert clock.policy.next(clock.now) == Start()
    clock.policy.absent(clock.now)
    assert clock.policy.scrape(clock.now) is None
    assert clock.policy.next(clock.now) == Wait(1001)
    clock.until(1001.5)
    assert clock.shown() == (2, set())


def test_the_wait_ends_when_nobody_wants_samples_any_more(clock: Clock) -> None:
    clock.hangs = True
    clock.now = 1290
    assert clock.policy.next(clock.now) == Start()
    clock.policy.started(clock.now)
    clock.policy.sent(clock.now, HEALTH)
    assert clock.policy.next(clock.now) == Wait(1300)


@pytest.mark.parametrize("seconds", [10, 100])
def test_a_burst_is_seen_by_the_scrape_after_it(clock: Clock, seconds: float) -> None:
    clock.until(1000.5)
    clock.scrape()
    clock.sent += 1000
    clock.until(1000.5 + seconds)
    assert clock.peak() == 1000


def test_a_burst_is_seen_for_fifteen_seconds_by_whoever_scrapes_and_then_no_more(clock: Clock) -> None:
    clock.until(1000.5)
    clock.sent += 1000
    clock.until(1002.5)
    assert clock.peak() == 1000
    clock.until(1012.5)
    assert clock.peak() == 1000
    clock.until(1017.5)
    assert clock.peak() == 0


def test_between_slow_samples_nothing_is_late() -> None:
    clock = Clock(PACE._replace(interval=10))
    clock.policy.scrape(clock.now)
    clock.until(1035)
    assert [at for at, _ in clock.asked] == [0, 10, 20, 30]
    assert clock.shown() == (2, set())


def test_samples_are_counted_one_by_one(clock: Clock) -> None:
    for second in range(1, 5):
        clock.until(1000 + second)
        assert clock.scrape().samples == len(clock.asked)
    assert len(clock.asked) >= 3


def test_what_failed_is_said_until_it_answers(clock: Clock) -> None:
    clock.failed = ("GPU1: nvmlDeviceGetPowerUsage: Unknown Error",)
    clock.until(1003.5)
    assert clock.shown() == (2, {"failed"})
    clock.failed = ()
    clock.until(1004.5)
    assert clock.shown() == (2, {"failed"})
    clock.until(1006)
    assert clock.shown() == (2, set())
    reported = [report.failure for report in clock.policy.reports()]
    assert reported == [Failure("failed", "GPU1: nvmlDeviceGetPowerUsage: Unknown Error"), None]


def test_a_gpu_that_is_lost_is_said_first(clock: Clock) -> None:
    clock.lost, clock.failed = 1, ("GPU0: field 164: Unknown Error",)
    clock.until(1001)
    assert clock.shown() == (1, {"gpu-lost", "failed"})
    assert [report.failure for report in clock.policy.reports()] == [Failure("gpu-lost", "1 GPUs do not answer")]
