"""The rule that groups nodes, over random damage."""

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.fabrics.grouping import grouped

Cables = dict[str, frozenset[str]]


def racks(sizes: list[int], rails: int, more: int = 0) -> tuple[Cables, set[frozenset[str]]]:
    """Hosts of racks on their rails' leaves, and on ``more`` switches that all racks share."""
    cables: Cables = {}
    shared = {f"storage-{at}" for at in range(more)}
    for rack, size in enumerate(sizes):
        for at in range(size):
            cables[f"n{rack}-{at}"] = frozenset({f"k{rack}-r{rail}" for rail in range(rails)} | shared)
    return cables, {frozenset(f"n{rack}-{at}" for at in range(size)) for rack, size in enumerate(sizes)}


def sets(cables: Mapping[str, frozenset[str]]) -> set[frozenset[str]]:
    members = grouped(cables).members
    return {frozenset(name for name in members if members[name] == group) for group in members.values()}


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(
    "damage", ["two cables", "two rails of a node", "a leaf and a cable", "a wrong rack", "storage"]
)
def test_damage_moves_nobody(damage: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    sizes = [chance.randint(2, 9) for _ in range(chance.randint(2, 6))]
    rails = chance.randint(4, 8)
    cables, want = racks(sizes, rails, more=2 if damage == "storage" else 0)
    one, two = chance.sample(sorted(cables), 2)
    own = sorted(leaf for leaf in cables[one] if leaf.startswith("k"))
    match damage:
        case "two cables":
            cables[one] -= {chance.choice(own)}
            cables[two] -= {chance.choice(sorted(cables[two]))}
        case "two rails of a node" | "storage":
            cables[one] -= set(own[:2])
        case "a leaf and a cable":
            dead = chance.choice(own)
            cables = {name: leaves - {dead} for name, leaves in cables.items()}
            cables[two] -= {chance.choice(sorted(cables[two]))}
        case "a wrong rack":
            rack = int(one[1 : one.index("-")])
            cables[one] = cables[one] - {own[0]} | {f"k{(rack + 1) % len(sizes)}-r0"}
    assert sets(cables) == want


@pytest.mark.parametrize("rails", [1, 2, 3, 16])
def test_intact_racks_are_groups_whatever_their_rails(rails: int) -> None:
    cables, want = racks([1, 2, 5, 17], rails)
    assert sets(cables) == want


def test_two_rails_and_two_storage_ports_with_a_rail_missing() -> None:
    cables, want = racks([15, 16, 15], 2, more=2)
    cables["n1-3"] -= {"k1-r0"}
    assert sets(cables) == want
    assert grouped(cables).undecided == ()


@pytest.mark.parametrize("rails", [1, 2])
def test_a_host_that_is_cabled_to_all_groups_joins_none_of_them(rails: int) -> None:
    cables, want = racks([9, 8, 10], rails)
    cables["gateway"] = frozenset().union(*cables.values())
    assert {group - {"gateway"} for group in sets(cables)} - {frozenset()} == want
    assert grouped(cables).undecided == ("gateway",)


def test_who_is_half_and_half_is_said() -> None:
    cables, _ = racks([4, 4], 4)
    cables["n0-0"] = frozenset({"k0-r0", "k0-r1", "k1-r2", "k1-r3"})
    assert grouped(cables).undecided == ("n0-0",)


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=3),
        st.frozensets(st.sampled_from([f"s{at}" for at in range(8)]), max_size=6),
        max_size=14,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_input_does_not_matter(cables: Cables, chance: random.Random) -> None:
    names = list(cables)
    chance.shuffle(names)
    found = grouped(cables)
    assert grouped({name: cables[name] for name in names}) == found
    assert set(found.members) == {name for name, leaves in cables.items() if leaves}
    assert set(found.switches) == {leaf for leaves in cables.values() for leaf in leaves}
