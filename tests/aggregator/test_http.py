import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from nvtopo.aggregator import openapi, placement_paths
from nvtopo.aggregator.api import application
from nvtopo.aggregator.jobs import Jobs
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.reception import LIMITS
from nvtopo.aggregator.server import GraphServer
from nvtopo.aggregator.site import Site
from nvtopo.aggregator.watch import Subscribers
from nvtopo.cluster.inventory import Applied, Listed
from nvtopo.errors import ReadError
from nvtopo.exporters import document
from tests.aggregator.running import PATIENCE, Script, get, next_message, running, watching
from tests.cluster import machines

EVIL = '<img src=x onerror="alert(1)">'


def _listed() -> Listed:
    return Listed(machines.racks(1) | {"hgx": machines.hgx()}, {EVIL: "torn"})


@pytest.fixture(name="aggregator", scope="module")
def _aggregator() -> Iterator[Aggregator]:
    with running(Script(_listed())) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        yield aggregator


@pytest.fixture(name="server", scope="module")
def _server(aggregator: Aggregator) -> Iterator[GraphServer]:
    """A server whose cluster stays as it is."""
    with GraphServer(aggregator) as server:
        yield server


@pytest.fixture(name="script")
def _script() -> Script:
    return Script(_listed())


@pytest.fixture(name="live")
def _live(script: Script) -> Iterator[GraphServer]:
    """A server whose cluster does what ``script`` says."""
    with running(script) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        with GraphServer(aggregator, heartbeat_seconds=0.05, limits=LIMITS._replace(streams=2)) as server:
            yield server


def test_the_graph_is_the_document(server: GraphServer, aggregator: Aggregator) -> None:
    got = get(server, "/v1/graph")
    assert aggregator.graph is not None
    assert (got.status, got.headers["content-type"]) == (200, "application/json")
    assert document.decode(got.body) == document.of(aggregator.graph)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/graph",
        "/v1/graph?tier=rack",
        "/v1/nodes",
        "/v1/nodes/hgx",
        "/v1/nodes/hgx/pairs",
        "/v1/domains",
        f"/v1/domains/{machines.domain_id(1)}",
        "/v1/drift",
    ],
)
def test_the_etag_is_the_generation_and_saves_the_body(server: GraphServer, path: str) -> None:
    first = get(server, path)
    assert first.headers["etag"] == f'"{first.json["generation"]}"'
    again = get(server, path, {"If-None-Match": f'"0", W/{first.headers["etag"]}'})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    compressed = get(server, path, {"Accept-Encoding": "gzip"})
    if "content-encoding" in compressed.headers:
        assert compressed.headers["etag"] == f"W/{first.headers['etag']}"
        assert gzip.decompress(compressed.body) == first.body
    else:
        assert len(first.body) < 1024
    assert compressed.headers["vary"] == "Accept-Encoding"


def test_the_graph_has_the_name_of_the_cluster_and_its_age(aggregator: Aggregator) -> None:
    away = [0.4]
    with GraphServer(aggregator, site=Site("east", lambda: away[0])) as named:
        fresh = get(named, "/v1/graph")
        away[0] = 75.9
        old = get(named, "/v1/graph")
        part = get(named, "/v1/graph?tier=rack")
        page = get(named, "/metrics").body.decode()
    assert [one.json["cluster"] for one in (fresh, old, part)] == ["east", "east", "east"]
    assert ("age" in fresh.headers, old.headers["age"]) == (False, "75")
    assert 'nvtopo_cluster_info{cluster="east"} 1' in page
    assert "nvtopo_aggregator_api_server_away_seconds 75.9" in page


def test_a_cluster_that_nobody_named_has_no_name(server: GraphServer) -> None:
    assert get(server, "/v1/graph").json["cluster"] is None
    page = get(server, "/metrics").body.decode()
    assert "nvtopo_cluster_info{" not in page
    assert "nvtopo_aggregator_api_server_away_seconds 0" in page


def test_a_change_has_a_new_etag(live: GraphServer, script: Script) -> None:
    first = get(live, "/v1/graph")
    with watching(live) as stream:
        assert next_message(stream)[0] == "event: reset"
        script.say(Applied("new", machines.tray(2)))
        while next_message(stream)[0] != "event: change":
            pass
    assert get(live, "/v1/graph", {"If-None-Match": first.headers["etag"]}).status == 200


def test_nodes_lists_every_node(server: GraphServer) -> None:
    nodes = get(server, "/v1/nodes").json["nodes"]
    assert len(nodes) == 20
    assert nodes[EVIL]["gpus"] is None


def test_a_node_has_spec_derived_and_entry(server: GraphServer) -> None:
    node = get(server, f"/v1/nodes/{machines.name(1, 3)}").json
    assert len(node["spec"]["gpus"]) == 4
    assert node["derived"]["nvlinkDomain"] == machines.domain_id(1)
    assert node["entry"]["position"]["tray"] == 3


def test_a_part_of_the_graph_has_that_part_alone(server: GraphServer) -> None:
    rack = get(server, f"/v1/graph?domain={machines.domain_id(1)}").json
    assert len(rack["nodes"]) == 18
    assert {one["tier"] for one in rack["domains"].values()} == {"nvlinkDomain", "rack"}
    tier = get(server, "/v1/graph?tier=rack").json
    assert (len(tier["nodes"]), [one["tier"] for one in tier["domains"].values()]) == (18, ["rack"])
    both = get(server, f"/v1/graph?tier=rack&node={machines.name(1, 3)}").json
    assert (list(both["nodes"]), len(both["domains"])) == ([machines.name(1, 3)], 1)


def test_a_domain_has_its_nodes_and_what_lies_in_it(server: GraphServer) -> None:
    domains = get(server, "/v1/domains").json["domains"]
    identifier = machines.domain_id(1)
    found = get(server, f"/v1/domains/{identifier}").json
    assert (found["id"], found["entry"]) == (identifier, domains[identifier])
    assert sorted(found["nodes"]) == sorted(found["entry"]["nodes"])
    assert found["domains"].keys() == domains.keys() - {identifier}


def test_the_findings_alone(server: GraphServer) -> None:
    assert get(server, "/v1/drift").json["drift"] == get(server, "/v1/graph").json["drift"]


def test_the_pairs_of_a_node_are_those_of_its_document(server: GraphServer) -> None:
    pairs = get(server, "/v1/nodes/hgx/pairs").json["pairs"]
    derived = get(server, "/v1/nodes/hgx").json["derived"]["gpuPairs"]
    assert len(pairs) == len(derived) == 28
    for pair, known in zip(pairs, derived, strict=True):
        assert {key: pair[key] for key in known} == known
        assert (pair["level"], pair["nvlinks"]) == (None, 18)
    unreadable = get(server, "/v1/nodes/%3Cimg%20src=x%20onerror=%22alert(1)%22%3E/pairs").json
    assert unreadable["pairs"] is None


def test_an_unreadable_node_has_a_problem_instead_of_a_spec(server: GraphServer) -> None:
    node = get(server, "/v1/nodes/%3Cimg%20src=x%20onerror=%22alert(1)%22%3E").json
    assert (node["name"], node["spec"], node["derived"]) == (EVIL, None, None)
    assert node["entry"]["problems"][0]["reason"] == "torn"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nodes/nobody", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/page/../../errors.py", 404),
        ("GET", "/page/..%2f__init__.py", 404),
        ("GET", "/page/index.html", 404),
        ("GET", "/v1/nodes/nobody/pairs", 404),
        ("GET", "/v1/domains/none", 404),
        ("GET", "/v1/graph?domain=none", 404),
        ("GET", "/v1/graph?node=nobody", 404),
        ("GET", "/v1/graph?tier=shelf", 400),
        ("GET", "/v1/graph?tier=", 400),
        ("GET", "/v1/graph?tier=rack&tier=leaf", 400),
        ("GET", "/v1/graph?depth=1", 400),
        ("GET", "/v1/nodes?domain=x", 400),
        ("POST", "/v1/graph", 405),
        ("DELETE", "/v1/nodes/hgx", 405),
    ],
)
def test_errors_are_one_line_of_json(server: GraphServer, method: str, path: str, status: int) -> None:
    got = get(server, path, method=method)
    assert got.status == status
    assert got.headers["content-type"] == "application/json"
    assert isinstance(got.json["error"], str)
    assert "\n" not in got.json["error"]


def test_one_watcher_too_many_is_refused_and_a_leaver_makes_room(live: GraphServer) -> None:
    with watching(live) as stream:
        next_message(stream)
        with watching(live) as other:
            next_message(other)
            refused = get(live, "/v1/graph/watch")
            assert (refused.status, "error" in refused.json) == (503, True)
        for _ in range(200):  # the server notices at its next heartbeat
            next_message(stream)
            if "nvtopo_watch_clients 1" in get(live, "/metrics").body.decode():
                break
        with watching(live) as other:
            assert other.status == 200


def test_watching_by_head_ends(server: GraphServer) -> None:
    assert get(server, "/v1/graph/watch", method="HEAD").status == 200


def test_readiness_waits_for_the_first_list() -> None:
    script = Script()
    with running(script) as aggregator, GraphServer(aggregator) as server:
        assert get(server, "/healthz").status == 200
        assert get(server, "/readyz").status == 503
        unlisted = get(server, "/v1/graph")
        assert (unlisted.status, "not been listed" in unlisted.json["error"]) == (503, True)
        assert "nvtopo_graph_nodes" not in get(server, "/metrics").body.decode()
        script.say(Listed({}))
        assert aggregator.wait(-1, PATIENCE) is not None
        assert get(server, "/readyz").status == 200
        assert get(server, "/v1/graph").json["nodes"] == {}


def test_the_metrics_page(server: GraphServer) -> None:
    lines = get(server, "/metrics").body.decode().splitlines()
    for line in (
        "nvtopo_graph_generation 1",
        "nvtopo_graph_nodes 20",
        "nvtopo_graph_unreadable_nodes 1",
        "nvtopo_graph_gpus 80",
        'nvtopo_graph_domains{tier="nvlinkDomain"} 1',
        'nvtopo_graph_problems{source="graph"} 1',
        'nvtopo_graph_gpu_health{health="ok"} 80',
        "nvtopo_aggregator_events_total 1",
    ):
        assert line in lines
    assert any(line.startswith("nvtopo_aggregator_event_lag_seconds ") for line in lines)


def test_every_route_is_described(server: GraphServer) -> None:
    described = get(server, "/openapi.json").json
    served = [route.path.replace(":path", "") for route in _routes()]
    assert sorted(served) == sorted(openapi.PATHS)
    source: Any = None
    more = [route.path for route in Jobs(None, lambda _node: None, source, None).routes]
    assert sorted(more) == sorted(openapi.MORE)
    placing = [one.path for one in placement_paths.PATHS]
    assert sorted(described["paths"]) == sorted([*served, *more, *placing])
    assert "GraphDocument" in described["components"]["schemas"]


def _routes() -> list[Any]:
    aggregator = Aggregator(Script())
    return list(application(aggregator, Subscribers(lambda: aggregator.graph)).routes)


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/page/page.css", "/page/icon.svg", "/v1/graph", "/nothing"])
def test_every_answer_forbids_what_comes_from_elsewhere(server: GraphServer, path: str) -> None:
    policy = get(server, path).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_page_takes_nothing_from_elsewhere(server: GraphServer) -> None:
    for path in ("/", *(f"/page/{name}" for name in ("page.js", "ask.js", "element.js", "facts.js", "page.css"))):
        text = get(server, path).body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text


def test_an_address_in_use_is_one_clear_error(server: GraphServer, aggregator: Aggregator) -> None:
    with pytest.raises(ReadError, match=f"cannot listen on 127.0.0.1:{server.port}: Address already in use"):
        GraphServer(aggregator, port=server.port)


def test_stopping_ends_streams_and_leaves_no_thread(script: Script) -> None:
    before = set(threading.enumerate())
    with running(script) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        with ExitStack() as later:
            with GraphServer(aggregator) as server:
                stream = later.enter_context(watching(server))
                assert [next_message(stream)[0] for _ in range(2)] == ["event: reset", "event: generation"]
            assert next_message(stream) == []
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    assert set(threading.enumerate()) == before
