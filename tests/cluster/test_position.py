"""How a place in a rack is said, and when it is exact."""

import pytest

from nvtopo.cluster.position import Position, is_filler


@pytest.mark.parametrize(
    ("position", "says", "exact"),
    [
        (Position(), "", False),
        (Position("1820", 3, 2, 1), "chassis 1820, slot 3, tray 2, host 1", True),
        (Position("1820", None, 2, 1), "chassis 1820, tray 2, host 1", True),
        (Position("1820", 3, None, 1), "chassis 1820, slot 3, host 1", True),
        (Position("1820", None, None, 1), "chassis 1820, host 1", False),
        (Position("1820", 3, 2, None), "chassis 1820, slot 3, tray 2", False),
        (Position(None, 3, 2, 1), "slot 3, tray 2, host 1", False),
    ],
)
def test_it_is_said_by_its_known_parts(position: Position, says: str, exact: bool) -> None:
    assert (str(position), position.exact) == (says, exact)


def test_places_come_in_the_order_of_the_rack_and_what_is_not_known_last() -> None:
    ordered = [
        Position("a", 1, 1, 0),
        Position("a", 1, 1, 1),
        Position("a", 1, 1),
        Position("a", 1, 2),
        Position("a", 1),
        Position("a", 2, 0, 0),
        Position("a"),
        Position("b", 0, 0, 0),
        Position(None, 0, 0, 0),
        Position(),
    ]
    ordered.reverse()
    assert sorted(ordered, key=Position.order) == ordered[::-1]


@pytest.mark.parametrize(
    "serial", ["TBD", "To be filled by O.E.M.", "N/A", "none", "Not Specified", "0000", "--", "xxxx"]
)
def test_what_firmware_writes_instead_of_a_serial_number_is_none(serial: str) -> None:
    assert is_filler(serial)


@pytest.mark.parametrize("serial", ["1820125000123", "TBD1", "aab"])
def test_a_serial_number_is_one(serial: str) -> None:
    assert not is_filler(serial)
