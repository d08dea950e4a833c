"""The agent's page among strangers: 200 connections of every hostile kind and 40 that never read."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bench.crowd import HOSTILE, READERS, Act, Gathering, crowded
from nvtopo.agent.http.page import Listen
from nvtopo.agent.http.server import LIMITS, BoundedServer
from nvtopo.runtime.switching import switch_often
from nvtopo.sinks.metrics.series import Families, Family
from nvtopo.tls import TlsFiles
from tests.agent.test_page import TEXTS, get, serving
from tests.certificates import certify, trusting

pytestmark = pytest.mark.slow

WITHIN_SECONDS = 1.0


@pytest.fixture(autouse=True)
def _as_the_agent_does() -> Iterator[None]:
    with switch_often():
        yield


def page() -> Families:
    """As long as that of a machine with eight GPUs: no buffer holds it."""
    family = Family(TEXTS)
    for number in range(5000):
        family.add(1, f"{number}{'x' * 100}")
    return [family]


def longest(port: int, *paths: str, tls: bool = False) -> float:
    """Of ten rounds, the longest that a path took twice in a row, in seconds; each answer has to be right.

    A SYN that meets a full queue is sent again after a second. The kubelet acts when three probes in a row fail.
    """

    def seconds(path: str) -> float:
        began = time.monotonic()
        assert get(port, path, trusting() if tls else None)[0] == 200, path
        return time.monotonic() - began

    rounds = [[seconds(path) for path in paths] for _ in range(10)]
    found: float = max(min(two) for of_path in zip(*rounds, strict=True) for two in pairwise(of_path))
    return found


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_probes_and_scrapes_are_answered_among_them(tmp_path: Path, tls: bool) -> None:
    listen = Listen("127.0.0.1", 0, TlsFiles(*certify(tmp_path)) if tls else None)
    with serving(page, listen) as port, crowded(port, Gathering(200), Gathering(40, READERS)):
        assert longest(port, "/healthz", "/readyz", tls=tls) <= WITHIN_SECONDS
        assert get(port, "/metrics", trusting() if tls else None)[0] == 200


@pytest.mark.parametrize("act", [*HOSTILE, *READERS], ids=lambda act: act.__name__)
def test_each_kind_alone_may_have_all_slots_and_stops_no_probe(act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedServer, "limits", LIMITS._replace(total=64, one_client=48))
    with serving(page) as port, crowded(port, Gathering(100, (act,), addresses=2)):
        assert longest(port, "/healthz", "/readyz") <= WITHIN_SECONDS
