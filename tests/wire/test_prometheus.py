"""Prometheus' answers to instant queries, and what is none."""

import json
from typing import Any

import pytest

from nvtopo.errors import ParseError
from nvtopo.wire import prometheus


def answer(*series: tuple[dict[str, str], str]) -> bytes:
    found: list[Any] = [{"metric": metric, "value": [1435781430.781, value]} for metric, value in series]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": found}}).encode()


def test_one_value_for_each_node() -> None:
    content = answer(({"node": "a", "job": "vllm"}, "3"), ({"node": "b"}, "0.25"))
    assert prometheus.vector(content, "node", "p") == ({"a": 3.0, "b": 0.25}, 0)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "", "x"])
def test_what_is_no_finite_number_is_not_known(value: str) -> None:
    assert prometheus.vector(answer(({"node": "a"}, value), ({"node": "b"}, "1")), "node", "p") == ({"b": 1.0}, 1)


@pytest.mark.parametrize(("first", "second"), [("1", "2"), ("1", "NaN"), ("NaN", "1")])
def test_a_node_with_several_series_has_no_value(first: str, second: str) -> None:
    content = answer(({"node": "a", "pod": "x"}, first), ({"node": "a", "pod": "y"}, second), ({"pod": "z"}, "3"))
    found = prometheus.vector(content, "node", "p")
    assert not found.values
    assert found.unclear >= 2


def test_another_label() -> None:
    assert prometheus.vector(answer(({"instance": "a"}, "1")), "instance", "p").values == {"a": 1.0}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>", "expected Prometheus' answer"),
        (b'{"status":"error","errorType":"bad_data","error":"parse error"}', "p: parse error"),
        (b'{"status":"error"}', "p: status error"),
        (
            b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}',
            "one series for each node, got scalar",
        ),
        (b'{"status":"success","data":{"resultType":"vector","result":{}}}', "expected an instant vector"),
        (
            b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":["x",1]}]}}',
            "instant vector",
        ),
    ],
)
def test_what_is_no_answer_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(ParseError, match=says):
        prometheus.vector(content, "node", "p")


def test_every_series_with_its_labels_and_the_moment() -> None:
    content = answer(({"node": "a", "gpu": "0"}, "3"), ({"node": "a"}, "NaN"), ({}, "-1e400"), ({}, "0.5"))
    assert prometheus.samples(content, "p") == [
        ({"node": "a", "gpu": "0"}, 1435781430.781, 3.0),
        ({}, 1435781430.781, 0.5),
    ]
    assert prometheus.samples(content.replace(b"1435781430.781", b"-5"), "p")[0].at == -5


def test_a_query_to_be_posted_has_a_time_limit() -> None:
    assert prometheus.form('x{a="b"}', 2.6) == b"query=x%7Ba%3D%22b%22%7D&timeout=3s"
    assert prometheus.form("x", 0.1) == b"query=x&timeout=1s"
    assert prometheus.api_url("http://p:9090/") == "http://p:9090/api/v1/query"


def test_too_many_series_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MOST_SERIES", 1)
    with pytest.raises(ParseError, match="at most 1 series"):
        prometheus.vector(answer(({"node": "a"}, "1"), ({"node": "b"}, "1")), "node", "p")


def test_a_query_is_quoted() -> None:
    assert prometheus.query_url("http://p:9090/", 'sum(x{a="b"})') == (
        "http://p:9090/api/v1/query?query=sum%28x%7Ba%3D%22b%22%7D%29"
    )
