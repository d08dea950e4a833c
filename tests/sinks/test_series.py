"""The page as text: what prometheus-client's own parsers read back, in both formats."""

import math
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from nvtopo.sinks.metrics.series import Family, counter, facts, gauge, info, one, text

RATIO = gauge("a_ratio", "Words.", ("z", "a"), source="a file")
BYTES = counter("b_bytes_total", "Words.", ("z",), source="a file")
INFO = info("c_info", "Words.", ("version", "other"), source="a file")


def families(value: str, number: float, count: float) -> list[Family]:
    ratio = Family(RATIO)
    ratio.add(number, value, "x")
    ratio.add(number, value, "y")
    return [ratio, one(BYTES, count, value), facts(INFO, [(value, "")])]


def samples(parsed: Iterable[Metric]) -> list[tuple[str, dict[str, str], float]]:
    return [(sample.name, sample.labels, sample.value) for family in parsed for sample in family.samples]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")), st.floats(), st.integers(0, 1 << 64))
def test_any_text_and_number_is_read_back(value: str, number: float, count: int) -> None:
    label = {"z": value} if value else {}
    expected: list[tuple[str, dict[str, str], float]] = [
        ("a_ratio", {**label, "a": "x"}, number),
        ("a_ratio", {**label, "a": "y"}, number),
        ("b_bytes_total", label, float(count)),
        ("c_info", {"version": value} if value else {}, 1.0),
    ]
    made = families(value, number, count)
    for found in (
        samples(parse(text(made))),
        samples(parse_openmetrics(text(made, openmetrics=True))),  # type: ignore[no-untyped-call]
    ):
        assert [(name, labels) for name, labels, _ in found] == [(name, labels) for name, labels, _ in expected]
        for (_, _, one_value), (_, _, other) in zip(found, expected, strict=True):
            assert float(one_value) == other or (math.isnan(one_value) and math.isnan(other))


def test_types() -> None:
    page = text(families("v", 0.5, 7))
    assert page.startswith('# HELP a_ratio Words.\n# TYPE a_ratio gauge\na_ratio{z="v",a="x"} 0.5\n')
    assert '# TYPE b_bytes_total counter\nb_bytes_total{z="v"} 7\n' in page
    assert '# TYPE c_info gauge\nc_info{version="v"} 1\n' in page
    openmetrics = text(families("v", 0.5, 7), openmetrics=True)
    assert '# TYPE b_bytes counter\nb_bytes_total{z="v"} 7\n' in openmetrics
    assert "# TYPE c info\n" in openmetrics
    assert openmetrics.endswith("# EOF\n")


def test_unknown_is_no_sample_and_no_samples_are_no_family() -> None:
    assert text([one(BYTES, None, "v"), Family(RATIO)]) == ""
