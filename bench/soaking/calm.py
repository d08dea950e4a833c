"""An agent at default settings where nothing happens, beside Debian's node exporter: what the two cost."""

import contextlib
import re
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bench.exporter import Exporter
from bench.scrape import node_exporter
from bench.soaking import footprint
from bench.soaking.footprint import Family
from bench.soaking.places import Place, place
from bench.soaking.watched import Scraper
from tests.lab.control_plane import ControlPlane

Json = dict[str, Any]

SCRAPE_SECONDS: Final = 15.0
_WARM_SECONDS: Final = 20.0
_INTERVAL_SECONDS: Final = 60


class Calm:
    """Measures while it is entered, after a warm-up of no more than a quarter of the time expected."""

    def __init__(self, agent: Place, exporter: Exporter | None, seconds: float) -> None:
        self._agent, self._exporter = agent, exporter
        self._warm = min(_WARM_SECONDS, seconds / 4)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)
        self.figures: Json = {}
        """There after the exit."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _measure(self) -> None:
        with Scraper(self._agent, SCRAPE_SECONDS) as scraper:
            self._stop.wait(self._warm)
            began, before = time.monotonic(), self._cpu_seconds()
            while not self._stop.wait(SCRAPE_SECONDS):
                if self._exporter is not None:
                    self._exporter.page()
            passed = time.monotonic() - began
            shares = {name: (cpu - before[name]) / passed for name, cpu in self._cpu_seconds().items()}
        sizes = [sample.family.all.pss_bytes for sample in scraper.samples]
        agent = {
            "cpuShare": shares["agent"],
            "pssBytes": statistics.median(sizes),
            "mostPssBytes": max(sizes),
            "processes": _by_process(sample.family for sample in scraper.samples if sample.at_rest),
        }
        self.figures = {"seconds": passed, "agent": agent}
        if self._exporter is not None:
            pss = self._exporter.use().pss_bytes
            self.figures["nodeExporter"] = {"cpuShare": shares["nodeExporter"], "pssBytes": pss}

    def _cpu_seconds(self) -> dict[str, float]:
        found = {"agent": footprint.cpu_seconds(self._agent.process)}
        return found if self._exporter is None else found | {"nodeExporter": self._exporter.use().cpu_seconds}


def _by_process(families: Iterable[Family]) -> dict[str, float]:
    """Process → its PSS in bytes, the median; workers of the same module together."""
    sizes: defaultdict[str, list[int]] = defaultdict(list)
    for family in families:
        now = Counter({"the agent itself": family.own.pss_bytes})
        for command, child in family.children:
            now[_worker(command)] += child.pss_bytes
        for name, size in now.items():
            sizes[name].append(size)
    return {name: statistics.median(found) for name, found in sizes.items()}


def _worker(command: str) -> str:
    """A worker's module."""
    found = re.search(r"\bnvtopo\.[a-z_.]+", command)
    return found[0].rpartition(".")[2] if found else command


@contextlib.contextmanager
def calm(plane: ControlPlane, directory: Path, seconds: float) -> Iterator[Calm]:
    """The two, running; the node exporter where it is installed."""
    with (
        node_exporter() as exporter,
        place(plane, directory, "calm", "--interval", str(_INTERVAL_SECONDS)) as agent,
    ):
        yield Calm(agent, exporter, seconds)
