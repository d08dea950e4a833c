"""Damaged and random inputs: a node or a refusal in one line, nothing else. The long run is ``tests.fuzz foreign``."""

from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.foreign.fuzz import outcome
from tests.foreign.mutations import damaged
from tests.foreign.samples import SAMPLES

pytestmark = pytest.mark.slow

_EXAMPLES = 150
_SETTINGS = settings(max_examples=_EXAMPLES, deadline=20_000, suppress_health_check=[HealthCheck.too_slow])
_RUNS: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def _count() -> object:
    yield
    total = sum(_RUNS.values())
    print(f"\nfuzz: {total} inputs, {dict(sorted(_RUNS.items()))}")  # noqa: T201 - the count is the point


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_sample_is_read(name: str) -> None:
    assert outcome(SAMPLES[name]()) == "node"


@pytest.mark.parametrize("name", sorted(SAMPLES))
@_SETTINGS
@given(seed=st.integers(min_value=0, max_value=1 << 32))
def test_a_damaged_sample_is_a_node_or_a_refusal(name: str, seed: int) -> None:
    _RUNS[name] += 1
    outcome(damaged(SAMPLES[name](), Random(seed)))  # noqa: S311 - repeatable, not secret


@_SETTINGS
@given(content=st.binary(max_size=2000))
def test_random_bytes_are_a_node_or_a_refusal(content: bytes) -> None:
    _RUNS["bytes"] += 1
    outcome(content)


@_SETTINGS
@given(
    words=st.lists(
        st.sampled_from(
            [
                "GPU0",
                "GPU1",
                "NIC0",
                "X",
                "NV4",
                "SYS",
                "PIX",
                "0-3",
                "N/A",
                "\t",
                "\n",
                "  ",
                "CPU Affinity",
                "NIC0: a",
            ]
        ),
        max_size=80,
    )
)
def test_words_of_a_matrix_in_any_order_are_a_node_or_a_refusal(words: list[str]) -> None:
    _RUNS["words"] += 1
    outcome("".join(words).encode())
