"""``/v1/placements`` and ``/scheduler`` over HTTP, with the ledger on one ConfigMap by compare-and-swap."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any, cast

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from nvtopo.aggregator.access import LIFETIMES, Access
from nvtopo.aggregator.desk import Desk
from nvtopo.aggregator.fleets import NOBODY_ASKS, Use
from nvtopo.aggregator.incoming import InAll, Incoming
from nvtopo.aggregator.placements import MOST_BYTES, Placements
from nvtopo.aggregator.server import GraphServer
from nvtopo.auth.authorizer import Authorizer
from nvtopo.auth.rights import PlacementRight
from nvtopo.cluster.inventory import Listed
from nvtopo.errors import ApiError
from nvtopo.kube.client import Client
from nvtopo.kube.reservations import Reservations
from tests.aggregator.running import PATIENCE, Got, Script, running
from tests.aggregator.test_access import Reviews
from tests.cluster import machines
from tests.kube.config_map import ConfigMapServer

pytestmark = pytest.mark.slow


class Cluster:
    """One rack of 18 trays with four GPUs each; a pod takes a tray, and its servers."""

    def __init__(self) -> None:
        self.time = 0.0
        self.used = NOBODY_ASKS
        self.counted: dict[str, dict[str, int]] = {}
        self.api = ConfigMapServer()
        self.reviews = Reviews()
        self.port = 0
        self.incoming = Incoming()

    def send(self, method: str, path: str, body: Any = None, token: str = "good") -> Got:  # noqa: S107
        content = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, content, {"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return Got(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def place(self, name: str, pods: int, query: str = "") -> Got:
        return self.send(
            "POST", f"/v1/placements{query}", {"metadata": {"name": name}, "spec": {"pods": pods, "gpusPerPod": 4}}
        )


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = Cluster()
    with ExitStack() as stack:
        aggregator = stack.enter_context(running(Script(Listed(machines.racks(1)))))
        assert aggregator.wait(0, PATIENCE) is not None
        access = stack.enter_context(Access(Authorizer(found.reviews, LIFETIMES, clock=lambda: found.time)))
        found.reviews.rights |= {("reader", PlacementRight(verb)) for verb in ("create", "update", "delete")}
        books = Reservations(cast("Client", found.api), "nvtopo", lambda: found.time)
        desk = Desk(
            lambda: aggregator.graph,
            books,
            lambda: found.time,
            used=lambda: found.used,
            counted=lambda: found.counted,
        )
        limits = InAll(total=3 * MOST_BYTES, one_client=2 * MOST_BYTES)
        placements = stack.enter_context(Placements(desk, access, for_scheduler=True, limits=limits))
        found.incoming = placements._incoming
        found.port = stack.enter_context(GraphServer(aggregator, access=access, more=placements.routes)).port
        yield found


def nodes(got: Got) -> set[str]:
    return {rank["node"] for rank in got.json["ranks"]}


def test_two_gangs_get_different_gpus_until_one_is_released(cluster: Cluster) -> None:
    one, other, none = (cluster.place(name, pods) for name, pods in (("a", 10), ("b", 8), ("c", 1)))
    assert (one.status, other.status, none.status) == (201, 201, 409)
    assert len(nodes(one) | nodes(other)) == 18
    assert none.json["kind"] == "NoFit"
    assert sum(none.json["counts"].values()) == none.json["nodes"] == 18
    assert cluster.send("DELETE", "/v1/placements/a").status == 204
    assert cluster.send("DELETE", "/v1/placements/a").status == 204
    again = cluster.place("c", 10)
    assert (again.status, nodes(again)) == (201, nodes(one))


def test_the_same_call_once_more_gives_the_same_and_another_one_is_refused(cluster: Cluster) -> None:
    first, same, other = cluster.place("a", 4), cluster.place("a", 4), cluster.place("a", 5)
    assert (first.status, same.status, other.status) == (201, 200, 409)
    assert same.json == first.json
    assert other.json == {"error": "reservation a: another request has this ID; take a new one"}


def test_what_is_not_confirmed_expires(cluster: Cluster) -> None:
    cluster.place("a", 10)
    cluster.place("b", 8)
    assert cluster.send("POST", "/v1/placements/b/confirm").status == 204
    cluster.time = 300.0
    assert cluster.place("c", 10).status == 201
    assert cluster.place("d", 1).status == 409
    assert cluster.send("POST", "/v1/placements/a/confirm").status == 404


def test_a_dry_run_reserves_nothing(cluster: Cluster) -> None:
    assert cluster.place("", 18, "?dryRun=true").json["kind"] == "Assignment"
    assert cluster.place("", 19, "?dryRun=true").json["kind"] == "NoFit"
    assert cluster.api.writes == 0


def test_gpus_of_other_pods_are_used(cluster: Cluster) -> None:
    cluster.used = Use({machines.name(1, 0): (0,)})
    assert cluster.place("a", 18).status == 409
    found = cluster.place("a", 17)
    assert (found.status, machines.name(1, 0) in nodes(found)) == (201, False)


def test_a_node_whose_holders_nobody_knows_takes_no_gang(cluster: Cluster) -> None:
    names = [machines.name(1, number) for number in range(18)]
    cluster.used = Use({names[0]: (0,)}, frozenset(names[:3]))
    none = cluster.place("a", 3)
    assert none.status == 409
    assert none.json["counts"]["nobody knows which of its GPUs pods hold"] == 15
    assert nodes(cluster.place("b", 2)) == {*names[1:3]}


def test_pods_of_which_only_the_number_is_known_leave_that_many_fewer(cluster: Cluster) -> None:
    cluster.counted = {machines.name(1, 0): {"": 1}}
    assert cluster.place("a", 18).status == 409
    assert machines.name(1, 0) not in nodes(cluster.place("a", 17))
    cluster.counted = {machines.name(1, 0): {"": 1}, machines.name(1, 1): {"a": 4}}  # a's own pod runs there now
    assert cluster.place("b", 1).status == 409
    cluster.counted = {}
    assert nodes(cluster.place("b", 1)) == {machines.name(1, 0)}


def test_what_is_held_is_held_for_the_scheduler(cluster: Cluster) -> None:
    held = nodes(cluster.place("a", 10))
    pod = {"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]}}
    asked = {"Pod": pod, "NodeNames": [machines.name(1, number) for number in range(18)]}
    cluster.place("b", 1, "?dryRun=true")  # the ledger as this replica saw it last
    found = cluster.send("POST", "/scheduler/filter", asked, token="")
    assert (found.status, {*found.json["FailedNodes"]}) == (200, held)
    scored = cluster.send("POST", "/scheduler/prioritize", asked, token="").json
    assert {one["Host"] for one in scored if one["Score"]} == {*asked["NodeNames"]} - held
    own = asked | {"Pod": {**pod, "metadata": {"annotations": {"nvtopo.io/reservation": "a"}}}}
    assert cluster.send("POST", "/scheduler/filter", own, token="").json["FailedNodes"] == {}


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [
        ("POST", "/v1/placements", "create"),
        ("POST", "/v1/placements/a/confirm", "update"),
        ("DELETE", "/v1/placements/a", "delete"),
    ],
)
def test_each_takes_its_right(cluster: Cluster, method: str, path: str, verb: str) -> None:
    cluster.reviews.rights.discard(("reader", PlacementRight(verb)))
    refused = cluster.send(method, path, {"metadata": {"name": "a"}, "spec": {"pods": 1}})
    assert refused.status == 403
    assert f"{verb} placements.nvtopo.io" in refused.json["error"]
    assert cluster.send(method, path, token="unknown").status == 401  # noqa: S106
    assert cluster.api.writes == 0


@pytest.mark.parametrize(
    ("body", "query", "status", "says"),
    [
        (b"", "", 400, "the request: expected a PlacementRequest"),
        (b"\xff", "", 400, "the request: expected a PlacementRequest"),
        ({"spec": {"pods": 0}}, "", 400, "$.spec.pods"),
        ({"spec": {"pods": 1}}, "", 400, "metadata.name: expected an ID"),
        ({"metadata": {"name": "../x"}, "spec": {"pods": 1}}, "", 400, "metadata.name: expected an ID"),
        ({"spec": {"pods": 1}}, "?dryRun=maybe", 400, "the query: expected dryRun=true"),
        (b" " * (MOST_BYTES + 1), "", 413, f"at most {MOST_BYTES} bytes"),
        (
            {"spec": {"pods": 4, "required": "node", "slice": {"pods": 2, "tier": "leaf"}}},
            "?dryRun=true",
            400,
            "farther than the gang's",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(cluster: Cluster, body: Any, query: str, status: int, says: str) -> None:
    got = cluster.send("POST", f"/v1/placements{query}", body)
    assert got.status == status
    assert says in got.json["error"]
    assert "\n" not in got.json["error"]


def test_an_api_server_that_refuses_is_503(cluster: Cluster) -> None:
    def refuse() -> None:
        raise ApiError("overloaded", status=500)

    cluster.api.before_a_write = refuse
    assert cluster.place("a", 1).status == 503


def test_bodies_of_all_clients_have_one_bound(cluster: Cluster) -> None:
    """The first client's body is held while it does not send the rest; then it is forgotten."""
    large = b" " * (2 * MOST_BYTES - 10)
    asked = {"NodeNames": ["a" * 63] * 3}
    with socket.create_connection(("127.0.0.1", cluster.port), timeout=PATIENCE) as slow:
        slow.sendall(b"POST /scheduler/filter HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (len(large) + 1))
        slow.sendall(large)
        until = time.monotonic() + PATIENCE
        while cluster.incoming.held < len(large):  # its bytes are still under way
            assert time.monotonic() < until
            time.sleep(0.005)
        refused = cluster.send("POST", "/scheduler/filter", asked)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert refused.json == {"error": "too many large requests at a time"}
        slow.sendall(b"x")
        assert slow.recv(1 << 16).startswith(b"HTTP/1.1 400")
    assert cluster.send("POST", "/scheduler/filter", asked).status == 200


def test_what_is_held_is_counted_for_each_client_and_forgotten() -> None:
    incoming = Incoming(InAll(total=100, one_client=60))

    def request(client: str, *pieces: bytes) -> Request:
        left = list(pieces)

        async def receive() -> Message:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        return Request({"type": "http", "client": (client, 1), "headers": []}, receive)

    async def run() -> None:
        async with incoming.body(request("10.0.0.1", b"a" * 30, b"b" * 30), 60) as body:
            assert body == b"a" * 30 + b"b" * 30
            with pytest.raises(HTTPException) as caught:
                async with incoming.body(request("10.0.0.1", b"c"), 60):
                    pass
            assert caught.value.status_code == 503
            async with incoming.body(request("10.0.0.2", b"d" * 40), 60):
                assert incoming.held == 100
                with pytest.raises(HTTPException) as caught:
                    async with incoming.body(request("10.0.0.3", b"e"), 60):
                        pass
                assert caught.value.status_code == 503
            with pytest.raises(HTTPException) as caught:
                async with incoming.body(request("10.0.0.2", b"d" * 10, b"d" * 10), 15):
                    pass
            assert caught.value.status_code == 413
        assert incoming.held == 0

    asyncio.run(run())


def test_each_answer_is_one_that_the_description_has(cluster: Cluster) -> None:
    """The description itself is judged by the schema of OpenAPI 3.1's schema objects, JSON Schema."""
    described = json.loads(cluster.send("GET", "/openapi.json").body)
    asked = (
        ("post", "/v1/placements", cluster.place("a", 1), 201),
        ("post", "/v1/placements", cluster.place("a", 1), 200),
        ("post", "/v1/placements", cluster.place("b", 1, "?dryRun=true"), 200),
        ("post", "/v1/placements", cluster.place("b", 1000), 409),
        ("post", "/v1/placements", cluster.place("a", 2), 409),
        ("post", "/v1/placements", cluster.place("A", 1), 400),
        ("post", "/v1/placements", cluster.send("POST", "/v1/placements", b"x" * (MOST_BYTES + 1)), 413),
        ("post", "/v1/placements/{id}/confirm", cluster.send("POST", "/v1/placements/a/confirm"), 204),
        ("post", "/v1/placements/{id}/confirm", cluster.send("POST", "/v1/placements/z/confirm"), 404),
        ("delete", "/v1/placements/{id}", cluster.send("DELETE", "/v1/placements/a"), 204),
        ("delete", "/v1/placements/{id}", cluster.send("DELETE", "/v1/placements/a", token="nobody"), 401),  # noqa: S106
    )
    for method, path, got, status in asked:
        assert got.status == status
        answer = described["paths"][path][method]["responses"][str(status)]
        if got.body:
            schema = answer["content"]["application/json"]["schema"] | {"components": described["components"]}
            jsonschema.Draft202012Validator(schema).validate(json.loads(got.body))
    (body,) = {json.dumps(one["schema"]) for one in _body(described).values()}
    request = json.loads(body) | {"components": described["components"]}
    jsonschema.Draft202012Validator(request).validate({"metadata": {"name": "a"}, "spec": {"pods": 1}})


def _body(described: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = described["paths"]["/v1/placements"]["post"]["requestBody"]["content"]
    return found
