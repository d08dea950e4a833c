"""The acceptance report in a real Chromium: it asks for nothing, whatever the names in it are."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nvtopo.checks.fleet import of_fleet
from nvtopo.reports import formats
from tests.checks.recorded import machine_of, report_of, snapshot_of

CHROMIUM = shutil.which("chromium")
HOST = "h100-one-link-down"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]


class _Handler(BaseHTTPRequestHandler):
    """Gives out the page, and notes what is asked for."""

    def __init__(self, page: bytes, asked: list[str], *arguments: Any) -> None:
        self._page, self._asked = page, asked
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self._page)))
        self.end_headers()
        self.wfile.write(self._page)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


@contextmanager
def served(page: bytes, asked: list[str]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, page, asked))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def shown(profile: Path, url: str) -> str:
    """The document as Chromium has it once it is loaded."""
    assert CHROMIUM is not None
    quiet = ("--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync")
    only_here = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    words = (CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *quiet, only_here, f"--user-data-dir={profile}")
    done = subprocess.run((*words, "--dump-dom", url), capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.decode("utf-8", "replace")


def report(name: str) -> bytes:
    found = report_of(HOST)
    evil = tuple(replace(one, subject=name, evidence=name) for one in found.findings)
    fleet = of_fleet({name: replace(found, findings=(*evil, *found.findings))})
    page = formats.render("html", fleet, {name: machine_of(snapshot_of(HOST))})
    assert isinstance(page, str)
    return page.encode()


def test_the_page_is_all_that_is_asked_for(tmp_path: Path) -> None:
    asked: list[str] = []
    with served(report("node-a"), asked) as url:
        dom = shown(tmp_path, f"{url}/report.html")
    assert asked == ["/report.html"]
    assert "nvtopo doctor: not ready" in dom
    assert dom.index("GPU2") < dom.index("<img")


def test_no_name_becomes_a_request_or_a_script(tmp_path: Path) -> None:
    asked: list[str] = []
    name = '"><img src="/evil.png"><script>fetch("/evil.js")</script><link rel=stylesheet href="/evil.css">'
    with served(report(name), asked) as url:
        dom = shown(tmp_path, f"{url}/report.html")
    assert asked == ["/report.html"]
    assert "<script" not in dom


def test_what_it_would_ask_for_is_seen(tmp_path: Path) -> None:
    """The same machinery with a page that does ask: else the two tests above could not fail."""
    asked: list[str] = []
    with served(b"<!DOCTYPE html><title>t</title><link rel=icon href=data:,><img src=/asked.png>", asked) as url:
        shown(tmp_path, f"{url}/report.html")
    assert asked == ["/report.html", "/asked.png"]
