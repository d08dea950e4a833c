"""What counts as a yes of the API server: scripted answers over real HTTP, and the real one's reviews."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nvtopo.aggregator.access import LIFETIMES, Access
from nvtopo.aggregator.server import GraphServer
from nvtopo.auth import reviews
from nvtopo.auth.authorizer import Authorizer
from nvtopo.auth.reviews import Reviewer
from nvtopo.auth.rights import METRICS, TopologyRight
from nvtopo.auth.user import User
from nvtopo.cluster.inventory import Listed
from nvtopo.errors import ApiError, NvtopoError, ParseError
from nvtopo.kube import client as client_module
from nvtopo.kube.client import Client
from tests.aggregator.running import PATIENCE, Script, get, running
from tests.cluster import machines
from tests.daemonset import shipped
from tests.kube.fake_api_server import FakeApiServer
from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.kube import Json

READER = {"username": "reader", "groups": ["team"], "extra": {"a": ["b"]}}


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": False, "error": "expired"},
        {"authenticated": True},
        {"authenticated": True, "user": READER},
        {"authenticated": True, "user": READER, "audiences": []},
        {"authenticated": True, "user": READER, "audiences": ["https://kubernetes.default.svc"]},
        {"authenticated": True, "user": {"username": ""}, "audiences": ["nvtopo"]},
        {"authenticated": False, "user": READER, "audiences": ["nvtopo"]},
    ],
    ids=["empty", "expired", "bare", "no-audience", "no-audiences", "other-audience", "nameless", "no"],
)
def test_token_counts_only_if_it_is_authenticated_for_us(
    api_server: FakeApiServer, client: Client, status: Json
) -> None:
    _answer(api_server, {"status": status})
    assert Reviewer(client).user("t") is None


def test_holder_of_a_token_is_who_the_api_server_says(api_server: FakeApiServer, client: Client) -> None:
    _answer(api_server, {"status": {"authenticated": True, "user": READER, "audiences": ["nvtopo"]}})
    assert Reviewer(client).user("t") == User(username="reader", groups=("team",), extra={"a": ("b",)})


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ({"allowed": True}, True),
        ({}, False),
        ({"allowed": False}, False),
        ({"allowed": True, "denied": True}, False),
        ({"allowed": False, "evaluationError": "webhook"}, False),
    ],
    ids=["yes", "empty", "no", "denied", "error"],
)
def test_right_counts_only_if_it_is_allowed(
    api_server: FakeApiServer, client: Client, status: Json, allowed: bool
) -> None:
    _answer(api_server, {"status": status})
    assert Reviewer(client).allowed(User(username="reader"), TopologyRight("list")) is allowed


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"status": {"authenticated": "yes"}}', b"<html>"])
def test_answer_that_is_no_review_is_an_error(api_server: FakeApiServer, client: Client, body: bytes) -> None:
    api_server.refuse("review", 201, body=body)
    with pytest.raises(ParseError, match="expected a review with its status"):
        Reviewer(client).user("t")


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_refusal_is_an_error_and_no_answer(api_server: FakeApiServer, client: Client, status: int) -> None:
    api_server.refuse("review", status, times=2)
    for ask in (lambda: Reviewer(client).user("t"), lambda: Reviewer(client).allowed(User(username="r"), METRICS)):
        with pytest.raises(ApiError) as caught:
            ask()
        assert caught.value.status == status


@pytest.mark.slow
def test_silence_is_an_error_before_the_caller_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviews, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = tmp_path / "config"
        cluster = {"name": "x", "cluster": {"server": f"http://127.0.0.1:{silent.getsockname()[1]}"}}
        context = {"name": "x", "context": {"cluster": "x", "user": "x"}}
        users = [{"name": "x", "user": {}}]
        config.write_text(
            json.dumps({"current-context": "x", "clusters": [cluster], "contexts": [context], "users": users})
        )
        began = time.monotonic()
        with client_module.connect(config) as client, pytest.raises(NvtopoError, match="no answer"):
            Reviewer(client).user("t")
        assert time.monotonic() - began < PATIENCE


def _answer(api_server: FakeApiServer, document: Json) -> None:
    api_server.refuse("review", 201, body=json.dumps(document).encode())


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """With our definitions, our accounts, and accounts of readers in it."""
    _ready(control_plane)
    return control_plane


def _ready(plane: ControlPlane) -> kube.Api:
    api = plane.api()
    for document in shipped.base():
        if (
            document["kind"] in {"Namespace", "CustomResourceDefinition", "ServiceAccount"}
            or "Role" in document["kind"]
        ):
            api.apply(document)
    for name in ("reader", "stranger", "one-node"):
        api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}})
    _bind(api, "nvtopo-reader", "reader")
    rule = {"apiGroups": ["nvtopo.io"], "resources": ["nodetopologies"], "resourceNames": [NODE], "verbs": ["get"]}
    api.apply({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "nvtopo-one-node"}, "rules": [rule]})
    _bind(api, "nvtopo-one-node", "one-node")
    return api


@pytest.fixture(scope="module")
def server(plane: ControlPlane) -> Iterator[GraphServer]:
    """An aggregator's API with the aggregator's own account, which has the rights that are shipped and no more."""
    account = plane.kubeconfig(plane.service_account_token("nvtopo", "nvtopo-aggregator"))
    with running(Script(Listed(machines.racks(1)))) as aggregator, client_module.connect(account) as client:
        assert aggregator.wait(0, PATIENCE) is not None
        with (
            Access(Authorizer(Reviewer(client), LIFETIMES)) as access,
            GraphServer(aggregator, access=access) as server,
        ):
            yield server


NODE = machines.name(1, 3)
RBAC = "rbac.authorization.k8s.io/v1"
PATHS = ("/v1/graph", "/v1/nodes", f"/v1/nodes/{NODE}", f"/v1/nodes/{machines.name(1, 4)}")


@pytest.mark.lab
@pytest.mark.parametrize(
    ("account", "statuses"),
    [("reader", (200, 200, 200, 200)), ("stranger", (403, 403, 403, 403)), ("one-node", (403, 403, 200, 403))],
)
def test_real_api_server_decides_by_its_own_rbac(
    plane: ControlPlane, server: GraphServer, account: str, statuses: tuple[int, ...]
) -> None:
    headers = {"Authorization": f"Bearer {_token(plane, account)}"}
    assert tuple(get(server, path, headers).status for path in PATHS) == statuses
    if account == "stranger":
        said = get(server, "/v1/graph", headers).json["error"]
        assert said == "system:serviceaccount:default:stranger may not list nodetopologies.nvtopo.io"


@pytest.mark.lab
def test_token_for_the_api_server_itself_is_not_one_for_us(plane: ControlPlane, server: GraphServer) -> None:
    """So that no caller must show us a token that is valid elsewhere."""
    for token in (plane.service_account_token("default", "reader"), plane.admin_token):
        assert get(server, "/v1/graph", {"Authorization": f"Bearer {token}"}).status == 401


@pytest.mark.lab
def test_token_for_us_is_not_one_for_the_api_server(plane: ControlPlane) -> None:
    with pytest.raises(kube.ApiError) as caught:
        plane.api(_token(plane, "reader")).get("/api/v1/nodes")
    assert caught.value.status == 401


@pytest.mark.lab
def test_forged_and_expired_tokens_are_refused(plane: ControlPlane, server: GraphServer) -> None:
    head, body, signature = _token(plane, "reader").split(".")
    for token in (f"{head}.{body}.{signature[::-1]}", f"{head}.{body}.", "x", "x" * 4096):
        assert get(server, "/v1/graph", {"Authorization": f"Bearer {token}"}).status == 401


@pytest.mark.lab
def test_token_ends_with_its_account(plane: ControlPlane, server: GraphServer) -> None:
    api = plane.api()
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "leaver", "namespace": "default"}})
    _bind(api, "nvtopo-reader", "leaver")
    headers = {"Authorization": f"Bearer {_token(plane, 'leaver')}"}
    kube.wait_for(lambda: get(server, "/v1/graph", headers).status == 200, what="the binding to hold")
    api.delete("/api/v1/namespaces/default/serviceaccounts/leaver")
    kube.wait_for(lambda: get(server, "/v1/graph", headers).status == 401, what="the token to end")


@pytest.mark.lab
def test_account_that_may_not_review_lets_nobody_in(plane: ControlPlane) -> None:
    account = plane.kubeconfig(plane.service_account_token("default", "stranger"))
    headers = {"Authorization": f"Bearer {_token(plane, 'reader')}"}
    with running(Script(Listed({}))) as aggregator, client_module.connect(account) as client:
        assert aggregator.wait(-1, PATIENCE) is not None
        with (
            Access(Authorizer(Reviewer(client), LIFETIMES)) as access,
            GraphServer(aggregator, access=access) as server,
        ):
            assert get(server, "/v1/graph", headers).status == 503


@pytest.mark.lab
def test_api_server_that_is_gone_opens_nothing(lab_binaries: Binaries, tmp_path: Path) -> None:
    """A plane of its own, to be ended; what was remembered is worth ten seconds and no more."""
    now = [0.0]
    with ExitStack() as stack:
        with ControlPlane(lab_binaries, tmp_path) as plane:
            _ready(plane)
            account = plane.kubeconfig(plane.service_account_token("nvtopo", "nvtopo-aggregator"))
            aggregator = stack.enter_context(running(Script(Listed(machines.racks(1)))))
            assert aggregator.wait(0, PATIENCE) is not None
            client = stack.enter_context(client_module.connect(account))
            access = stack.enter_context(Access(Authorizer(Reviewer(client), LIFETIMES, clock=lambda: now[0])))
            server = stack.enter_context(GraphServer(aggregator, access=access))
            reader = {"Authorization": f"Bearer {_token(plane, 'reader')}"}
            stranger = {"Authorization": f"Bearer {_token(plane, 'stranger')}"}
            assert [get(server, "/v1/graph", who).status for who in (reader, stranger)] == [200, 403]
        assert [get(server, "/v1/graph", who).status for who in (reader, stranger)] == [200, 403], "remembered"
        now[0] = LIFETIMES.holder
        for who in (reader, stranger, {"Authorization": "Bearer x"}):
            assert get(server, "/v1/graph", who).status == 503
        assert get(server, "/v1/graph").status == 401
        assert get(server, "/healthz").status == 200


def _token(plane: ControlPlane, account: str) -> str:
    spec = {"audiences": ["nvtopo"], "expirationSeconds": 600}
    place = f"/api/v1/namespaces/default/serviceaccounts/{account}/token"
    token: str = plane.api().create(place, {"spec": spec})["status"]["token"]
    return token


def _bind(api: kube.Api, role: str, account: str) -> None:
    api.apply(
        {
            "apiVersion": RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{role}-{account}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "default"}],
        }
    )
