"""What the agent makes of ``status.expected`` in the API server's answer: absence and garbage included."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.kube.standing import standing_in
from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.standing import Standing


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (None, None),
        ({}, None),
        ([], None),
        ({"expected": None}, None),
        ({"expected": 7}, None),
        ({"expected": {}}, None),
        ({"expected": {"learned": {"gpus": 8}}}, Standing(learned=Expectation(gpus=8))),
        (
            {"gpus": "many", "conditions": 7, "expected": {"learned": {"gpus": 8}}},
            Standing(learned=Expectation(gpus=8)),
        ),
        (
            {"expected": {"accepted": {"gpus": "x"}, "learned": {"gpus": 8}}},
            Standing(learned=Expectation(gpus=8)),
        ),
        ({"expected": {"learned": {"gpus": -1}}}, None),
        ({"expected": {"learned": {"gpus": 1 << 70}}}, None),
        ({"expected": {"learned": {"gpus": 8, "new": 1}, "newer": {}}}, Standing(learned=Expectation(gpus=8))),
    ],
)
def test_what_can_be_read_counts(status: Any, found: Standing | None) -> None:
    assert standing_in(msgspec.json.encode({"metadata": {"name": "a"}, "status": status})) == found


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"\xff\xfe", b"{" * 100_000, b'{"status":' + b"[" * 100_000])
def test_an_answer_that_is_none_says_nothing(answer: bytes) -> None:
    assert standing_in(answer) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda part: st.dictionaries(
            st.sampled_from(["status", "expected", "accepted", "learned", "gpus", "pcie", "width", "x"]), part
        ),
        max_leaves=20,
    )
)
def test_whatever_somebody_wrote_there_is_read_or_ignored(document: Any) -> None:
    standing_in(msgspec.json.encode(document))
