"""As much of an API server as ``nvtopo.kube`` talks to, over real HTTP on loopback, with faults on order."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from nvtopo.kube import events
from nvtopo.kube.v1alpha1 import COLLECTION

Json = dict[str, Any]

NODES: Final = "/api/v1/nodes/"
_COLLECTIONS: Final = (COLLECTION, "/api/v1/nodes")
"""Both hold the same objects here."""
LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/nvtopo/leases"
_TOO_OLD: Final = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}


class FakeApiServer:
    """Objects, their history, and who watches. Everything is guarded by ``changed``."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.objects: dict[str, Json] = {}
        self.nodes: dict[str, str] = {}
        """Node -> uid."""
        self.events: dict[str, Json] = {}
        """Kubernetes Events, by name."""
        self.lease: Json | None = None
        """The one Lease that there is."""
        self.history: list[tuple[int, Json]] = []
        self.version = 100
        self.oldest = 0
        """Watches from before this version are refused with 410."""
        self.page_size = 500
        self.tls: SSLContext | None = None
        """Plain HTTP without."""
        self.requests: list[str] = []
        """Kinds of the requests so far: list, watch, apply, status, node, review, event, again, lease,
        lease-write, other."""
        self.authorizations: list[str | None] = []
        self.accepts: list[str | None] = []
        self._refusals: list[tuple[str, int, Mapping[str, str], bytes]] = []
        self._era = 0
        """Open watches end when it changes."""
        self._address = ("127.0.0.1", 0)
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://{self._address[0]}:{self._address[1]}"

    def start(self) -> None:
        """At the address it had before, if it had one."""
        self._server = _Server(self._address, self)
        self._address = ("127.0.0.1", self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuses connections, and breaks those that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            self.end_watches()
            server.server_close()

    def refuse(
        self, kind: str, status: int, *, times: int = 1, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        """The next requests of that kind are answered so."""
        with self.changed:
            self._refusals += [(kind, status, headers or {}, body)] * times

    def refusal(self, kind: str) -> tuple[int, Mapping[str, str], bytes] | None:
        with self.changed:
            self.requests.append(kind)
            self.changed.notify_all()
            for refusal in self._refusals:
                if refusal[0] == kind:
                    self._refusals.remove(refusal)
                    return refusal[1:]
        return None

    def await_requests(self, kind: str, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.requests.count(kind) >= count, timeout=5), self.requests

    def end_watches(self) -> None:
        with self.changed:
            self._era += 1
            self.changed.notify_all()

    def compact(self) -> None:
        """Forgets the history: who asks for more than the present is told 410."""
        with self.changed:
            self.oldest = self.version

    def bookmark(self) -> None:
        """Time passes in other collections: the version grows, and watchers are told so."""
        with self.changed:
            self.version += 10
            document = {"kind": "NodeTopology", "metadata": {"resourceVersion": str(self.version)}}
            self._tell("BOOKMARK", document)

    def put(self, name: str, spec: Any) -> bool:
        """Creates or changes an object, as any writer might; whether it was created."""
        with self.changed:
            old = self.objects.get(name)
            if old is not None and old["spec"] == spec:
                return False
            metadata = {"name": name, "uid": f"uid-{self.version}", "generation": 1}
            if old is not None:
                metadata = {**old["metadata"], "generation": old["metadata"]["generation"] + 1}
            self._store("ADDED" if old is None else "MODIFIED", {**(old or {}), "metadata": metadata, "spec": spec})
            return old is None

    def label(self, name: str, labels: Mapping[str, str]) -> None:
        """Creates or changes an object that is nothing but labels."""
        with self.changed:
            old = self.objects.get(name)
            kind = "PartialObjectMetadata"
            document = {"kind": kind, "metadata": {"name": name, "uid": f"uid-{name}", "labels": dict(labels)}}
            self._store("ADDED" if old is None else "MODIFIED", document)

    def put_status(self, name: str, status: Any) -> bool:
        """Whether there is such an object."""
        with self.changed:
            if name not in self.objects:
                return False
            self._store("MODIFIED", {**self.objects[name], "status": status})
            return True

    def delete(self, name: str) -> bool:
        with self.changed:
            if name not in self.objects:
                return False
            gone = self.objects[name]
            self._store("DELETED", gone)
            del self.objects[name]
            return True

    def watch(self, version: int) -> Iterator[Json]:
        """Events after that version, for as long as the watch lasts."""
        with self.changed:
            era, position = self._era, 0
            if version < self.oldest:
                yield {"type": "ERROR", "object": _TOO_OLD}
                return
            while self._era == era:
                fresh, position = self.history[position:], len(self.history)
                yield from (event for at, event in fresh if at > version)
                while self._era == era and len(self.history) == position:
                    self.changed.wait()

    def _store(self, kind: str, document: Json) -> None:
        self.version += 1
        document["metadata"] = {**document["metadata"], "resourceVersion": str(self.version)}
        self.objects[document["metadata"]["name"]] = document
        self._tell(kind, document)

    def _tell(self, kind: str, document: Json) -> None:
        self.history.append((self.version, {"type": kind, "object": document}))
        self.changed.notify_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], fake: FakeApiServer) -> None:
        super().__init__(address, _Handler)
        if fake.tls is not None:
            self.socket = fake.tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.fake = fake
        self.connections: set[socket.socket] = set()

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client, or stop(), ended it
            super().handle()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path.startswith(NODES):
            self._node(url.path.removeprefix(NODES))
        elif url.path.startswith(LEASES):
            self._lease()
        elif url.path == events.COLLECTION:
            with self.server.fake.changed:
                self._answer(200, {"metadata": {}, "items": list(self.server.fake.events.values())})
        elif url.path not in _COLLECTIONS:
            self._plain(url.path.removeprefix(f"{COLLECTION}/"))
        elif "watch" in query:
            self._watch(int(query["resourceVersion"]))
        else:
            self._list(query)

    def do_POST(self) -> None:
        """Events; and reviews, which it answers on order alone."""
        document = json.loads(self._body())
        if self.path == LEASES:
            self._keep_lease(document, version=None)
            return
        if self._refused("event" if self.path == events.COLLECTION else "review"):
            return
        if self.path != events.COLLECTION:
            self._answer(404, {})
            return
        with self.server.fake.changed:
            known = document["metadata"]["name"] in self.server.fake.events
            self.server.fake.events.setdefault(document["metadata"]["name"], document)
        self._answer(409 if known else 201, {})

    def do_PATCH(self) -> None:
        document = json.loads(self._body())
        if self.path.startswith(events.COLLECTION):
            self._again(self.path.removeprefix(f"{events.COLLECTION}/"), document)
            return
        name, _, subresource = urlsplit(self.path).path.removeprefix(f"{COLLECTION}/").partition("/")
        if self._refused("status" if subresource else "apply"):
            return
        if subresource:
            found = self.server.fake.put_status(name, document["status"])
            self._answer(200 if found else 404, {})
        else:
            created = self.server.fake.put(name, document["spec"])
            with self.server.fake.changed:
                stored = self.server.fake.objects[name]
                stored["owners"] = document["metadata"]["ownerReferences"]
                answer = dict(stored)
            self._answer(201 if created else 200, answer)

    def do_PUT(self) -> None:
        document = json.loads(self._body())
        self._keep_lease(document, version=document["metadata"]["resourceVersion"])

    def _lease(self) -> None:
        if not self._refused("lease"):
            found = self.server.fake.lease
            self._answer(200 if found else 404, found or {})

    def _keep_lease(self, document: Json, version: str | None) -> None:
        """Taken by whoever has seen what it is now; ``version`` is None where that is nothing."""
        if self._refused("lease-write"):
            return
        with self.server.fake.changed:
            current = self.server.fake.lease
            if version != (current["metadata"]["resourceVersion"] if current else None):
                self._answer(409, {})
                return
            self.server.fake.version += 1
            document["metadata"]["resourceVersion"] = str(self.server.fake.version)
            self.server.fake.lease = document
        self._answer(200, document)

    def do_DELETE(self) -> None:
        if not self._refused("other"):
            self._answer(200 if self.server.fake.delete(urlsplit(self.path).path.rpartition("/")[2]) else 404, {})

    def _again(self, name: str, change: Json) -> None:
        if self._refused("again"):
            return
        with self.server.fake.changed:
            known = self.server.fake.events.get(name)
            if known is not None:
                known |= change
        self._answer(404 if known is None else 200, {})

    def _node(self, name: str) -> None:
        if self._refused("node"):
            return
        uid = self.server.fake.nodes.get(name)
        self._answer(200 if uid else 404, {"metadata": {"name": name, "uid": uid}})

    def _plain(self, name: str) -> None:
        if not self._refused("other"):
            found = self.server.fake.objects.get(name)
            self._answer(200 if found else 404, found or {})

    def _list(self, query: Mapping[str, str]) -> None:
        if self._refused("list"):
            return
        fake = self.server.fake
        with fake.changed:
            start = int(query.get("continue", "0"))
            end = start + min(int(query["limit"]), fake.page_size)
            names = sorted(fake.objects)
            metadata = {"resourceVersion": str(fake.version), "continue": str(end) if end < len(names) else ""}
            items = [fake.objects[name] for name in names[start:end]]
        self._answer(200, {"kind": "NodeTopologyList", "metadata": metadata, "items": items})

    def _watch(self, version: int) -> None:
        if self._refused("watch"):
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in self.server.fake.watch(version):
            self._chunk(json.dumps(event).encode() + b"\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _refused(self, kind: str) -> bool:
        self.server.fake.authorizations.append(self.headers["Authorization"])
        self.server.fake.accepts.append(self.headers["Accept"])
        refusal = self.server.fake.refusal(kind)
        if refusal is None:
            return False
        status, headers, body = refusal
        self._send(status, body, headers)
        return True

    def _answer(self, status: int, document: Json) -> None:
        self._send(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))
