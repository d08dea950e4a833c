"""What readers of jobs are told of heat: one question for all, no wait for what is away, and a limited memory."""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs

import pytest

from nvtopo.aggregator import heat_asker, heat_watch
from nvtopo.aggregator.heat_asker import HeatAnswer, HeatAsker
from nvtopo.aggregator.heat_watch import HeatWatch
from nvtopo.errors import ReadError
from nvtopo.exporters.heat_readings import Figure, Readings
from nvtopo.exporters.job_heat import Told
from tests.aggregator.running import looping
from tests.wire.test_prometheus import answer

READINGS: Readings = {"temperature": {("a", "GPU-0"): Figure(60.0, 1.0)}}
PATIENCE = 60.0


class Asked:
    """Answers at once, unless it is told to wait."""

    def __init__(self) -> None:
        self.now, self.takes = 100.0, 0.0
        self.questions: list[list[str]] = []
        self.answer = HeatAnswer(READINGS, "")
        self.open = threading.Event()
        self.open.set()

    def ask(self, nodes: Iterable[str]) -> HeatAnswer:
        self.questions.append(list(nodes))
        assert self.open.wait(PATIENCE)
        self.now += self.takes
        return self.answer


@pytest.fixture(name="asked")
def _asked() -> Asked:
    return Asked()


@pytest.fixture(name="watch")
def _watch(asked: Asked) -> Iterator[HeatWatch]:
    watch = HeatWatch(asked.ask, clock=lambda: asked.now)
    with looping(watch.run):
        yield watch
        asked.open.set()


def told(watch: HeatWatch, *nodes: str) -> Told:
    return asyncio.run(watch.told(nodes))


def test_many_readers_ask_once_and_again_after_some_seconds(watch: HeatWatch, asked: Asked) -> None:
    async def many() -> list[Told]:
        return await asyncio.gather(*(watch.told(["b", "a", "a"]) for _ in range(50)))

    assert asyncio.run(many()) == [Told(READINGS, 0.0, "")] * 50
    assert asked.questions == [["a", "b"]]
    asked.now += 4.9
    found = told(watch, "a", "b")
    assert (found.readings, round(found.seconds_ago, 6)) == (READINGS, 4.9)
    assert len(asked.questions) == 1
    asked.now += 0.2
    assert told(watch, "a", "b") == Told(READINGS, 0.0, "")
    assert len(asked.questions) == 2


def test_a_slow_prometheus_costs_a_reader_little(
    watch: HeatWatch, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heat_watch, "PATIENCE_SECONDS", 0.01)
    asked.open.clear()
    assert told(watch, "a") == Told({}, 100.0, "Prometheus has not answered yet")
    assert told(watch, "a").error == "Prometheus has not answered yet"
    asked.open.set()
    monkeypatch.setattr(heat_watch, "PATIENCE_SECONDS", PATIENCE)
    assert told(watch, "a") == Told(READINGS, 0.0, "")
    assert asked.questions == [["a"]]


def test_what_was_told_stays_while_prometheus_is_away_and_nobody_waits(watch: HeatWatch, asked: Asked) -> None:
    told(watch, "a")
    asked.answer = HeatAnswer({}, "Prometheus: refused")
    asked.now += 10
    assert told(watch, "a") == Told(READINGS, 10.0, "Prometheus: refused")
    asked.open.clear()
    asked.now += 10
    assert told(watch, "a") == Told(READINGS, 20.0, "Prometheus: refused")  # without waiting for the answer
    asked.answer = HeatAnswer(READINGS, "")
    asked.open.set()


def test_a_part_of_an_answer_counts(watch: HeatWatch, asked: Asked) -> None:
    asked.answer = HeatAnswer(READINGS, "Prometheus: too late")
    assert told(watch, "a") == Told(READINGS, 0.0, "Prometheus: too late")


def test_a_bug_in_reading_is_said_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_nodes: Iterable[str]) -> HeatAnswer:
        raise AssertionError

    watch = HeatWatch(broken)
    with looping(watch.run):
        assert told(watch, "a").error.startswith("Prometheus: ")
        assert told(watch, "b").error.startswith("Prometheus: ")
    assert [record.message for record in caplog.records] == ["bug"]


def test_so_many_jobs_wait_at_most(watch: HeatWatch, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heat_watch, "PATIENCE_SECONDS", 0.0)
    asked.open.clear()
    found = [told(watch, f"n{number}").error for number in range(heat_watch.MOST_WAITING + 2)]
    assert set(found[: heat_watch.MOST_WAITING]) == {"Prometheus has not answered yet"}
    assert set(found[heat_watch.MOST_WAITING :]) == {"too many jobs are asked for at once: ask again"}
    asked.open.set()


def test_few_jobs_and_few_figures_are_kept(watch: HeatWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(heat_watch.MOST_JOBS + 5):
        told(watch, f"n{number}")
    assert len(watch._kept) == heat_watch.MOST_JOBS
    assert ("n0",) not in watch._kept
    monkeypatch.setattr(heat_watch, "MOST_FIGURES", 3)
    told(watch, "last")
    assert [*watch._kept][-1] == ("last",)
    assert len(watch._kept) == 4


def test_what_nobody_looked_at_for_long_is_forgotten(watch: HeatWatch, asked: Asked) -> None:
    told(watch, "a")
    asked.now += 121
    told(watch, "b")
    assert [*watch._kept] == [("b",)]


class Server:
    """A Prometheus whose answers take so many seconds each."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds, self.queries, self.token = 0.0, seconds, list[str](), ""

    def post(self, url: str, form: bytes, token: str, seconds: float) -> bytes:
        assert url == "http://p:9090/api/v1/query"
        said = {name: value[0] for name, value in parse_qs(form.decode()).items()}
        assert int(said["timeout"].rstrip("s")) <= heat_asker.QUERY_SECONDS
        self.token, self.now = token, self.now + self.seconds
        if self.seconds > seconds:
            raise ReadError(f"{url}: timed out")
        self.queries.append(said["query"])
        return answer()

    def asker(self) -> HeatAsker:
        return HeatAsker("http://p:9090/", lambda: "bearer", post=self.post, clock=lambda: self.now)


def test_a_job_of_many_nodes_takes_few_queries() -> None:
    server = Server(0.0)
    found = server.asker().ask([f"node-{number:04}" for number in range(1250)])
    assert (found.error, len(server.queries), server.token) == ("", 25, "bearer")
    assert max(map(len, server.queries)) < 64 << 10


def test_all_queries_have_one_deadline() -> None:
    server = Server(4.5)
    found = server.asker().ask(["a"])
    assert (found.error, len(server.queries), server.now) == ("Prometheus: timed out", 4, 22.5)
    assert [*found.readings] == ["temperature", "margin", "slowdown", "sent"]


def test_one_query_does_not_take_it_all() -> None:
    server = Server(5.5)
    assert (server.asker().ask(["a"]).error, server.now) == ("Prometheus: timed out", 5.5)


def test_what_takes_long_is_asked_for_less_often(watch: HeatWatch, asked: Asked) -> None:
    asked.takes = 8.0
    told(watch, "a")
    asked.now += 15.9
    told(watch, "a")
    assert len(asked.questions) == 1
    asked.now += 0.2
    assert round(told(watch, "a").seconds_ago, 6) == 8.0
    assert len(asked.questions) == 2


def test_an_answer_that_is_none_is_said_in_a_line() -> None:
    said = HeatAsker(
        "http://p", lambda: "", post=lambda *_: b'{"status":"error","error":"no\\n%s"}' % (b"x" * 9999)
    ).ask(["a"])
    assert said.error.startswith("Prometheus: the answer: no")
    assert len(said.error) < 400
    assert "\n" not in said.error
