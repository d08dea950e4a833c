"""dranet's requests on the agent's Unix socket, by an HTTP client that is not ours, and those of strangers."""

import contextlib
import http.client
import json
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nvtopo.agent.http.provider import MOST_BYTES, Provider
from nvtopo.errors import ReadError
from nvtopo.exporters.nic_attributes import NicAttributes
from nvtopo.exporters.shadows import NIC_ADDRESS, shadows
from nvtopo.model.records.node import NodeTopology
from tests.exporters import clusters


class Asking(http.client.HTTPConnection):
    """Over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))

    def ask(self, method: str, path: str, document: Any = None, body: bytes = b"") -> tuple[int, Any]:
        content = json.dumps(document).encode() if document is not None else body
        self.request(method, path, content or None, {"Content-Type": "application/json"})
        response = self.getresponse()
        found = json.loads(response.read())
        self.close()
        return response.status, found


class Node:
    """What the provider knows, and how often it asked."""

    def __init__(self) -> None:
        self.node: NodeTopology | None = clusters.host("h100-sxm-8gpu-8cx7")

    def latest(self) -> NodeTopology | None:
        return self.node


def refused(stranger: socket.socket) -> bool:
    """Whether the connection is ended, after an error at most."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while more := stranger.recv(4096):
            said += more
    return not said or b" 4" in said[:12] or b" 50" in said[:12]


@pytest.fixture(name="node")
def _node() -> Node:
    return Node()


@pytest.fixture(name="asking")
def _asking(tmp_path: Path, node: Node) -> Iterator[Asking]:
    path = tmp_path / "dranet.sock"
    path.touch()  # of an agent that was killed
    with Provider(path, node.latest, connection_seconds=5):
        yield Asking(path)
    assert not path.exists()


def test_the_conversation_of_dranet(asking: Asking, node: Node) -> None:
    assert asking.ask("GET", "/health") == (200, {"cloudProvider": True, "profileProvider": False})
    assert node.node is not None
    shadow = shadows(node.node).nics[3]
    device = {"mac_address": "02:00:00:00:00:01", "pci_address": shadow.attributes[NIC_ADDRESS], "name": "eth0"}
    status, found = asking.ask("POST", "/GetDeviceAttributes", device)
    assert (status, found["topo.nvtopo.io/rail"]) == (200, {"int": shadow.attributes["rail"]})
    assert found["topo.nvtopo.io/complex"] == {"string": shadow.attributes["complex"]}
    assert asking.ask("POST", "/GetDeviceConfig", device) == (200, {})
    assert asking.ask("POST", "/GetDeviceAttributes", {"name": ""}) == (200, {})


def test_before_the_first_reading_nothing_is_said_of_a_nic(asking: Asking, node: Node) -> None:
    node.node = None
    assert asking.ask("GET", "/health")[0] == 200
    assert asking.ask("POST", "/GetDeviceAttributes", {"name": "eth0"})[0] == 503


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", b"", 404),
        ("GET", "/metrics", b"", 404),
        ("GET", "/GetDeviceAttributes", b"", 405),
        ("POST", "/health", b"", 405),
        ("POST", "/GetDeviceAttributes", b"", 400),
        ("POST", "/GetDeviceAttributes", b"\xff{", 400),
        ("POST", "/GetDeviceAttributes", b"[" * 10_000, 400),
        ("POST", "/GetDeviceAttributes", b'{"pci_address": 7}', 400),
    ],
)
def test_what_is_no_request_of_dranet(asking: Asking, method: str, path: str, body: bytes, status: int) -> None:
    found, document = asking.ask(method, path, body=body)
    assert found == status
    assert document["error"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x16\x03\x01\x00",
        b"DELETE / HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /GetDeviceConfig HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}",
        b"GET /health HTTP/9.x\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    ],
)
def test_strangers_learn_nothing_and_are_in_nobody_s_way(tmp_path: Path, asking: Asking, content: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(30)
        stranger.connect(str(tmp_path / "dranet.sock"))
        stranger.sendall(content)
        stranger.shutdown(socket.SHUT_WR)
        assert refused(stranger)
    assert asking.ask("GET", "/health")[0] == 200


@pytest.mark.parametrize(
    "content",
    [
        b"GET /health HTTP/1.1\r\n" + b"x" * MOST_BYTES,
        b"POST /GetDeviceConfig HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n" + b"x" * MOST_BYTES,
    ],
)
def test_who_sends_more_than_a_request_is_left_at_once(tmp_path: Path, node: Node, content: bytes) -> None:
    path = tmp_path / "s"
    with Provider(path, node.latest, connection_seconds=300), socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(60)
        stranger.connect(str(path))
        stranger.sendall(content)
        assert refused(stranger)


def test_who_sends_nothing_is_left_after_the_deadline(tmp_path: Path, node: Node) -> None:
    path = tmp_path / "s"
    with Provider(path, node.latest, connection_seconds=0.05), socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(path))
        assert Asking(path).ask("GET", "/health")[0] == 200


def test_conclusions_are_drawn_once_for_each_reading(
    asking: Asking, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[NodeTopology] = []
    real = NicAttributes.__init__

    def counted(self: NicAttributes, one: NodeTopology, leaves: Mapping[str, str]) -> None:
        drawn.append(one)
        real(self, one, leaves)

    monkeypatch.setattr(NicAttributes, "__init__", counted)
    for name, times in (("h100-sxm-8gpu-8cx7", 1), ("gb300-nvl72-tray", 2)):
        node.node = clusters.host(name)
        for _ in range(3):
            assert asking.ask("POST", "/GetDeviceAttributes", {"name": "eth0"})[0] == 200
        assert len(drawn) == times


def test_only_its_user_and_root_can_connect(tmp_path: Path, asking: Asking) -> None:
    del asking
    assert stat.S_IMODE((tmp_path / "dranet.sock").stat().st_mode) == 0o600


def test_a_socket_that_cannot_be_made_is_said_in_one_line(tmp_path: Path, node: Node) -> None:
    with pytest.raises(ReadError, match=r"cannot listen on .*: No such file or directory$"):
        Provider(tmp_path / "none" / "s", node.latest)
    with pytest.raises(ReadError, match="cannot listen on"):
        Provider(tmp_path / ("s" * 120), node.latest)
