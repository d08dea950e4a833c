"""The load of nodes, told by a real Prometheus, decides where ``nvtopo place`` puts a gang."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nvtopo.cli import main
from tests.monitoring.live import Prometheus, scraping

pytestmark = pytest.mark.lab
RACK = Path(__file__).resolve().parents[2] / "fixtures/clusters/gb200-nvl72-rack"
NODES = [f"nvl72-r01-t{tray:02}" for tray in range(18)]
REQUEST = json.dumps({"kind": "PlacementRequest", "spec": {"pods": 2, "gpusPerPod": 4, "load": {}}})


def told(values: dict[str, int]) -> str:
    """PromQL that gives each node its value."""
    return " or ".join(f'label_replace(vector({value}), "node", "{node}", "", "")' for node, value in values.items())


@pytest.fixture(name="running", scope="module")
def _running(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with scraping(prometheus, tmp_path_factory.mktemp("load"), {}, []) as running:
        yield running


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
