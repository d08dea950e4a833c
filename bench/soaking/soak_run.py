"""What happens to an agent in a soak: a change every second or so, and now and then a fault."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from bench.soaking.places import Place
from bench.soaking.scenario import CHANGES, Driver, Machine, State
from bench.soaking.watched import SINKS, Scraper, Sight
from bench.timing import ProgramFailed
from nvtopo.agent import DEBOUNCE_SECONDS

#: What the driver has for an answer, so that a hang costs seconds.
DEADLINE_SECONDS: Final = 2

#: A change that was not seen by then was missed.
_PATIENCE_SECONDS: Final = 60.0
#: A sink that failed waits up to a minute before it tries again.
_PATIENCE_AFTER_FAULT_SECONDS: Final = 120.0
#: The time that looking takes, on cores that are busy.
_SLACK_SECONDS: Final = 0.5
_FAULT_SECONDS: Final = (0.5, 4.0)
_FAULTS_SHARE: Final = 0.2
_PAUSE_SECONDS: Final = 0.5


class Seen(NamedTuple):
    """What became of one change."""

    kind: str
    delays: dict[str, float | None]
    """Sink → seconds; None where it was missed."""
    allowed_seconds: float | None
    """For labels; None where a sink has to find out first that it works again."""


class SoakRun:
    """One agent on one machine, and everything that happens to the two."""

    def __init__(self, place: Place, machine: Machine, scraper: Scraper, seed: int) -> None:
        self._place, self._machine, self._scraper = place, machine, scraper
        self._sight = Sight(place, machine, scraper)
        self._random = random.Random(seed)  # noqa: S311 - the same scenario again
        self.seen: list[Seen] = []
        self.faults: Counter[str] = Counter()

    def settle(self) -> None:
        """Wait until everything is written for the first time."""
        delays = self._sight.delays(SINKS, time.monotonic(), _PATIENCE_SECONDS)
        if None in delays.values():
            raise ProgramFailed(f"agent: not everything written after {_PATIENCE_SECONDS:g} s: {delays}")

    def run(self, seconds: float) -> None:
        """Each kind once, in any order, and then at random until the time is over."""
        ends = time.monotonic() + seconds
        faults: dict[str, Callable[[], None]] = {
            "driver hangs": lambda: self._driver("hangs"),
            "driver is not loaded": lambda: self._driver("is not loaded"),
            "API server away": self._api_server_away,
            "feature directory away": self._directory_away,
            "feature file removed": self._file_removed,
            "worker killed": self._worker_killed,
        }
        first = [*CHANGES, *faults]
        self._random.shuffle(first)
        while first or time.monotonic() < ends:
            kind = first.pop() if first else self._any(tuple(faults))
            if kind in faults:
                self.faults[kind] += 1
                faults[kind]()
            else:
                self._change(kind)
            time.sleep(self._random.uniform(0, _PAUSE_SECONDS))

    def _any(self, faults: tuple[str, ...]) -> str:
        return self._random.choice(faults if self._random.random() < _FAULTS_SHARE else tuple(CHANGES))

    def _change(self, kind: str, sinks: tuple[str, ...] = SINKS) -> None:
        self._become(kind, CHANGES[kind](self._machine.state, self._random), sinks)

    def _become(self, kind: str, state: State, sinks: tuple[str, ...] = SINKS) -> None:
        allowed = self._allowed(state.driver, self._machine.state.driver)
        self._machine.become(state)
        self._place.apart.ring()
        self._await(kind, sinks, allowed)

    def _await(self, kind: str, sinks: tuple[str, ...], allowed: float | None) -> None:
        call_guard = _PATIENCE_AFTER_FAULT_SECONDS if allowed is None else _PATIENCE_SECONDS
        self.seen.append(Seen(kind, self._sight.delays(sinks, time.monotonic(), call_guard), allowed))

    def _allowed(self, *drivers: Driver) -> float:
        """A pass may be under way, then comes the debounce time, then a pass; the longest so far may come again."""
        one = max(self._scraper.longest_pass_seconds, DEADLINE_SECONDS if "hangs" in drivers else 0.0)
        return DEBOUNCE_SECONDS + 2 * one + _SLACK_SECONDS

    def _driver(self, how: Driver) -> None:
        self._become(f"driver {how}", self._machine.state._replace(driver=how))
        self._change("NIC")
        self._while_it_lasts()
        self._become("driver answers", self._machine.state._replace(driver="answers"))

    def _api_server_away(self) -> None:
        self._place.gate.shut()
        self._change(self._random.choice(tuple(CHANGES)), ("labels", "metrics"))
        self._while_it_lasts()
        self._place.gate.open()
        self._await("API server back", ("resource",), None)

    def _directory_away(self) -> None:
        here = self._place.node.features_d
        away = here.rename(here.with_name("features-away"))
        self._change(self._random.choice(tuple(CHANGES)), ("resource", "metrics"))
        self._while_it_lasts()
        away.rename(here)
        self._await("feature directory back", ("labels",), None)

    def _file_removed(self) -> None:
        (self._place.node.features_d / "nvtopo").unlink()
        self._become("feature file removed", self._machine.state, ("labels",))

    def _worker_killed(self) -> None:
        for child in self._place.process.children(recursive=True):
            if child.name() == "nvml-counters":
                child.kill()
        self._change(self._random.choice(tuple(CHANGES)))

    def _while_it_lasts(self) -> None:
        time.sleep(self._random.uniform(*_FAULT_SECONDS))
