"""The page's text is prometheus-client's, to the byte, for what we export and for what we do not."""

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from nvtopo.agent import exposition
from nvtopo.model.assemble import assemble
from nvtopo.model.derive import derive
from nvtopo.sinks.metrics import Observation, ObservationCollector
from nvtopo.sources.capture import parse_capture
from tests.hosts.recorded import HOSTS

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


class Families:
    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def registry_of(*families: Metric) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Families(*families))
    return registry


def by_client(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def openmetrics_by_client(registry: CollectorRegistry) -> str:
    return str(generate_openmetrics(registry).decode())  # type: ignore[no-untyped-call]


def check(registry: CollectorRegistry) -> None:
    assert exposition.text(registry, openmetrics=False) == by_client(registry)
    assert exposition.text(registry, openmetrics=True) == openmetrics_by_client(registry)


@pytest.mark.parametrize("host", HOSTS, ids=[host.name for host in HOSTS])
def test_recorded_machines(host: Path) -> None:
    snapshot = parse_capture((host / "capture.json").read_bytes(), host.name)
    node = assemble(snapshot)
    observation = Observation(snapshot, node, derive(node), seconds=0.25, at_seconds=1_800_000_000)
    registry = CollectorRegistry()
    registry.register(ObservationCollector(lambda: observation))
    check(registry)


@given(st.text(), st.text(), st.floats())
def test_any_text_and_number(words: str, value: str, number: float) -> None:
    gauge = GaugeMetricFamily("a_ratio", words, labels=["z", "a"])
    gauge.add_metric([value, "x"], number)
    counter = CounterMetricFamily("b_bytes", words, abs(number))
    check(registry_of(gauge, counter, InfoMetricFamily("c", words, {"version": value})))


def test_what_this_agent_does_not_use_is_left_to_the_client() -> None:
    registry = registry_of(GaugeMetricFamily("a_seconds", "Words.", 1, unit="seconds"))
    counter = CounterMetricFamily("b", "Words.", labels=["x"])
    counter.add_metric(["1"], 5, created=3, timestamp=7)
    registry.register(Families(counter))
    Histogram("c_seconds", "Words.", registry=registry).observe(0.3)
    check(registry)


def get(registry: CollectorRegistry, **environ: str) -> tuple[dict[str, str], bytes]:
    headers: dict[str, str] = {}

    def start(status: str, given: list[tuple[str, str]]) -> Any:
        assert status == "200 OK"
        headers.update(given)

    return headers, b"".join(exposition.app(registry)(environ, start))


def test_negotiation() -> None:
    registry = registry_of(GaugeMetricFamily("a", "Words.", 1), GaugeMetricFamily("b", "Words.", 2))
    headers, body = get(registry)
    assert headers["Content-Type"].startswith("text/plain")
    assert body.decode() == by_client(registry)
    headers, body = get(registry, HTTP_ACCEPT=OPENMETRICS, HTTP_ACCEPT_ENCODING="gzip")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert gzip.decompress(body).decode() == openmetrics_by_client(registry)
