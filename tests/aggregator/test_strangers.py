"""The aggregator among strangers: 200 connections of every hostile kind and 40 that never read."""

import contextlib
import time
from collections.abc import Iterator

import pytest

from bench.crowd import HOSTILE, READERS, Act, Gathering, crowded, unread_stream
from nvtopo.aggregator.access import LIFETIMES, Access
from nvtopo.aggregator.reception import LIMITS
from nvtopo.aggregator.server import GraphServer
from nvtopo.auth.authorizer import Authorizer
from nvtopo.cluster.inventory import Listed
from nvtopo.runtime.connection_slots import Limits
from nvtopo.runtime.switching import switch_often
from tests.aggregator.running import PATIENCE, Script, get, next_message, running, watching
from tests.aggregator.test_access import Reviews
from tests.cluster import machines

pytestmark = pytest.mark.slow

WITHIN_SECONDS = 1.0
FEW = LIMITS._replace(total=64, one_client=48, busy=24, known=32, streams=8)


@contextlib.contextmanager
def serving(limits: Limits = LIMITS, access: Access | None = None) -> Iterator[GraphServer]:
    with switch_often(), running(Script(Listed(machines.racks(4)))) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        with GraphServer(aggregator, limits=limits, access=access) as server:
            yield server


def longest(server: GraphServer, *paths: str) -> float:
    """Of ten rounds, in seconds; each answer has to be right."""

    def seconds(path: str) -> float:
        began = time.monotonic()
        assert get(server, path, {"Authorization": "Bearer good"}).status == 200, path
        return time.monotonic() - began

    return max(seconds(path) for _ in range(10) for path in paths)


@pytest.mark.parametrize("tokens", [False, True], ids=["anonymous", "tokens"])
def test_probes_and_readers_are_answered_among_them(tokens: bool) -> None:
    with contextlib.ExitStack() as stack:
        access = stack.enter_context(Access(Authorizer(Reviews(), LIFETIMES))) if tokens else None
        server = stack.enter_context(serving(access=access))
        stack.enter_context(crowded(server.port, Gathering(200), Gathering(40, READERS)))
        assert longest(server, "/healthz", "/readyz") <= WITHIN_SECONDS
        assert get(server, "/v1/graph", {"Authorization": "Bearer good"}).status == 200


@pytest.mark.parametrize("act", [*HOSTILE, *READERS], ids=lambda act: act.__name__)
def test_each_kind_alone_may_have_all_slots_and_stops_no_probe(act: Act) -> None:
    with serving(FEW) as server, crowded(server.port, Gathering(100, (act,), addresses=2)):
        assert longest(server, "/healthz", "/readyz") <= WITHIN_SECONDS


def test_streams_that_nobody_reads_give_way_to_a_reader_of_another_address() -> None:
    others = Gathering(12, (unread_stream,), addresses=1, first_address=9)
    with serving(LIMITS._replace(streams=4)) as server, crowded(server.port, others):
        until = time.monotonic() + PATIENCE
        while "nvtopo_watch_clients 4\n" not in get(server, "/metrics").body.decode():
            assert time.monotonic() < until
        with watching(server) as stream:
            assert next_message(stream)[0] == "event: reset"
        page = get(server, "/metrics").body.decode()
        assert 'nvtopo_http_dropped_connections_total{reason="streams"} 1' in page
