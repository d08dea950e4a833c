"""The page over HTTP: what a scraper asks for is what it gets."""

import gzip
from typing import Any

import pytest

from nvtopo.agent.http.exposition import Exposition
from nvtopo.sinks.metrics.series import Family, gauge, one, text

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def families() -> list[Family]:
    return [one(gauge(f"{name}_ratio", "Words.", source="a file"), 0.5) for name in "ab"]


def get(**environ: str) -> tuple[dict[str, str], bytes]:
    headers: dict[str, str] = {}

    def start(status: str, given: list[tuple[str, str]]) -> Any:
        assert status == "200 OK"
        headers.update(given)

    return headers, b"".join(Exposition([families])(environ, start))


def test_plain_text_is_what_somebody_with_curl_gets() -> None:
    headers, body = get()
    assert headers["Content-Type"].startswith("text/plain")
    assert body.decode() == text(families())


def test_openmetrics_and_gzip_for_whom_asks() -> None:
    headers, body = get(HTTP_ACCEPT=OPENMETRICS, HTTP_ACCEPT_ENCODING="gzip")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).decode() == text(families(), openmetrics=True)


def test_families_by_name() -> None:
    assert get(QUERY_STRING="name[]=b_ratio")[1].decode() == text(families()[1:])
    assert get(QUERY_STRING="name[]=c_ratio")[1] == b""


@pytest.mark.parametrize("version", ["9e9", "1.x", "1.0.0.beta", "x\x1by", "7.0", "", "\x1f1.0.0", "1.0.0;version=9e9"])
def test_a_version_that_nobody_makes_is_not_repeated(version: str) -> None:
    headers, body = get(HTTP_ACCEPT=f"application/openmetrics-text;version={version},text/plain;version={version}")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert body.decode() == text(families())
    headers, _ = get(HTTP_ACCEPT=f"application/openmetrics-text;version={version},{OPENMETRICS}")
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0;")
