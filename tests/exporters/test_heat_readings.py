"""What Prometheus is asked of a job's nodes, and what of its answers counts."""

from typing import Any

import pytest

from nvtopo.exporters import heat_readings
from nvtopo.exporters.heat_readings import Figure
from nvtopo.wire.prometheus import Sample

NOW = 1_000_000.0


def said(value: float, age: float = 10.0, node: str = "a", uuid: str = "GPU-0", **labels: Any) -> list[Sample]:
    """A series of one GPU as both parts of it are answered."""
    of = {"node": node, "gpu": "0", "UUID": uuid, **labels}
    return [
        Sample({**of, "__name__": "x", "nvtopo_part": "value"}, NOW, value),
        Sample({**of, "nvtopo_part": "at"}, NOW, NOW - age),
    ]


def read(*samples: list[Sample], figure: str = "temperature") -> dict[tuple[str, str], Figure]:
    return heat_readings.read(figure, [one for some in samples for one in some], ["a", "b"])


def test_a_value_has_the_age_of_its_own_sample() -> None:
    assert read(said(64.0, 7.5), said(70.0, node="b", uuid="GPU-1")) == {
        ("a", "GPU-0"): Figure(64.0, 7.5),
        ("b", "GPU-1"): Figure(70.0, 10.0),
    }


def test_nodes_that_were_not_asked_for_and_series_without_labels_are_left_out() -> None:
    assert not read(said(64.0, node="c"), said(64.0, node=""), said(64.0, uuid=""))
    assert not heat_readings.read("temperature", [Sample({"nvtopo_part": "at"}, NOW, NOW)], ["a"])


@pytest.mark.parametrize("age", [121.0, -0.1, -1e308, 1e308])
def test_what_is_old_or_of_the_future_is_not_known(age: float) -> None:
    assert not read(said(64.0, age))


def test_without_the_time_or_without_the_value_nothing_is_known() -> None:
    value, at = said(64.0)
    assert not read([value])
    assert not read([at])
    assert not read([value, value, at])


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_series_of_one_gpu_the_latest_counts(*, turned: bool) -> None:
    series = [said(64.0, 20.0, instance="old"), said(71.0, 5.0, instance="new")]
    assert read(*(reversed(series) if turned else series)) == {("a", "GPU-0"): Figure(71.0, 5.0)}


def test_the_reasons_that_hold_worst_first_and_none_where_none_holds() -> None:
    value, at = said(1.0)
    held = [
        value._replace(labels={**value.labels, "reason": reason})
        for reason in ("software_power_cap", "hardware_thermal", "idle")
    ]
    found = read([*held, at], said(0.0, node="b", uuid="GPU-1")[1:], figure="slowdown")
    assert found["a", "GPU-0"].reasons == ("hardware_thermal", "software_power_cap")
    assert found["b", "GPU-1"].reasons == ()
    assert not read([*held], figure="slowdown")


def test_every_query_names_the_nodes_and_nothing_else() -> None:
    asked = heat_readings.queries(["gpu-1.example", 'a"b'])
    assert [*asked] == ["temperature", "margin", "slowdown", "sent", "received"]
    for query in asked.values():
        assert query.count("{") == query.count(r'node=~"gpu\\-1\\.example|a\"b"}')


def test_a_query_names_so_many_nodes_at_most() -> None:
    found = heat_readings.batches([f"n{number}" for number in range(600)] * 2)
    assert [len(one) for one in found] == [256, 256, 88]
    assert heat_readings.batches([]) == []
