"""A recorded machine with a real ``nvtopo agent`` process on it, and what can go wrong with the two.

Facts are changed as a machine changes them: files below its ``/sys``, the NVML library's fixture, the library itself.
What the agent made of it is read where an operator reads it: its log, its metrics page, the feature file.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.hosts.recorded import FIXTURES, IN_MEMORY
from tests.lab import kube
from tests.lab.process import Child
from tests.machines import sysfs_text
from tests.nvml import build

Json = dict[str, Any]
Page = dict[str, list[tuple[dict[str, str], float]]]
"""Name → labels and values."""

HOST: Final = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7"
SONAME: Final = "libnvidia-ml.so.1"
#: Between passes: the least that the agent takes.
INTERVAL_SECONDS: Final = 1
PATIENCE_SECONDS: Final = 120.0

needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "mount"))),
    reason="needs root and util-linux, to mount a file system of its own",
)


class Agent:
    """One ``nvtopo agent`` process."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    @property
    def lines(self) -> list[Json]:
        """Its log; lines that are no JSON are the text of a ``message``."""
        return [_line(line) for line in self.child.log.read_text(errors="replace").splitlines()]

    def said(self, message: str, **fields: str) -> list[Json]:
        """The log's lines of that message whose fields contain these texts."""
        return [
            line
            for line in self.lines
            if line["message"] == message and all(text in str(line.get(name)) for name, text in fields.items())
        ]

    def says(self, message: str, **fields: str) -> Json:
        """Waits until it said so."""
        found: list[Json] = self.eventually(
            lambda: self.said(message, **fields), f"{message!r} with {fields} in the log"
        )
        return found[-1]

    def eventually(self, probe: kube.Probe[Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """The probe's first true answer, as long as the agent lives."""

        def watched() -> Any:
            self.child.check()
            return probe()

        try:
            return kube.wait_for(watched, what=what, seconds=seconds, interval=0.05)
        except TimeoutError as error:
            raise AssertionError(f"{error}; {self.child.last_words()}") from None

    def page(self) -> Page:
        """What Prometheus would read."""
        found: Page = {}
        for family in text_string_to_metric_families(self._get("/metrics")[1]):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """The one series of that name and labels; None where there is none."""
        found = [value for given, value in self.page().get(name, ()) if given.items() >= labels.items()]
        assert len(found) < 2, f"{name} {labels}: {found}"
        return found[0] if found else None

    def ready(self) -> bool:
        """What the kubelet's readiness probe finds."""
        return self._get("/readyz")[0] == 200

    def alive(self) -> bool:
        """What the kubelet's liveness probe finds."""
        return self._get("/healthz")[0] == 200

    def _get(self, path: str) -> tuple[int, str]:
        (line,) = self.eventually(lambda: self.said("serving"), "the page's address in the log")
        try:
            with self._open(line["url"] + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


class Node:
    """The machine, while it is entered; agents that were started end with it."""

    def __init__(self, directory: Path, host: Path = HOST) -> None:
        self._ended = ExitStack()
        self.name = "node-a"
        self.directory = directory
        self.host = host
        self.root = Path(tempfile.mkdtemp(prefix="nvtopo-faults-", dir=IN_MEMORY))
        self._ended.callback(shutil.rmtree, self.root)
        sysfs_text.unpack((host / "sys.txt").read_text(encoding="utf-8"), self.root)
        self.features_d = directory / "features.d"
        self.features_d.mkdir()
        self.driver = directory / "driver" / SONAME
        self.driver.parent.mkdir()
        self.fixture = directory / "nvml.json"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._ended.close()

    def install_driver(self) -> None:
        """The library appears, as from a package or a driver container."""
        shutil.copy(build.library(), self.driver)

    def driver_is_like(self, change: Callable[[Any], object] = lambda _: None) -> None:
        """The driver of the recorded machine from now on, but for a change; sessions that are open notice."""
        model = json.loads((self.host / "nvml.json").read_text())
        change(model)
        replacement = self.fixture.with_suffix(".new")
        replacement.write_text(json.dumps(model))
        replacement.replace(self.fixture)

    def start(
        self,
        *options: str,
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
        name: str = "agent",
        resource: bool = False,
    ) -> Agent:
        """An agent as the DaemonSet runs it; ``before`` is what runs it (``unshare``, ``strace``)."""
        return self._started(
            name,
            before,
            (
                *("--listen", "127.0.0.1:0", "--interval", str(INTERVAL_SECONDS), "--sample-interval", "0.2"),
                *("--features-dir", str(self.features_d)),
                *(() if resource else ("--no-resource",)),
                *options,
            ),
            environment or {},
        )

    def once(self, *options: str, before: Sequence[str] = ()) -> Agent:
        """One pass of an agent, that ends by itself."""
        where = ("--features-dir", str(self.features_d), "--no-resource")
        return self._started("once", before, ("--once", *where, *options), {})

    def labels(self) -> dict[str, str]:
        """What Node Feature Discovery would read: the feature file's labels; empty without a file."""
        return labels_in(self._features())

    def _features(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.features_d / "nvtopo").read_text(encoding="utf-8")
        return ""

    def _started(
        self, name: str, before: Sequence[str], options: Sequence[str], environment: Mapping[str, str]
    ) -> Agent:
        child = Child(
            name,
            (
                *before,
                *(sys.executable, "-m", "nvtopo", "agent"),
                *("--root", str(self.root), "--node-name", self.name),
                *(() if "--nvml" in options else ("--nvml", str(self.driver))),
                *options,
            ),
            log=self.directory / f"{name}-{len(list(self.directory.glob('*.log')))}.log",
            environment={
                "NVTOPO_NVML_FIXTURE": str(self.fixture),
                "NVTOPO_NVML_LIVE": "1",
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                **environment,
            },
        )
        self._ended.callback(child.stop)
        return Agent(child)


def labels_in(text: str) -> dict[str, str]:
    """Labels of a feature file, without our prefix."""
    lines = (line.partition("=") for line in text.splitlines() if line and not line.startswith("#"))
    return {name.removeprefix("nvtopo.io/"): value for name, _, value in lines}


def _line(text: str) -> Json:
    with contextlib.suppress(ValueError):
        line = json.loads(text)
        if isinstance(line, dict):
            return {"message": "", **line}
    return {"message": text}
