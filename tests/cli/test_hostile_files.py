"""Files that are bombs, or no files: one line, exit 3, and never a wait."""

import gzip
import json
import lzma
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HOSTS = Path(__file__).resolve().parents[2] / "fixtures" / "hosts"

MATRIX = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-3\nGPU1\tNV4\t X \t0-3\n"
PATIENCE_SECONDS = 60
"""A second on a quiet machine; what would grow without end takes longer than this on any."""


def nvtopo(*arguments: str, seconds: float = PATIENCE_SECONDS) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "nvtopo", *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=seconds, stdin=subprocess.DEVNULL)


def refused(done: subprocess.CompletedProcess[bytes]) -> str:
    """The one line on standard error."""
    text = done.stderr.decode()
    assert done.returncode == 3, text
    assert done.stdout == b""
    assert text.count("\n") == 1, text
    assert text.removesuffix("\n").isprintable()
    return text


def _alias_bomb() -> bytes:
    lines = ["spec:", "  a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(lines).encode()


BOMBS: dict[str, Callable[[], bytes]] = {
    "arrays": lambda: b'{"capture": ' + b"[" * (32 << 20),
    "objects": lambda: b'{"spec":' * (4 << 20),
    "yaml aliases": _alias_bomb,
    "yaml depth": lambda: b"spec:\n  x: " + b"[" * 500_000,
    "yaml width": lambda: b"spec:\n  gpus: [" + b"{index: 0, uuid: G}," * 40_000 + b"]\n",
    "gzip": lambda: gzip.compress(bytes(130 << 20), 1),
    "xz": lambda: lzma.compress(bytes(130 << 20), preset=0),
    "xml depth": lambda: b"<topology>" + b"<object>" * 500_000,
    "xml width": lambda: b"<system version='1'>" + b"<cpu/>" * 1_000_000 + b"</system>",
    "zeros": lambda: bytes(63 << 20),
    "nine thousand hosts": lambda: "".join(f"===== node-{n} =====\n{MATRIX}" for n in range(9000)).encode(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "input"
    file.write_bytes(BOMBS[name]())
    refused(nvtopo("dump", "--from", str(file)))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.touch()
    os.truncate(file, 1 << 40)
    assert "at most 64 MiB" in refused(nvtopo("dump", "--from", str(file)))


def _fifo(path: Path) -> str:
    os.mkfifo(path)
    return str(path)


def _socket(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
    return str(path)


NO_FILES: dict[str, Callable[[Path], str]] = {
    "a FIFO": _fifo,
    "a socket": _socket,
    "a device": lambda _: "/dev/zero",
}
USES = {
    "dump": ("dump", "--from"),
    "convert": ("convert",),
    "graph": ("graph", "--from"),
    "token": ("graph", "--server", "http://127.0.0.1:9", "--token-file"),
    "kubeconfig": ("graph", "--kubeconfig"),
}


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("use", USES)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str, use: str) -> None:
    text = refused(nvtopo(*USES[use], NO_FILES[kind](tmp_path / "it"), seconds=20))
    assert use == "graph" or kind in text


def test_a_fleet_with_a_fifo_in_it_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "node-a.json")
    assert "got a FIFO" in refused(nvtopo("graph", "--from", str(tmp_path), seconds=20))


def test_a_node_of_a_fleet_whose_file_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "node-a.json").write_bytes(b"\xef\xbb\xbf" + (HOSTS / "gh200-single" / "capture.json").read_bytes())
    (tmp_path / "node-b.json").symlink_to("gone.json")
    done = nvtopo("doctor", "--from", str(tmp_path), "--format", "json", seconds=20)
    assert done.returncode == 3
    nodes = json.loads(done.stdout)["nodes"]
    assert {name: node["verdict"] for name, node in nodes.items()} == {"gh200-0001": "ready", "node-b": "cannot-know"}


def test_the_output_of_a_command_in_place_of_a_file_is_read() -> None:
    script = f"{sys.executable} -m nvtopo dump --from <(printf '%b' '{MATRIX.encode('unicode_escape').decode()}')"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    assert b"NV4" in done.stdout


@pytest.mark.parametrize("name", ["\x1b]0;owned\x07", "a\nb\u202e", os.fsdecode(b"\xff\xfe")])
def test_escapes_in_a_name_reach_no_terminal(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x1b[31mnonsense")
    refused(nvtopo("dump", "--from", str(path)))
    refused(nvtopo("dump", "--from", f"{path}-is-missing"))
    refused(nvtopo("graph", "--from", str(path)))
    done = nvtopo("dump", "--format", name)
    assert done.returncode == 2
    assert all(line.isprintable() for line in done.stderr.decode().split("\n")), done.stderr


class _Hostile(BaseHTTPRequestHandler):
    """An aggregator that is none."""

    protocol_version = "HTTP/1.0"
    bodies = {
        "/deep/v1/graph": (200, b'{"nodes":' * 200_000),
        "/bytes/v1/graph": (200, b"\xff" * 1000),
        "/odd/v1/graph": (200, b'{"nodes":{"\\ud800":{}}}'),
        "/said/v1/graph": (403, b'{"error":"\\u001b]0;x\\u0007\\n' + b"x" * 4000),
        "/deepsaid/v1/graph": (503, b"[" * 100_000),
        "/badsaid/v1/graph": (503, b'{"error":"\xff"}'),
        "/list/v1/graph": (401, b'{"error":"a\\u001b[31mb"}'),
    }

    def do_GET(self) -> None:
        status, body = self.bodies[self.path]
        self.send_response(status, "No\x1b[31m")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("path", [path.removesuffix("/v1/graph") for path in _Hostile.bodies])
def test_what_a_server_says_is_one_printable_line(path: str) -> None:
    with HTTPServer(("127.0.0.1", 0), _Hostile) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            refused(nvtopo("graph", "--server", f"http://127.0.0.1:{server.server_port}{path}"))
        finally:
            server.shutdown()
