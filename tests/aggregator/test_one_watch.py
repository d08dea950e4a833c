"""The whole aggregator with every option: no collection of the API server is listed or watched twice.

Nodes are two collections here: whole ones for gangs, and their metadata alone for tiers by labels.
"""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.agent.test_shutdown import kubeconfig
from tests.aggregator.running import PATIENCE

SLICES: Final = "/apis/resource.k8s.io/v1/resourceslices"
METADATA: Final = " (metadata)"
ALL: Final = {
    "--gangs": ("/api/v1/pods", "/api/v1/nodes"),
    "--gang-claims": ("/apis/resource.k8s.io/v1/resourceclaims", SLICES),
    "--allocations": ("/apis/nvtopo.io/v1alpha1/nodeallocations",),
    "--node-labels": ("/api/v1/nodes" + METADATA,),
    "--resource-slices": (SLICES,),
    "--apply=dra-taints": (SLICES,),
}
"""Option → the collections that it needs."""
ALWAYS: Final = {"/apis/nvtopo.io/v1alpha1/nodetopologies", "/api/v1/namespaces/nvtopo/pods"}


class Recorder(ThreadingHTTPServer):
    """An API server without an object, whose watches never end; it notes what is asked of whole collections."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.changed = threading.Condition()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.over = threading.Event()

    def note(self, how: str, path: str) -> None:
        with self.changed:
            self.asked[how, path] += 1
            self.changed.notify_all()

    def await_watches(self, paths: set[str]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: all(self.asked["watch", one] for one in paths), PATIENCE), self.asked


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        path = url.path + (METADATA if "as=PartialObjectMetadata" in self.headers["Accept"] else "")
        part = {"fieldSelector", "labelSelector"} & query.keys() and "/namespaces/" not in url.path
        if "watch" in query:
            self.server.note("watch", path)
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.server.over.wait()
        elif "limit" in query:
            if not part:
                self.server.note("list", path)
            self._answer(200, {"metadata": {"resourceVersion": "1"}, "items": []})
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        """What is written is as it was written."""
        self._answer(201, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def do_PUT(self) -> None:
        """A Lease."""
        self.do_POST()

    def do_PATCH(self) -> None:
        """Server-side apply."""
        self.do_POST()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""

    def _answer(self, status: int, document: Any) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [(*ALL,), ("--gangs", "--gang-claims")],
    ids=["all", "claims"],
)
def test_each_collection_is_listed_and_watched_once(tmp_path: Path, options: tuple[str, ...]) -> None:
    wanted = {path for option in options for path in ALL[option]} | ALWAYS
    with recorder() as server:
        config = kubeconfig(tmp_path, f"http://127.0.0.1:{server.server_address[1]}")
        command = ("aggregator", "--kubeconfig", str(config), "--listen", "127.0.0.1:0", "--no-events", *options)
        with subprocess.Popen((sys.executable, "-m", "nvtopo", *command)) as program:
            try:
                server.await_watches(wanted)
            finally:
                program.send_signal(signal.SIGTERM)
                program.wait(PATIENCE)
        asked = server.asked
    assert {path: count for (how, path), count in asked.items() if how == "watch"} == dict.fromkeys(wanted, 1)
    assert {path: asked["list", path] for path in wanted} == dict.fromkeys(wanted, 1)
