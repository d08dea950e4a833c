"""The page against clients: TLS, tokens, and those that are slow, huge or many. Every client here is on loopback."""

import contextlib
import http.client
import logging
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
import trustme

from nvtopo.agent.http.page import Listen, MetricsPage
from nvtopo.agent.http.server import LIMITS, BoundedServer
from nvtopo.auth.token_file import TokenFile
from nvtopo.cli.page import authorize_of, listen_of
from nvtopo.errors import ReadError, UsageError
from nvtopo.kube.client import connect
from nvtopo.runtime.visit import LARGEST_HEAD_BYTES
from nvtopo.sinks.metrics.series import Families, Family, Part, gauge, one
from nvtopo.tls import TlsFiles
from tests.certificates import certify, trusting

pytestmark = pytest.mark.slow

ANSWER = gauge("nvtopo_answer", "Words.", source="here")
TEXTS = gauge("nvtopo_texts", "Words.", ("text",), source="here")


def small() -> Families:
    return [one(ANSWER, 42)]


def large() -> Families:
    family = Family(TEXTS)
    for number in range(64):
        family.samples.append((f'{{text="{number}{"x" * 200_000}"}}', 1))
    return [family]


@contextmanager
def serving(part: Part, listen: Listen | None = None) -> Iterator[int]:
    """The page's port."""
    with MetricsPage([part], lambda: True, listen=listen or Listen("127.0.0.1", 0)) as page:
        yield int(page.url.rpartition(":")[2])


def get(port: int, path: str = "/metrics", tls: ssl.SSLContext | None = None, **headers: str) -> tuple[int, str]:
    connection: http.client.HTTPConnection
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=tls)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_over_tls_a_client_can_verify_the_page(tmp_path: Path) -> None:
    with serving(small, Listen("127.0.0.1", 0, TlsFiles(*certify(tmp_path)))) as port:
        status, body = get(port, tls=trusting())
        assert (status, "nvtopo_answer 42" in body) == (200, True)
        with pytest.raises(ssl.SSLCertVerificationError):
            get(port, tls=trusting(trustme.CA()))
        with pytest.raises((ConnectionError, http.client.BadStatusLine)):
            get(port)


def test_a_certificate_that_is_rotated_is_served_to_the_next_client(tmp_path: Path) -> None:
    successor = trustme.CA()
    with serving(small, Listen("127.0.0.1", 0, TlsFiles(*certify(tmp_path)))) as port:
        assert get(port, tls=trusting())[0] == 200
        certify(tmp_path, successor)
        assert get(port, tls=trusting(successor))[0] == 200
        (tmp_path / "data/tls.crt").write_text("half a certificate")
        assert get(port, tls=trusting(successor))[0] == 200
        (tmp_path / "data/tls.key").unlink()
        assert get(port, tls=trusting(successor))[0] == 200
        certify(tmp_path)
        assert get(port, tls=trusting())[0] == 200


def test_without_a_token_there_are_probes_and_no_metrics(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("one\n\ntwo\n")
    with serving(small, Listen("127.0.0.1", 0, None, TokenFile(tokens))) as port:
        assert get(port, "/healthz")[0] == 200
        assert get(port, "/readyz")[0] == 200
        assert get(port) == (401, "expected a bearer token\n")
        assert get(port, Authorization="Basic b25l") == (401, "expected a bearer token\n")
        assert get(port, Authorization="Bearer tw") == (401, "this token is not known\n")
        assert get(port, Authorization="Bearer \xe9") == (401, "this token is not known\n")
        assert get(port, Authorization="Bearer one")[0] == 200
        assert get(port, Authorization="bearer two")[0] == 200
        tokens.write_text("three is new\n")
        assert get(port, Authorization="Bearer two")[0] == 401
        assert get(port, Authorization="Bearer three is new")[0] == 200
        tokens.write_text("\n")
        assert get(port, Authorization="Bearer ")[0] == 401
        assert get(port, Authorization="Bearer three is new") == (503, "no tokens to compare with\n")
        tokens.unlink()
        assert get(port, Authorization="Bearer three is new")[0] == 503
        tokens.write_text("one\n")
        assert get(port, Authorization="Bearer one")[0] == 200


def test_what_strangers_can_cause_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Families:
        raise RuntimeError("broken")

    tokens = tmp_path / "tokens"
    tokens.write_text("one\n")
    files = TlsFiles(*certify(tmp_path))
    with serving(broken, Listen("127.0.0.1", 0, files, TokenFile(tokens))) as port:
        for _ in range(3):
            assert get(port, tls=trusting(), Authorization="Bearer one")[0] == 500
        tokens.unlink()
        (tmp_path / "data/tls.key").unlink()
        for _ in range(3):
            assert get(port, tls=trusting(), Authorization="Bearer x")[0] == 503
    assert sorted(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING) == [
        "bug in the page",
        "keeping the certificate before",
        "no token is accepted",
    ]


def test_files_that_can_not_be_used_are_said_at_the_start(tmp_path: Path) -> None:
    certificate, key = certify(tmp_path)
    with pytest.raises(ReadError, match="No such file"):
        TlsFiles(certificate, tmp_path / "absent")
    with pytest.raises(ReadError, match="expected a certificate, and its key"):
        TlsFiles(key, certificate)
    with pytest.raises(ReadError, match="No such file"):
        TokenFile(tmp_path / "absent")
    (tmp_path / "empty").write_text(" \n")
    with pytest.raises(ReadError, match="expected a bearer token on each line"):
        TokenFile(tmp_path / "empty")


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    certificate, key = certify(tmp_path)
    (tmp_path / "tokens").write_text("one\n")
    api = partial(connect, tmp_path / "absent")
    tokens = authorize_of(tmp_path / "tokens", None, api)
    assert authorize_of(None, None, api) is None
    with pytest.raises(UsageError, match="expected one of the two"):
        authorize_of(tmp_path / "tokens", ("nvtopo",), api)
    with pytest.raises(ReadError):
        authorize_of(None, ("nvtopo",), api)
    with pytest.raises(UsageError, match="expected both or none"):
        listen_of("127.0.0.1:0", certificate, None, None)
    with pytest.raises(UsageError, match="unencrypted"):
        listen_of("0.0.0.0:0", None, None, tokens)
    assert listen_of("", None, None, tokens) is None
    listen = listen_of("0.0.0.0:9", certificate, key, tokens)
    assert listen
    assert listen.tls
    assert listen.authorize is tokens
    assert listen_of("[::1]:9", None, None, tokens) is not None


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    """A server that gives a client two seconds in all: enough for the others on a busy machine."""
    monkeypatch.setattr(BoundedServer, "limits", LIMITS._replace(head=2.0))
    return 2.0


def closed_after(connection: socket.socket, *, dribble: bytes = b"") -> float:
    """Seconds until the server closes; meanwhile a byte now and then."""
    began, left = time.monotonic(), list(dribble)
    connection.settimeout(0.05)
    while time.monotonic() < began + 30:
        try:
            if left:
                connection.send(bytes([left.pop(0)]))
            if not connection.recv(1 << 16):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize("dribble", [b"", b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 500], ids=["silent", "dribbling"])
def test_a_slow_client_is_let_go(impatient: float, dribble: bytes) -> None:
    with serving(small) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        assert get(port)[0] == 200
        assert impatient / 2 < closed_after(slow, dribble=dribble) < 20


def test_a_client_that_never_shakes_hands_is_let_go(impatient: float, tmp_path: Path) -> None:
    listen = Listen("127.0.0.1", 0, TlsFiles(*certify(tmp_path)))
    with serving(small, listen) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        assert get(port, tls=trusting())[0] == 200
        assert impatient / 2 < closed_after(slow) < 20


def test_a_client_that_does_not_read_its_answer_is_let_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(BoundedServer, "limits", LIMITS._replace(answer=3.0))  # time enough to render
    with serving(large) as port, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert slow.recv(1, socket.MSG_PEEK)  # it answers, to deaf ears
        ended = select.poll()
        ended.register(slow, select.POLLRDHUP)
        assert ended.poll(30_000)
    assert not caplog.records


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 200_000,
        b"GET /metrics HTTP/1.1\r\nX: " + b"x" * LARGEST_HEAD_BYTES + b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"X: x\r\n" * LARGEST_HEAD_BYTES,
    ],
    ids=["line", "header", "headers"],
)
def test_a_huge_request_is_refused(head: bytes) -> None:
    with serving(small) as port, socket.create_connection(("127.0.0.1", port)) as client:
        with contextlib.suppress(ConnectionError):  # refused before it was all sent
            client.sendall(head)
        with contextlib.suppress(ConnectionError):  # reset, since it was not all read
            assert client.recv(1 << 16).split()[1] == b"431"
        assert get(port)[0] == 200


def test_what_is_not_http_and_what_is_not_a_get(caplog: pytest.LogCaptureFixture) -> None:
    with serving(small) as port:
        for said in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", b"\r\n\r\n", b"GET\r\n\r\n", b""):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(said)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/metrics", body=b"x" * 1000)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Allow")) == (405, "GET")
        connection.close()
        assert get(port)[0] == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"], ids=["same address", "another address"])
def test_a_crowd_of_one_address_keeps_nobody_out(address: str) -> None:
    with serving(small) as port, ExitStack() as stack:
        for _ in range(2 * LIMITS.one_client):
            connection = stack.enter_context(socket.socket())
            connection.bind((address, 0))
            connection.connect(("127.0.0.1", port))
        for path in ("/healthz", "/readyz", "/metrics"):
            assert get(port, path)[0] == 200
        page = get(port)[1]
        dropped = dict(re.findall(r'dropped_connections_total\{reason="(\w+)"\} (\d+)', page))
        assert int(dropped["client"]) <= LIMITS.one_client + 4
        assert sum(map(int, dropped.values())) >= LIMITS.one_client, "the first may be too late, on a busy machine"
        assert served() <= 2, "who asks nothing has no thread: two pages were asked for"


def test_sixty_clients_of_as_many_addresses_keep_no_probe_out() -> None:
    with serving(small) as port, ExitStack() as stack:
        for number in range(2, 2 * LIMITS.total):
            connection = stack.enter_context(socket.socket())
            connection.bind((f"127.0.{number // 250}.{2 + number % 250}", 0))
            connection.connect(("127.0.0.1", port))
        for path in ("/healthz", "/readyz", "/metrics"):
            assert get(port, path)[0] == 200
        assert served() <= 1, "who asks nothing has no thread"


def test_one_page_is_made_for_all_who_wait_and_probes_do_not_wait_for_it() -> None:
    making, may_end, made = threading.Semaphore(0), threading.Event(), []

    def slow() -> Families:
        made.append(1)
        making.release()
        assert may_end.wait(30)
        return small()

    with serving(slow) as port, ExitStack() as stack:
        waiting = []
        for _ in range(LIMITS.one_client + 8):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            waiting.append(connection)
        assert making.acquire(timeout=10)
        assert get(port, "/healthz")[0] == 200
        may_end.set()
        assert all(b"nvtopo_answer 42" in read(connection) for connection in waiting[-5:])
        assert len(made) <= 3, "the first, and one for those that came meanwhile"


def read(connection: socket.socket) -> bytes:
    connection.settimeout(10)
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_a_part_that_fails_is_an_error_of_the_server_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Families:
        raise AssertionError("a bug")

    with serving(broken) as port:
        assert get(port)[0] == 500
        assert get(port, "/healthz")[0] == 200
    (record,) = caplog.records
    assert (record.levelname, record.getMessage(), bool(record.exc_info)) == ("ERROR", "bug in the page", True)


def served() -> int:
    """Threads that answer."""
    return sum(thread.name == "answer" for thread in threading.enumerate())


def wait_until(probe: object, seconds: float = 10) -> bool:
    assert callable(probe)
    pause, until = threading.Event(), time.monotonic() + seconds
    while not probe() and time.monotonic() < until:
        pause.wait(0.02)
    return bool(probe())
