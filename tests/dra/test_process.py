"""The process as the kubelet and an API server see it: it registers, publishes, and leaves at SIGTERM."""

import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from tests.dra.kubelet import connected

pytestmark = pytest.mark.slow

SECONDS: Final = 120.0


class Silent(http.server.BaseHTTPRequestHandler):
    """An API server without objects, whose watches end at once."""

    def do_GET(self) -> None:
        self.server.asked.add(urlsplit(self.path).path)  # type: ignore[attr-defined]
        body = b"" if "watch=true" in self.path else b'{"metadata": {"resourceVersion": "1"}, "items": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(name="kubeconfig")
def _kubeconfig(tmp_path: Path) -> Iterator[Path]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.asked = set[str]()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    path = tmp_path / "config"
    entry = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
    context = {"name": "here", "context": {"cluster": "here", "user": "me"}}
    users = [{"name": "me", "user": {}}]
    config = {"current-context": "here", "clusters": [entry], "contexts": [context], "users": users}
    path.write_text(json.dumps(config), encoding="utf-8")
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(name="folder")
def _folder() -> Iterator[Path]:
    """With a name short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="dra-") as name:
        yield Path(name)


def test_it_serves_until_it_is_told_to_stop(folder: Path, kubeconfig: Path) -> None:
    socket = folder / "topo.nvtopo.io-uid-reg.sock"
    words = ("--node-name", "node-1", "--plugins-dir", str(folder), "--instance", "uid")
    process = subprocess.Popen(
        [sys.executable, "-m", "nvtopo", "dra-driver", *words, "--kubeconfig", str(kubeconfig)],
        env={**os.environ, "NO_PROXY": "*"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with connected(socket) as kubelet:
            assert kubelet.info().name == "topo.nvtopo.io"
            kubelet.notify(registered=True)
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert '"message": "registered with the kubelet"' in said
    assert not socket.exists()


def test_what_is_missing_is_said_in_one_line(tmp_path: Path, kubeconfig: Path) -> None:
    command = [sys.executable, "-m", "nvtopo", "dra-driver", "--kubeconfig", str(kubeconfig)]
    result = subprocess.run(
        [*command, "--plugins-dir", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert result.returncode == 3
    (last,) = result.stderr.splitlines()[-1:]
    assert last.startswith("nvtopo: ")
    assert "no socket can be made" in last
