"""With any single cable missing, and with two of different racks, the groups stay and the cables are named.

``python -m tests.fabrics.test_one_cable`` takes out every cable in turn and 500 random pairs.
"""

import random
import sys
import time

import pytest

from tests.fabrics.ibfabric import Ends, Shape, Wired, host, rack_of, text, wired
from tests.fabrics.reading import absent, evidence, partition, read

_RACKS = {frozenset(host(rack, at) for at in range(15)) for rack in range(8)}
_SHAPES = {
    "two tiers": Shape(),
    "a spine for each rail": Shape(rail_spines=True, spines=2),
    "three tiers": Shape(pods=2),
}


def wrong(fabric: Wired, gone: tuple[Ends, ...]) -> str:
    """What is not as it should be with some cables taken out; empty where all is."""
    reading = read(text(fabric.without(*gone)))
    if partition(reading) != _RACKS:
        return f"{gone}: groups {sorted(map(len, partition(reading)))}"
    want = {frozenset(fabric.names(cable)) for cable in gone}
    if absent(reading) != want:
        return f"{gone}: want {want}, got {absent(reading)}"
    if len(reading.findings) != len(want):
        return f"{gone}: findings {evidence(reading)}"
    return ""


def pairs(fabric: Wired, count: int, seed: int) -> list[tuple[Ends, Ends]]:
    """Two cables of hosts in different racks."""
    chance = random.Random(seed)  # noqa: S311
    cables = fabric.host_cables()
    found: list[tuple[Ends, Ends]] = []
    while len(found) < count:
        one, other = chance.sample(cables, 2)
        if rack_of(fabric.names(one)[0]) != rack_of(fabric.names(other)[0]):
            found.append((one, other))
    return found


@pytest.mark.parametrize("shape", _SHAPES.values(), ids=_SHAPES)
def test_an_intact_fabric_has_its_racks_and_nothing_to_say(shape: Shape) -> None:
    fabric = wired(shape)
    assert wrong(fabric, ()) == ""
    reading = read(text(fabric))
    assert len(partition(reading, "spine")) == shape.pods
    assert len(partition(reading, "core")) == (1 if shape.pods > 1 else 0)


@pytest.mark.slow
@pytest.mark.parametrize("shape", _SHAPES.values(), ids=_SHAPES)
def test_a_cable_of_each_kind_moves_nobody_and_is_named(shape: Shape) -> None:
    fabric = wired(shape)
    chance = random.Random(7)  # noqa: S311
    some = chance.sample(fabric.host_cables(), 12) + chance.sample(
        [cable for cable in fabric.cables if cable not in fabric.host_cables()], 12
    )
    assert [found for cable in some if (found := wrong(fabric, (cable,)))] == []


@pytest.mark.slow
def test_two_cables_of_different_racks_move_nobody_and_are_named() -> None:
    fabric = wired()
    assert [found for pair in pairs(fabric, 50, seed=11) if (found := wrong(fabric, pair))] == []


def main() -> int:
    """Every cable, and 500 pairs, of every shape; 1 where anything is wrong."""
    failed = 0
    for name, shape in _SHAPES.items():
        fabric = wired(shape)
        begun = time.perf_counter()
        cases = [(), *((cable,) for cable in fabric.cables), *pairs(fabric, 500, seed=3)]
        bad = [found for gone in cases if (found := wrong(fabric, gone))]
        failed += len(bad)
        seconds = time.perf_counter() - begun
        sys.stdout.write(
            f"{name}: {len(fabric.cables)} cables one by one, 500 pairs, {len(bad)} wrong, {seconds:.0f} s\n"
        )
        sys.stdout.writelines(f"    {line}\n" for line in bad[:10])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
