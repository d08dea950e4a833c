"""Answers that are no text, no JSON or 100,000 levels deep: one node's object at most is unreadable, no reader ends."""

import json
import threading
from functools import partial

import pytest

from nvtopo.aggregator.maintenance import Maintenance
from nvtopo.cluster.inventory import Listed
from nvtopo.cluster.silence import AgentPod, PodsListed
from nvtopo.errors import ApiError, ParseError
from nvtopo.kube import cordoned
from nvtopo.kube.agent_pods import AgentPods
from nvtopo.kube.client import Client
from nvtopo.kube.lease import Leadership
from nvtopo.kube.node_uid import node_uid
from nvtopo.kube.refusal import Throttled
from nvtopo.kube.store import KubeStore
from nvtopo.kube.v1alpha1 import COLLECTION
from nvtopo.runtime.backoff import Backoff
from tests.kube.fake_api_server import FakeApiServer
from tests.kube.following import Following
from tests.kube.machines import small

pytestmark = pytest.mark.slow

DEEP = b"[" * 100_000 + b"]" * 100_000
ENDLESS = b"[" * 100_000
HOSTILE = [
    b"\xff\xfe",
    b'{"message":"\xff"}',
    DEEP,
    ENDLESS,
    b'{"kind":"Status","message":"\xed\xa0\x80"}',
    b'"\\ud800"',
    b"9" * 5000,
    b"",
]
GOOD = b'{"metadata":{"name":"node-a","uid":"1","generation":1},"spec":{"gpus":[{"index":0,"uuid":"GPU-0"}]}}'


@pytest.fixture(autouse=True)
def _a_node(api_server: FakeApiServer) -> None:
    api_server.nodes["node-a"] = "uid-a"


@pytest.fixture
def store(client: Client) -> KubeStore:
    return KubeStore(client, backoff=lambda: Backoff(first_seconds=0.002, longest_seconds=0.02))


def page(*items: bytes) -> bytes:
    return b'{"metadata":{"resourceVersion":"100"},"items":[' + b",".join(items) + b"]}"


@pytest.mark.parametrize(
    "item",
    [
        b'{"metadata":{"name":"node-b"},"spec":{"gpus":' + DEEP + b"}}",
        b'{"metadata":{"name":"node-b"},"spec":{"host":{"kernel":"\xff"}}}',
        b'{"metadata":{"name":"node-b"},"spec":{"host":{"kernel":"\\ud800"}}}',
        b'{"metadata":{"name":"node-b"},"spec":{"host":{"kernel":"\x00"}}}',
        b'{"metadata":{"name":"node-b"},"spec":{"gpus":[{"index":NaN,"uuid":"G"}]}}',
        b'{"metadata":{"name":"node-b"},"spec":{"gpus":[{"index":0,"uuid":"G","memoryBytes":-Infinity}]}}',
        b'{"metadata":{"name":"node-b","generation":"many"},"spec":7}',
        b'{"metadata":{"name":"node-b","uid":[]}}',
        b'{"metadata":{"name":"node-b"},"spec":{"gpus":[{"index":' + b"9" * 5000 + b',"uuid":"G"}]}}',
    ],
)
def test_one_bad_item_of_a_list_is_unreadable_and_no_other(
    api_server: FakeApiServer, store: KubeStore, item: bytes
) -> None:
    api_server.refuse("list", 200, body=page(item, GOOD))
    with Following(store) as following:
        listed = following.next()
    assert isinstance(listed, Listed)
    assert (list(listed.nodes), list(listed.unreadable)) == (["node-a"], ["node-b"])
    assert listed.unreadable["node-b"].isprintable()
    assert len(listed.unreadable["node-b"]) <= 200


@pytest.mark.parametrize("item", [b"7", b"[]", b"{}", b'{"metadata":' + DEEP + b"}", b'{"metadata":{"name":"\xff"}}'])
def test_an_item_without_a_name_is_left_out(api_server: FakeApiServer, store: KubeStore, item: bytes) -> None:
    api_server.refuse("list", 200, body=page(item, GOOD))
    with Following(store) as following:
        listed = following.next()
    assert isinstance(listed, Listed)
    assert (list(listed.nodes), list(listed.unreadable)) == (["node-a"], [])


def test_what_is_deep_in_fields_that_nobody_reads_is_no_reason_to_refuse(
    api_server: FakeApiServer, store: KubeStore
) -> None:
    fields = b'{"metadata":{"name":"node-b","managedFields":[{"fieldsV1":' + DEEP + b'}]},"spec":{}}'
    api_server.refuse("list", 200, body=page(fields, GOOD))
    with Following(store) as following:
        listed = following.next()
    assert isinstance(listed, Listed)
    assert sorted(listed.nodes) == ["node-a", "node-b"]


@pytest.mark.parametrize("body", HOSTILE)
@pytest.mark.parametrize(("kind", "status"), [("list", 200), ("list", 500), ("watch", 200), ("watch", 403)])
def test_a_reader_goes_on_after_any_answer(
    api_server: FakeApiServer, store: KubeStore, kind: str, status: int, body: bytes
) -> None:
    api_server.refuse(kind, status, body=body + b"\n")
    with Following(store) as following:
        store.apply("node-a", small())
        following.until(lambda inventory: "node-a" in inventory.nodes)


@pytest.mark.parametrize("body", HOSTILE)
def test_a_write_survives_any_answer(api_server: FakeApiServer, store: KubeStore, body: bytes) -> None:
    api_server.refuse("apply", 200, body=body)
    store.apply("node-a", small())
    api_server.refuse("apply", 409, body=body)
    with pytest.raises(ApiError) as caught:
        store.apply("node-a", small())
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("body", HOSTILE)
def test_other_readers_give_errors_of_ours(api_server: FakeApiServer, client: Client, body: bytes) -> None:
    api_server.refuse("node", 200, body=body)
    with pytest.raises(ParseError):
        node_uid(client, "node-a")
    api_server.refuse("lease", 200, body=body)
    leadership = Leadership(client, "nvtopo", "lease", "me")
    leadership.attempt()
    assert leadership.term is None


def test_a_pod_that_is_none_costs_one_node(api_server: FakeApiServer, client: Client) -> None:
    good = b'{"metadata":{"name":"p"},"spec":{"nodeName":"node-a"}}'
    api_server.refuse("other", 200, body=page(b'{"metadata":{"name":"q"},"spec":{"nodeName":"\xff"}}', DEEP, good))
    stop = threading.Event()
    listed = next(AgentPods(client, "nvtopo").events(stop))
    assert isinstance(listed, PodsListed)
    assert [pod.node for pod in listed.pods.values()] == ["node-a"]


@pytest.mark.parametrize(
    "moment",
    ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00", "2027-13-01T00:00:00Z", "soon"],
)
def test_a_moment_of_no_year_is_none(api_server: FakeApiServer, client: Client, moment: str) -> None:
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": moment}
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "node-a"}, "status": {"conditions": [condition]}}
    api_server.refuse("other", 200, body=page(json.dumps(pod).encode()))
    listed = next(AgentPods(client, "nvtopo").events(threading.Event()))
    assert isinstance(listed, PodsListed)
    assert listed.pods == {"p": AgentPod("node-a", ready=False)}


def test_a_node_that_cannot_be_read_hides_no_other_that_is_cordoned(
    api_server: FakeApiServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    body = page(b'{"metadata":{"name":"a"}}', b'{"metadata":{"name":7}}', b'{"metadata":{"name":"b"},"x":NaN}')
    api_server.refuse("list", 200, body=body, times=2)
    maintenance = Maintenance(partial(cordoned.look, client))
    maintenance.step()
    maintenance.step()
    assert maintenance.nodes() == {"a", "b"}
    assert [record.getMessage() for record in caplog.records] == ["cannot know of all nodes whether they are cordoned"]


def test_a_watch_line_without_an_end_is_given_up(
    api_server: FakeApiServer, store: KubeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvtopo.kube.stream._LONGEST_EVENT_BYTES", 1 << 16)
    api_server.refuse("watch", 200, body=b" " * (1 << 18))
    with Following(store) as following:
        store.apply("node-a", small())
        following.until(lambda inventory: "node-a" in inventory.nodes)


def test_an_answer_that_is_too_large_is_refused(
    api_server: FakeApiServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvtopo.kube.client.MOST_BYTES", 1 << 20)
    api_server.refuse("node", 200, body=b" " * (2 << 20))
    with pytest.raises(ApiError, match="at most 1 MiB"):
        node_uid(client, "node-a")


def test_a_list_of_large_objects_is_asked_for_in_smaller_pages(
    api_server: FakeApiServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvtopo.kube.client.MOST_BYTES", 50_000)
    for number in range(20):
        api_server.put(f"node-{number:02}", {"host": {"kernel": "x" * 10_000}})
    found = [page.items for page in client.pages(COLLECTION)]
    assert sum(map(len, found)) == 20
    assert max(map(len, found)) < 5
    api_server.put("node-00", {"host": {"kernel": "x" * 60_000}})
    with pytest.raises(ApiError, match="at most"):
        list(client.pages(COLLECTION))


@pytest.mark.parametrize("limit", ["_MOST_PAGES", "_MOST_OBJECTS"])
def test_a_list_without_an_end_is_given_up(
    api_server: FakeApiServer, client: Client, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(f"nvtopo.kube.client.{limit}", 3)
    body = b'{"metadata":{"resourceVersion":"100","continue":"on"},"items":[{}]}'
    api_server.refuse("list", 200, body=body, times=10)
    with pytest.raises(ApiError, match="got more"):
        list(client.pages(COLLECTION))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("-1", 1.0), ("1e9", 1.0), ("9" * 400, 120.0), ("999999", 120.0), ("soon", 1.0),
        ("", 1.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0), ("NaN", 1.0), ("inf", 1.0), ("1_0", 1.0), ("\xb2", 1.0), (" 3 ", 3.0),
        ("1\x1e", 1.0), ("3\x1f", 1.0), ("\xa03", 1.0), ("\x0c3", 1.0),
    ],
)  # fmt: skip
def test_what_retry_after_says_is_bounded(
    api_server: FakeApiServer, client: Client, header: str, seconds: float
) -> None:
    api_server.refuse("node", 429, headers={"Retry-After": header}, body=json.dumps({"kind": "Status"}).encode())
    with pytest.raises(Throttled) as caught:
        client.get("/api/v1/nodes/node-a")
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("code", ["4" * 4000, "-1", "99", "600"])
def test_a_code_that_is_no_status_is_not_repeated(api_server: FakeApiServer, client: Client, code: str) -> None:
    status = b'{"type":"ERROR","object":{"kind":"Status","message":"no","code":%s}}\n' % code.encode()
    api_server.refuse("watch", 200, body=status)
    with pytest.raises(ApiError, match=r"^watch [^ ]*: 0: no$") as caught:
        next(client.watch(COLLECTION, "1", threading.Event()))
    assert caught.value.status == 0


def test_escapes_in_a_refusal_reach_no_terminal(api_server: FakeApiServer, client: Client) -> None:
    status = {"kind": "Status", "reason": "\x1b[31mNo", "message": "a\r\x1b]0;x\x07\n\u202eb" + "c" * 5000}
    api_server.refuse("node", 403, body=json.dumps(status).encode())
    with pytest.raises(ApiError) as caught:
        client.get("/api/v1/nodes/node-a")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
