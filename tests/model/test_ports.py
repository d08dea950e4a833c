"""Which ports of rails are down, which nobody uses, and when no rail is left."""

import pytest

from nvtopo.model.conclusions import ports
from nvtopo.model.records.node import Nic, NicPort

CX7, CX8 = "15b3:1021", "15b3:1023"


def nic(name: str, *states: str, model: str | None = CX8, hidden_by: str = "") -> Nic:
    made = tuple(NicPort(number=number, state=state) for number, state in enumerate(states, 1))
    return Nic(name=name, model=model, ports=made, hidden_by=hidden_by)


@pytest.mark.parametrize(
    ("rails", "down"),
    [
        # Port 2 is down on all: unused.
        ([nic("a", "ACTIVE", "DOWN"), nic("b", "ACTIVE", "DOWN")], {}),
        # A sibling uses port 2.
        ([nic("a", "ACTIVE", "DOWN"), nic("b", "ACTIVE", "ACTIVE")], {"a": (2,)}),
        # All of a NIC is down: the port that siblings use is the one that is missing.
        ([nic("a", "DOWN", "DOWN"), nic("b", "ACTIVE", "DOWN")], {"a": (1,)}),
        # A state that is not known may be up: port 2 is one in use.
        ([nic("a", "ACTIVE", "DOWN"), nic("b", "ACTIVE", "")], {"a": (2,)}),
        # Another model says nothing of this one.
        ([nic("a", "ACTIVE", "DOWN"), nic("b", "ACTIVE", "ACTIVE", model=CX7)], {}),
        # A model that is down as a whole is no design, though another model is up.
        ([nic("a", "DOWN", "DOWN"), nic("b", "ACTIVE", model=CX7)], {"a": (1, 2)}),
        ([nic("a", "DOWN"), nic("b", "INIT")], {"a": (1,), "b": (1,)}),
        ([nic("a", "ACTIVE_DEFER")], {}),
        ([nic("a")], {}),
    ],
)
def test_like_is_compared_with_like(rails: list[Nic], down: dict[str, tuple[int, ...]]) -> None:
    idle = ports.unused(rails)
    found = {rail.name: ports.down(rail, idle.get(rail.name, ())) for rail in rails}
    assert {name: numbers for name, numbers in found.items() if numbers} == down


@pytest.mark.parametrize(
    ("rails", "none_up"),
    [
        ([nic("a", "DOWN"), nic("b", "DOWN", "DOWN")], True),
        ([nic("a", "DOWN"), nic("b", "DOWN", "ACTIVE")], False),
        ([nic("a", "DOWN"), nic("b", "")], False),
        ([nic("a", "DOWN"), nic("b", hidden_by="netns")], False),
        ([nic("a")], True),
        ([nic("a", hidden_by="no-driver"), nic("b", "DOWN"), nic("c", hidden_by="no-device")], True),
        ([nic("a", hidden_by="no-driver"), nic("b", "")], False),
        ([], False),
    ],
)
def test_no_rail_is_left_only_if_all_are_known_to_be_down(rails: list[Nic], none_up: bool) -> None:
    assert ports.none_up(rails) == none_up
