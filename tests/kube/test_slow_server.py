"""A server that sends a byte now and then is given up when the whole answer's time is over."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from nvtopo.errors import ApiError, ReadError
from nvtopo.kube import client as client_module
from nvtopo.kube.client import Client
from nvtopo.kube.connection import Connection
from nvtopo.runtime import timed_response
from nvtopo.wire import pull

pytestmark = pytest.mark.slow

#: Long before the server has sent all; each piece comes long before the time is over.
SECONDS = 1.0
_PAUSE_SECONDS = 0.02
_PIECES = 1000
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#: What is sent at once, and what is sent again and again. All that comes is an answer, were it waited for.
SLOW = {
    "a body": (_HEAD + b"Content-Length: %d\r\n\r\n" % _PIECES, b" "),
    "a body in chunks": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n\n\r\n"),
    "a head": (_HEAD + b"X: ", b"x"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@contextlib.contextmanager
def server(first: bytes, again: bytes) -> Iterator[str]:
    """Its URL."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError), listening.accept()[0] as connection:
                connection.recv(1 << 16)
                connection.sendall(first)
                for _ in range(_PIECES):
                    if over.wait(_PAUSE_SECONDS):
                        return
                    connection.sendall(again)
                connection.sendall(b"\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def ended(use: Callable[[Client], object], slow: str) -> None:
    with server(*SLOW[slow]) as url, Client(Connection(host=url)) as client, pytest.raises(ApiError, match="timed out"):
        use(client)


@pytest.mark.parametrize("slow", SLOW)
def test_a_request_has_one_deadline(slow: str) -> None:
    ended(lambda client: client.get("/x", seconds=SECONDS), slow)


@pytest.mark.parametrize("slow", ["a body in chunks", "a head"])
def test_a_watch_that_never_ends_is_given_up(slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_WATCH_SECONDS", 0)
    monkeypatch.setattr(client_module, "_WATCH_GRACE_SECONDS", SECONDS)
    ended(lambda client: list(client.watch("/x", "1", threading.Event())), slow)


@pytest.mark.parametrize("slow", ["a head", "100 Continue"])
def test_an_aggregator_whose_head_never_ends_is_given_up(slow: str) -> None:
    with (
        server(*SLOW[slow]) as url,
        pytest.raises(ReadError, match="timed out"),
        pull.opened(url, "", {}, SECONDS),
    ):
        pass


@pytest.mark.parametrize("slow", ["a head", "a body"])
def test_an_answer_to_a_form_has_a_deadline_for_all_of_it(slow: str) -> None:
    with server(*SLOW[slow]) as url, pytest.raises(ReadError, match=r"timed out|no whole answer within"):
        pull.post(url, b"query=x", "", seconds=SECONDS)


def test_a_body_may_take_longer_than_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a stream of events does."""
    with server(*SLOW["a body"]) as url, pull.opened(url, "", {}, 60) as answer:
        monkeypatch.setattr(timed_response, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 1000))
        assert [answer.read(1) for _ in range(3)] == [b" "] * 3
