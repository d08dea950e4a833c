"""A running agent, watched: scraped as Prometheus does, its memory read, labels and resource looked at."""

import http.client
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple, Self

from bench.soaking import footprint, scenario
from bench.soaking.footprint import Family
from bench.soaking.places import Place
from bench.soaking.scenario import Machine, View

SINKS: Final = ("labels", "resource", "metrics")

_LOOK_AGAIN_SECONDS: Final = 0.02
#: The API server and the test share their cores with the agent.
_ASK_AGAIN_SECONDS: Final = 0.25
_SCRAPE_SECONDS: Final = 10.0
_LAST_READING: Final = "nvtopo_observation_duration_seconds"


class Scrape(NamedTuple):
    """One scrape."""

    began: float
    seconds: float
    whole: bool
    """Whether a page came of it."""


class Sample(NamedTuple):
    """What the agent and its children hold."""

    at: float
    family: Family

    @property
    def at_rest(self) -> bool:
        """Whether only those workers are there that stay: none that reads the machine once and ends."""
        return not any("nvml import worker" in command for command, _ in self.family.children)


class Scraper:
    """Scrapes, and reads the agent's memory four times as often, while it is entered."""

    def __init__(self, place: Place, interval_seconds: float) -> None:
        self._place, self._port, self._process = place, place.port, place.process
        self._interval = interval_seconds
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._scrape, self._sample)]
        self._page = ""
        self.scrapes: list[Scrape] = []
        self.samples: list[Sample] = []
        self.longest_pass_seconds = 0.0
        """As the page says."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def view(self, since: float) -> View | None:
        """What the last page says; None where no scrape began since then, or it failed."""
        if not self.scrapes or self.scrapes[-1].began < since or not self.scrapes[-1].whole:
            return None
        return scenario.of_page(self._page)

    def _scrape(self) -> None:
        while not self._stop.wait(self._interval):
            began = time.monotonic()
            page = self._ask()
            self._page = page or ""
            self.scrapes.append(Scrape(began, time.monotonic() - began, page is not None))
            self.longest_pass_seconds = max(self.longest_pass_seconds, *scenario.values(self._page, _LAST_READING), 0.0)

    def _ask(self) -> str | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SCRAPE_SECONDS)
        try:
            self._place.apart.within(connection.connect)
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            body = answer.read().decode()
        except OSError:
            return None
        finally:
            connection.close()
        return body if answer.status == http.HTTPStatus.OK else None

    def _sample(self) -> None:
        while not self._stop.wait(self._interval / 4):
            self.samples.append(Sample(time.monotonic(), footprint.family(self._process)))


class Sight:
    """What is seen of a machine, by sink."""

    def __init__(self, place: Place, machine: Machine, scraper: Scraper) -> None:
        self._place, self._machine, self._scraper = place, machine, scraper

    def delays(self, sinks: tuple[str, ...], since: float, patience: float) -> dict[str, float | None]:
        """Sink → seconds until it said what the machine is; None where it did not in time."""
        expected = self._machine.state.view
        looks: dict[str, Callable[[], View | None]] = {
            "labels": self._machine.labels,
            "resource": _seldom(self._resource),
            "metrics": lambda: self._scraper.view(since),
        }
        found: dict[str, float | None] = dict.fromkeys(sinks)
        while None in found.values() and time.monotonic() < since + patience:
            for sink in sinks:
                if found[sink] is None and looks[sink]() == expected:
                    found[sink] = time.monotonic() - since
            time.sleep(_LOOK_AGAIN_SECONDS)
        return found

    def _resource(self) -> View | None:
        document = self._place.api.find(self._place.path)
        return None if document is None else scenario.of_resource(document)


def _seldom(look: Callable[[], View | None]) -> Callable[[], View | None]:
    """The same, that says nothing where it was asked too soon."""
    due = 0.0

    def looked() -> View | None:
        nonlocal due
        if time.monotonic() < due:
            return None
        seen = look()
        due = time.monotonic() + _ASK_AGAIN_SECONDS
        return seen

    return looked
