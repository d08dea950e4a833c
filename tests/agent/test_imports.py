"""What a running agent has imported: it stays in memory on every node."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.agent.test_shutdown import kubeconfig
from tests.kube.fake_api_server import FakeApiServer

pytestmark = pytest.mark.slow

PROGRAM = """
import json, os, signal, sys, threading
from nvtopo import cli

def modules():
    sys.stdin.readline()
    json.dump(sorted(sys.modules), sys.stdout)
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=modules, daemon=True).start()
cli.main(standalone_mode=False)
"""
#: Of other processes of ours, of the tests, or dear: asyncio, kubernetes and pyroute2 each double an agent.
NOT_ITS_OWN = {
    "asyncio",
    "kubernetes",
    "multiprocessing",
    "pynvml",
    "pyroute2",
    "requests",
    "starlette",
    "uvicorn",
    "yaml",
}


def test_an_agent_that_wrote_and_was_scraped_holds_only_what_it_uses(tmp_path: Path) -> None:
    (tmp_path / "features.d").mkdir()
    with FakeApiServer() as api_server:
        api_server.nodes["node-a"] = "uid-a"
        arguments = (
            *("--node-name", "node-a", "--kubeconfig", str(kubeconfig(tmp_path, api_server.url))),
            *("--listen", "127.0.0.1:0", "--features-dir", str(tmp_path / "features.d")),
        )
        with subprocess.Popen(
            (sys.executable, "-c", PROGRAM, "agent", *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr
            serving = next(line for line in process.stderr if '"serving"' in line)
            with urllib.request.urlopen(json.loads(serving)["url"] + "/metrics", timeout=30) as page:  # noqa: S310 - http
                assert page.read()
            api_server.await_requests("apply", 1)
            modules, _ = process.communicate("\n", timeout=30)
    assert process.returncode == 0
    imported = {name.partition(".")[0] for name in json.loads(modules)}
    assert {"nvtopo", "urllib3", "pyudev", "prometheus_client"} <= imported
    assert imported & NOT_ITS_OWN == set()
    rooms = {".".join(name.split(".")[:2]) for name in json.loads(modules) if name.startswith("nvtopo.")}
    assert (
        rooms & {"nvtopo.aggregator", "nvtopo.checks", "nvtopo.cluster", "nvtopo.exporters", "nvtopo.placement"}
        == set()
    )
