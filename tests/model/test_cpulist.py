import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.model.formats.cpulist import format_cpulist, parse_cpulist


@given(st.sets(st.integers(0, 4096)))
def test_formatting_and_parsing_are_inverse(numbers: set[int]) -> None:
    assert parse_cpulist(format_cpulist(numbers)) == tuple(sorted(numbers))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", ()),
        ("0-3,8\n", (0, 1, 2, 3, 8)),
        ("0,2,4", (0, 2, 4)),
        ("3-3", (3,)),
        ("0,,2", (0, 2)),
        ("8191", (8191,)),
        ("0-5,3-9", tuple(range(10))),
        ("5-3", ()),
    ],
)
def test_the_kernel_s_lists_are_read(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_cpulist(text) == numbers


@pytest.mark.parametrize("text", ["a", "1-", "-1", "1-b", "0x1", "1-2-3", "0-99999999999", "10000", "0-10000"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="list: expected numbers"):
        parse_cpulist(text)
