"""Each thread of agent and aggregator in turn ends by an exception: ``/healthz`` fails, and the Lease is given up.

The threads are those that the running program has, so a new one is tried without being listed here.
"""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.agent.test_agent import wait_until
from tests.agent.test_shutdown import kubeconfig
from tests.hosts.recorded import FIXTURES
from tests.kube.fake_api_server import FakeApiServer
from tests.lab.process import Child, free_port
from tests.nvml import build

pytestmark = pytest.mark.slow

H100: Final = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "nvml.json"
#: One for each connection or call: they end with it, and no work ends with them.
_SHORT_LIVED: Final = ("ahead", "call guard", "nvtopo-watch-end", "Thread-")
_AT_ONCE: Final = 3
PATIENCE: Final = 120.0


class Program(NamedTuple):
    """One that runs, with a thread that can fall."""

    child: Child
    url: str
    directory: Path
    api: FakeApiServer

    @property
    def health(self) -> int:
        """Status of ``/healthz``; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:  # noqa: S310 - our own URL
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    @property
    def threads(self) -> list[str]:
        """Those that live as long as the process."""
        file = self.directory / "threads"
        names = file.read_text().splitlines() if file.exists() else []
        return [name for name in names if not name.startswith(_SHORT_LIVED)]

    @property
    def holder(self) -> str:
        """Who holds the Lease."""
        with self.api.changed:
            return str((self.api.lease or {"spec": {}})["spec"].get("holderIdentity") or "")


@contextmanager
def running(directory: Path, verb: str, victim: str) -> Iterator[Program]:
    directory.mkdir()
    (directory / "nvml.json").write_text(H100.read_text())
    (directory / "features.d").mkdir()
    address = f"127.0.0.1:{free_port()}"
    with FakeApiServer() as api:
        given = ["--listen", address, "--kubeconfig", str(kubeconfig(directory, api.url))]
        if verb == "agent":
            given += ["--interval", "1", "--features-dir", str(directory / "features.d")]
            given += ["--nvml", str(build.library()), "--node-name", "node-a"]
            api.nodes["node-a"] = "uid"
        child = Child(
            verb,
            (sys.executable, "-m", "tests.falling", str(directory), victim, verb, *given),
            log=directory / "log",
            environment={
                "NVTOPO_NVML_FIXTURE": str(directory / "nvml.json"),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )
        program = Program(child, f"http://{address}", directory, api)
        try:
            assert wait_until(lambda: program.health == 200, PATIENCE), (directory / "log").read_text()
            yield program
        finally:
            child.stop()


def settled(program: Program, wanted: frozenset[str]) -> list[str]:
    """All of its threads, once those that are known to be there are."""
    assert wait_until(lambda: wanted <= set(program.threads), PATIENCE), program.threads
    return program.threads


def fallen(directory: Path, verb: str, victim: str, consequences: Callable[[Program], bool]) -> str | None:
    """The victim, unless its fall had the consequences."""
    with running(directory / victim.replace("/", "_"), verb, victim) as program:
        assert wait_until(lambda: victim in program.threads and (verb == "agent" or bool(program.holder)), PATIENCE), (
            victim
        )
        (program.directory / "fall").touch()
        return None if wait_until(lambda: consequences(program), PATIENCE) else victim


def every_fall(directory: Path, verb: str, wanted: frozenset[str], consequences: Callable[[Program], bool]) -> None:
    build.library()
    with running(directory / "all", verb, "") as program:
        names = settled(program, wanted)
        assert program.health == 200
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda name: fallen(directory, verb, name, consequences), names))
    assert [name for name in found if name is not None] == []


@pytest.mark.timeout(600)
def test_each_thread_of_the_aggregator(tmp_path: Path) -> None:
    wanted = frozenset(
        {
            *("Applier.run", "Leadership.run", "SignsOfLife.run", "StatusWriter.run"),
            *("agent-pods", "aggregator-events", "apply-status-0", "http"),
        }
    )
    every_fall(tmp_path, "aggregator", wanted, lambda program: program.health == 503 and not program.holder)


@pytest.mark.timeout(600)
def test_each_thread_of_the_agent(tmp_path: Path) -> None:
    wanted = frozenset({"page", "pods", "netlink", "udev", "sink-nfd", "sink-resource"})
    every_fall(tmp_path, "agent", wanted, lambda program: program.health == 503)
