"""The bound is never above the cheapest choice, and the choice holds the gang; by trying every choice there is."""

from itertools import combinations

from hypothesis import assume, given
from hypothesis import strategies as st

from nvtopo.placement.relaxed import spread

CLUSTERS = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=3), min_size=1, max_size=4)


@given(CLUSTERS, st.integers(1, 20), st.integers(0, 9), st.integers(0, 9))
def test_the_bound_holds_and_the_choice_fits(cluster: list[list[int]], pods: int, near: int, wide: int) -> None:
    rooms = [room for domains in cluster for room in domains]
    assume(sum(rooms) >= pods)
    numbers = iter(range(len(rooms)))
    inside = {outer: [next(numbers) for _room in domains] for outer, domains in enumerate(cluster)}
    found = spread(inside, rooms, pods, near, wide)

    def price(chosen: tuple[int, ...]) -> int:
        used = sum(any(domain in chosen for domain in domains) for domains in inside.values())
        return near * len(chosen) + wide * used

    fitting = [
        chosen
        for count in range(1, len(rooms) + 1)
        for chosen in combinations(range(len(rooms)), count)
        if sum(rooms[domain] for domain in chosen) >= pods
    ]
    least = min(map(price, fitting))
    assert found.bound <= least <= found.cost
    assert sum(rooms[domain] for domain in found.near) >= pods
    assert len({*found.near}) == len(found.near)
    assert price(tuple(found.near)) == found.cost
