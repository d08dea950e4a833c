"""The number with which a replica begins to count its graphs."""

from nvtopo.cli.aggregator import generation_at

#: Numbers beyond this are no longer exact in JavaScript and in metrics.
_EXACT = 1 << 53
_YEAR_2100 = 4_102_444_800.0


def test_replicas_that_start_a_second_apart_are_a_million_graphs_apart() -> None:
    assert generation_at(1_800_000_001.0) - generation_at(1_800_000_000.0) == 1_000_000


def test_it_stays_exact_where_numbers_are_floating() -> None:
    assert generation_at(_YEAR_2100) + 1_000_000_000 < _EXACT
