"""SIGTERM to the real program, while what it depends on hangs."""

import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import yaml

from tests.agent.test_agent import wait_until
from tests.hosts.recorded import FIXTURES
from tests.lab.process import Child
from tests.nvml import build

pytestmark = pytest.mark.slow

H100: Final = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "nvml.json"
#: The pod has 30 s (terminationGracePeriodSeconds); an agent that needs them holds up a node's drain.
SECONDS: Final = 15.0


class Hung:
    """An API server that takes connections and never answers."""

    def __init__(self, directory: Path) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(60)
        self.kubeconfig = kubeconfig(directory, f"http://127.0.0.1:{self.socket.getsockname()[1]}")


def kubeconfig(directory: Path, server: str) -> Path:
    """A kubeconfig for a server that asks nobody who they are."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "users": [{"name": "agent", "user": {"token": "none"}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "agent"}}],
        "current-context": "one",
    }
    file = directory / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.fixture
def api_server(tmp_path: Path) -> Iterator[Hung]:
    hung = Hung(tmp_path)
    with hung.socket:
        yield hung


def test_the_agent_ends_while_the_api_server_and_the_driver_hang(tmp_path: Path, api_server: Hung) -> None:
    fixture = tmp_path / "nvml.json"
    fixture.write_text(H100.read_text())
    (tmp_path / "features.d").mkdir()
    agent = Child(
        "agent",
        (
            *(sys.executable, "-m", "nvtopo", "agent", "--listen", "127.0.0.1:0", "--interval", "1"),
            *("--kubeconfig", str(api_server.kubeconfig), "--features-dir", str(tmp_path / "features.d")),
            *("--nvml", str(build.library())),
        ),
        log=tmp_path / "agent.log",
        environment={"NVTOPO_NVML_FIXTURE": str(fixture), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        connection, _ = api_server.socket.accept()
        with connection:
            scrape(agent)
            fixture.write_text(json.dumps(json.loads(H100.read_text()) | {"delays": {"*": 60_000}}))
            process = psutil.Process(agent.pid)
            assert wait_until(lambda: asks_in_vain(process), 60), "no reading hangs"
            children = process.children(recursive=True)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
            seconds = time.monotonic() - began
            assert code == 0, agent.log.read_text()
            assert seconds < SECONDS
            assert psutil.wait_procs(children, timeout=5)[1] == []
    finally:
        agent.stop()


def scrape(agent: Child) -> None:
    """As Prometheus does, so that GPU counters are sampled too."""
    assert wait_until(lambda: "serving" in agent.log.read_text(), 60)
    (url,) = [line["url"] for line in logged(agent) if line["message"] == "serving"]
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:  # noqa: S310 - our own URL
        assert answer.status == 200


def logged(agent: Child) -> list[Any]:
    return [json.loads(line) for line in agent.log.read_text().splitlines() if line.startswith("{")]


def asks_in_vain(agent: psutil.Process) -> bool:
    """Whether a worker that reads everything has been at it for two seconds; it takes a quarter of one."""
    return any(
        "nvml import worker" in " ".join(child.cmdline()) and time.time() - child.create_time() > 2
        for child in agent.children()
    )
