"""A real Prometheus on real agents and an aggregator: each alert fires on its fault, and none where all is well.

``live.py`` says how time is made to run faster; ``cast.py`` what is wrong with which machine.
"""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from nvtopo.aggregator import writer_metrics
from nvtopo.aggregator.server import GraphServer
from nvtopo.cluster.inventory import Listed, Silent
from nvtopo.kube.applier import Applier
from nvtopo.kube.client import Client
from nvtopo.kube.connection import Connection
from nvtopo.kube.lease import Leadership
from nvtopo.kube.store import KubeStore
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.metrics.series import Part
from nvtopo.sources.capture import read_capture
from tests.aggregator.running import Script, running
from tests.faults.node import Agent
from tests.hosts.recorded import RACK
from tests.monitoring import live, shipped
from tests.monitoring.cast import CAST, HOSTS, WELL, machine, no_bridge, port
from tests.monitoring.live import Prometheus
from tests.monitoring.shipped import Query

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

QUERIES: Final = list(shipped.queries())
#: A node with GPUs that has no agent; the rest of its rack has none either.
_TRAYS: Final = ("nvl72-r01-t02", "nvl72-r01-t03", "nvl72-r01-t06")
_TWIN: Final = "nvl72-r01-t02-again"
#: Node → what fires there; what is of no node under the empty name.
EXPECTED: Final = {
    **{name: set(cast.fires) for name, cast in CAST.items() if cast.fires},
    **{name: {"NvtopoAgentAbsent"} for name in _TRAYS},
    _TWIN: {"NvtopoAgentAbsent", "NvtopoNodeStale"},
    "": {"NvtopoGraphFindings", "NvtopoTraysSilent", "NvtopoNodeUnreadable", "NvtopoNoLeader"},
}
#: Where nothing is scraped.
NOTHING: Final = {"NvtopoNoAgents", "NvtopoAggregatorDown"}
#: Which no machine of this run can have: of an API server, of a busy aggregator, of netlink, of hours. promtool's
#: tests fire them.
BY_PROMTOOL: Final = {
    "NvtopoAdmissionPolicyMissing",
    "NvtopoDrift",
    "NvtopoExportsNotApplied",
    "NvtopoFabricInProgress",
    "NvtopoForeignOwner",
    "NvtopoGraphBehind",
    "NvtopoPfcStorm",
}
PATIENCE_SECONDS: Final = 240


def graph() -> Listed:
    """The well machines, three trays of a rack, one of them twice, and an object that nobody can read."""
    captures = {name: HOSTS / CAST[name].host / "capture.json" for name in WELL}
    captures |= {name: RACK / f"{name}.json" for name in _TRAYS}
    captures[_TWIN] = RACK / f"{_TRAYS[0]}.json"
    nodes: dict[str, NodeTopology] = {name: assemble(read_capture(path)) for name, path in captures.items()}
    return Listed(nodes, {"odd": "spec: expected an object"})


def waiting() -> Part:
    """A replica that never gets the Lease."""
    client = Client(Connection(host="http://127.0.0.1:9"))
    leadership = Leadership(client, "nvtopo", "nvtopo-aggregator", "one")
    applier = Applier("status", KubeStore(client).set_status, lambda: leadership.term)
    return partial(writer_metrics.families, leadership, applier)


@pytest.fixture(scope="module")
def run(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Once everything has fired that should."""
    with scraped(prometheus, tmp_path_factory.mktemp("live")) as (up, board):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while missing := _missing(up):
            assert time.monotonic() < deadline, f"does not fire: {missing}"
            time.sleep(1)
            _congest(board)
        yield up


@contextmanager
def scraped(prometheus: str, directory: Path) -> Iterator[tuple[Prometheus, Path]]:
    """Every machine with its agent, the graph, and Prometheus once it has scraped them; and the ill board's root."""
    with ExitStack() as stack:
        nodes = {name: stack.enter_context(machine(directory / name, name)) for name in CAST}
        agents = {
            name: node.start("--interval", "3", "--no-nvml-events", *CAST[name].options) for name, node in nodes.items()
        }
        targets = {name: _address(agent) for name, agent in agents.items()}
        aggregator = stack.enter_context(running(Script(graph(), Silent({_TWIN: None}))))
        server = stack.enter_context(GraphServer(aggregator, address="127.0.0.1", port=0, parts=(waiting(),)))
        up = stack.enter_context(live.scraping(prometheus, directory / "prometheus", targets, [_bare(server.url)]))
        live.eventually(lambda: len(up.query('up{job="nvtopo-agent"} == 1')) == len(CAST), "every agent's page", 60)
        agents["gone"].child.stop()
        live.eventually(lambda: up.query('nvtopo_gpu_nvlinks_active{node="unbridged"} > 0'), "bridges that are up", 30)
        nodes["unbridged"].driver_is_like(no_bridge)
        board = nodes["ill-board"].root
        _count_up(board, up)
        yield up, board


def _address(agent: Agent) -> str:
    (line,) = agent.eventually(lambda: agent.said("serving"), "the page's address in the log")
    return _bare(line["url"])


def _bare(url: str) -> str:
    return url.removeprefix("http://")


def _missing(prometheus: Prometheus) -> dict[str, set[str]]:
    """Node → alerts that should fire and do not."""
    fired = prometheus.fired()
    return {node: left for node, alerts in EXPECTED.items() if (left := alerts - fired.get(node, set()))}


def _congest(root: Path) -> None:
    """The last rail is sent packets, of which switches have marked every fifth."""
    folder = port(root, 7)
    for name, more in (("counters/port_rcv_packets", 20_000), ("hw_counters/np_ecn_marked_roce_packets", 4_000)):
        path = folder / name
        path.write_text(f"{int(path.read_text()) + more}\n")


def _count_up(root: Path, prometheus: Prometheus) -> None:
    """A rail's link goes down three times, another's queue pair is lost as often; each is seen by a scrape."""
    counters = {
        'nvtopo_rdma_link_downed_total{device="mlx5_3"': port(root, 3) / "counters" / "link_downed",
        'nvtopo_rdma_retries_exceeded_total{device="mlx5_4", cause="transport"': port(root, 4)
        / "hw_counters"
        / "req_transport_retries_exceeded",
    }
    for _ in range(3):
        for path in counters.values():
            path.write_text(f"{int(path.read_text()) + 1}\n")
        seen = " and ".join(
            f'max({name}, node="ill-board"}}) == {path.read_text().strip()}' for name, path in counters.items()
        )
        live.eventually(partial(prometheus.query, seen), seen, 30)


def test_what_fires_is_what_is_wrong_and_nothing_else_at_any_moment(run: Prometheus) -> None:
    assert run.fired() == EXPECTED


def test_the_machines_that_are_well_were_seen_all_along(run: Prometheus) -> None:
    for node in WELL:
        assert node not in run.fired()
        for series in ("up", "nvtopo_sampler_up"):
            (seen,) = run.query(f'avg_over_time({series}{{node="{node}"}}[1m])')
            assert float(seen["value"][1]) > 0.5, series  # a busy machine misses some of the scrapes, one each second


def test_every_alert_fired_in_this_run_or_where_nothing_is_scraped() -> None:
    fired = set().union(*EXPECTED.values()) | NOTHING
    assert fired | BY_PROMTOOL == {alert["alert"] for alert in shipped.alerts()}
    assert fired.isdisjoint(BY_PROMTOOL)
    tests = "".join(path.read_text(encoding="utf-8") for path in (shipped.MONITORING / "tests").glob("*.yaml"))
    assert all(f'alertname="{name}"' in tests for name in BY_PROMTOOL)


def test_every_rule_evaluates_and_every_annotation_reads(run: Prometheus) -> None:
    for rule in run.rules():
        assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), rule["name"]
        for alert in rule.get("alerts", ()):
            for text in alert["annotations"].values():
                assert not re.search("<no value>|error expanding|  |: $", text), text


@pytest.mark.parametrize("query", QUERIES, ids=[f"{query.board}-{query.panel}-{query.letter}" for query in QUERIES])
def test_every_query_of_every_dashboard_returns_data(query: Query, run: Prometheus) -> None:
    (place,) = run.query('nvtopo_graph_node_info{node="tray"}')
    filled = query.expr.replace("$__rate_interval", "5s").replace("$rack", place["metric"]["rack"])
    # A scrape that a busy machine did not finish in its second makes series stale for that second.
    live.eventually(lambda: any(run.query(filled.replace("$node", node)) for node in ("ill-board", "tray")), filled, 20)


def test_where_nothing_is_scraped_that_is_said(prometheus: str, tmp_path: Path) -> None:
    with live.scraping(prometheus, tmp_path, {}, []) as up:
        live.eventually(lambda: up.fired() == {"": NOTHING}, f"{NOTHING} and nothing else", 120)
