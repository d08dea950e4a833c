"""A real Prometheus tells the load of nodes to ``nvtopo place``, and how hot GPUs are to who looks at a job."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nvtopo.aggregator.heat_asker import HeatAnswer, HeatAsker
from nvtopo.cli import main
from tests.hosts.recorded import FIXTURES
from tests.monitoring.live import Prometheus, eventually, scraping

pytestmark = pytest.mark.lab
RACK = Path(__file__).resolve().parents[2] / "fixtures/clusters/gb200-nvl72-rack"
NODES = [f"nvl72-r01-t{tray:02}" for tray in range(18)]
REQUEST = json.dumps({"kind": "PlacementRequest", "spec": {"pods": 2, "gpusPerPod": 4, "load": {}}})


def told(values: dict[str, int]) -> str:
    """PromQL that gives each node its value."""
    return " or ".join(f'label_replace(vector({value}), "node", "{node}", "", "")' for node, value in values.items())


@pytest.fixture(name="running", scope="module")
def _running(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with (
        page("h100-sxm-8gpu-8cx7") as hot,
        page("hgx-a100-8gpu") as older,
        scraping(prometheus, tmp_path_factory.mktemp("load"), {"gpu-1.example": hot, "a100": older}, []) as running,
    ):
        yield running


class Page(BaseHTTPRequestHandler):
    """The page of a board, one GPU of which is hot and sends 1 GB in a second."""

    protocol_version = "HTTP/1.1"
    recorded = ""
    began = time.monotonic()

    def do_GET(self) -> None:
        lines = (self._told(line) for line in self.recorded.splitlines() if line.startswith("nvtopo_gpu_"))
        body = "".join(f"{line}\n" for line in lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _told(self, line: str) -> str:
        name, value = line.rsplit(" ", 1)
        if name.startswith('nvtopo_gpu_clock_event{gpu="3"') and 'reason="hardware_thermal"' in name:
            return f"{name} 1"
        if name.startswith('nvtopo_gpu_nvlink_transmitted_bytes_total{gpu="3"'):
            return f"{name} {(time.monotonic() - self.began) * 1e9:.0f}"
        return f"{name} {value}"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """To nobody."""


@contextmanager
def page(host: str) -> Iterator[str]:
    """Where it is served."""
    recorded = (FIXTURES / "hosts" / host / "expected" / "metrics.prom").read_text(encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), type("PageOf", (Page,), {"recorded": recorded})) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def placed(url: str, query: str) -> Result:
    options = ("--prometheus", url, "--queue-depth-query", query, "--format", "json")
    return CliRunner().invoke(main, ["place", "--from", str(RACK), "--request", "-", *options], input=REQUEST)


def test_a_gang_goes_where_least_waits(running: Prometheus) -> None:
    result = placed(running.url, told({node: 0 if node in NODES[7:9] else 5 for node in NODES}))
    answer = json.loads(result.stdout)
    assert [rank["node"] for rank in answer["ranks"]] == NODES[7:9]
    assert answer["cost"]["queue"] == 0


def test_a_node_that_is_not_told_of_makes_the_term_unknown(running: Prometheus) -> None:
    answer = json.loads(placed(running.url, told(dict.fromkeys(NODES[:17], 1))).stdout)
    assert answer["cost"]["queue"] is None
    assert answer["cost"]["unknown"]["queue"].startswith("no fresh value of 1 of 18 nodes")


@pytest.mark.parametrize("query", ["sum(", "vector(1)"])
def test_what_is_not_answered_is_said_and_unknown(running: Prometheus, query: str) -> None:
    result = placed(running.url, query)
    assert result.exit_code == 0
    assert result.stderr.startswith("place: load: queue: ")
    assert json.loads(result.stdout)["cost"]["queue"] is None


def told_of(url: str, node: str) -> HeatAnswer:
    """Once all of its GPUs have every figure: a rate takes two scrapes."""
    asker = HeatAsker(url, lambda: "")

    def whole() -> HeatAnswer | None:
        answer = asker.ask([node])
        return answer if [len(of) for of in answer.readings.values()] == [8] * 5 else None

    found: HeatAnswer = eventually(whole, "two scrapes", 60)
    return found


def test_how_hot_the_gpus_of_a_node_are_and_of_no_other(running: Prometheus) -> None:
    readings, error = told_of(running.url, "gpu-1.example")
    assert error == ""
    assert {node for of in readings.values() for node, _uuid in of} == {"gpu-1.example"}
    assert all(0 <= one.age_seconds < 15 for of in readings.values() for one in of.values())
    (hot,) = [gpu for gpu, one in readings["slowdown"].items() if one.reasons]
    assert readings["slowdown"][hot].reasons == ("hardware_thermal",)
    assert readings["temperature"][hot].value == 35
    assert readings["margin"][hot].value == 52
    assert 5e8 < readings["sent"][hot].value < 2e9
    assert {one.value for one in readings["received"].values()} == {0.0}


def test_how_far_an_older_gpu_is_below_its_limit(running: Prometheus) -> None:
    readings = told_of(running.url, "a100").readings
    for gpu, one in readings["margin"].items():
        assert one.value == 89 - readings["temperature"][gpu].value


def test_nobody_is_told_of_where_nothing_is_scraped(running: Prometheus) -> None:
    answer = HeatAsker(running.url, lambda: "").ask(["gpu-1xexample"])  # the dot is no wildcard
    assert answer.error == ""
    assert not any(answer.readings.values())


def test_what_no_prometheus_answers_is_said_without_its_url() -> None:
    answer = HeatAsker("http://user:secret@127.0.0.1:9", lambda: "").ask(["a"])
    assert answer.error.startswith("Prometheus: ")
    assert "secret" not in answer.error
