import pytest

from nvtopo.model.conclusions.pcie import bytes_per_second, narrowed
from nvtopo.model.records.facts import PcieLink


@pytest.mark.parametrize(
    ("width", "most", "says"), [(8, 16, True), (16, 16, False), (None, 16, False), (16, None, False), (16, 8, False)]
)
def test_a_link_is_narrowed_only_where_both_widths_are_known(
    width: int | None, most: int | None, *, says: bool
) -> None:
    assert narrowed(PcieLink(width=width, max_width=most)) is says


def test_no_link_is_not_narrowed_and_carries_nobody_knows_what() -> None:
    assert narrowed(None) is False
    assert bytes_per_second(None) is None


def test_a_link_carries_what_its_best_generation_and_present_width_allow() -> None:
    assert bytes_per_second(PcieLink(generation=1, max_generation=5, width=8, max_width=16)) == 8 * 3_938_461_538
    assert bytes_per_second(PcieLink(max_generation=5)) is None
