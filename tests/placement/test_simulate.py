"""The simulator on traces that are worked out by hand, and what holds for every policy and every trace."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtopo.placement import cost, links
from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.made_fleet import made
from nvtopo.placement.policies import POLICIES
from nvtopo.placement.simulate import Failures, Run, Setup, fitted, run
from nvtopo.placement.trace import Gang
from tests.placement.seeds import seeded

POLICY_NAMES = pytest.mark.parametrize("policy", sorted(POLICIES))


def domains(**gpus: int) -> Fleet:
    """Domains of hosts with one GPU each."""
    hosts = [
        Host(f"{name}{number}", {"nvlinkDomain": name}, ((0,),), ((0,),))
        for name, count in gpus.items()
        for number in range(count)
    ]
    return fleet(hosts, ("nvlinkDomain",))


def simulated(policy: str, given_fleet: Fleet, gangs: tuple[Gang, ...], setup: Setup | None = None) -> Run:
    return run(given_fleet, gangs, POLICIES[policy], setup or Setup(), seeded(1), seeded(2))


def gang(arrival: float, pods: int, duration: float, gpus: int = 1) -> Gang:
    return Gang("", arrival, pods, gpus, duration)


def at_once(*pods: int) -> tuple[Gang, ...]:
    return tuple(gang(0, size, 100) for size in pods)


@pytest.mark.parametrize("order", [(3, 4, 6), (6, 4, 3), (4, 6, 3)])
def test_free_domains_of_4_3_and_6_hold_gangs_of_3_4_and_6_under_ours(order: tuple[int, ...]) -> None:
    assert simulated("ours", domains(a=4, b=3, c=6), at_once(*order)).waits == (0, 0, 0)


def test_the_stock_score_starts_two_of_them() -> None:
    assert simulated("stock", domains(a=4, b=3, c=6), at_once(3, 4, 6)).waits == (0, 0, 100)


def test_first_fit_starts_two_of_them() -> None:
    # 3 goes to a, 4 to c: 6 waits for both.
    assert simulated("first-fit", domains(a=4, b=3, c=6), at_once(3, 4, 6)).waits == (0, 0, 100)


@POLICY_NAMES
def test_waits_by_hand(policy: str) -> None:
    """One domain of 4: 3 run from 0 to 10; 2 wait from 1 to 10; 1 slips in at 2, or waits behind them."""
    gangs = (gang(0, 3, 10), gang(1, 2, 5), gang(2, 1, 4))
    assert simulated(policy, domains(a=4), gangs).waits == (0, 9, 0)
    assert simulated(policy, domains(a=4), gangs, Setup(backfill=False)).waits == (0, 9, 8)


def test_fragmentation_by_hand() -> None:
    """Two domains of 2: one GPU is in use for 10 s, then two; the free ones in the broken domain count."""
    gangs = (gang(0, 1, 30), gang(10, 2, 10), gang(20, 1, 1))
    found = simulated("ours", domains(a=2, b=2), gangs)
    # Until 10: 1 of 3 free is in a broken domain. Until 20: 1 of 1.
    assert found.fragmentation == pytest.approx((10 / 3 + 10) / 20)
    assert found.utilisation == pytest.approx((10 * 1 + 10 * 3) / (20 * 4))


def test_a_gang_larger_than_a_domain_crosses_and_one_that_could_be_inside_does_not() -> None:
    found = simulated("ours", domains(a=2, b=2), (gang(0, 3, 5), gang(0, 2, 5)))
    assert (found.crossed, found.could_be_inside) == (0, 1)
    table = links.table(("node", "nvlinkDomain", "fleet"))
    assert found.all_reduces_ps == (cost.ring(table, (3, 2, 1), 3, 2_000_000), cost.ring(table, (2, 1), 2, 2_000_000))


def test_what_is_larger_than_the_cluster_never_runs() -> None:
    found = simulated("ours", domains(a=2), (gang(0, 3, 5), gang(0, 2, 5)))
    assert (found.impossible, found.waits) == (1, (0,))


def test_pods_larger_than_a_node_are_split_evenly() -> None:
    assert fitted((gang(0, 2, 5, gpus=8), gang(0, 1, 5, gpus=6)), made(1, 4, 4)) == (
        gang(0, 4, 5, gpus=4),
        gang(0, 3, 5, gpus=2),
    )


class _Chance:
    """A failure of node 0 after each mean time."""

    def __init__(self) -> None:
        self._next = True

    def random(self) -> float:
        self._next = not self._next
        return 0.0 if self._next else 0.6321205588285577  # 1 - 1/e


def test_a_failed_node_starts_its_gang_again() -> None:
    """At 10 node 0 of one fails and is back at 14; the gang has run 10 of its 15 s, and runs until it fails again."""
    setup = Setup(failures=Failures(10, 4))
    found = run(domains(a=1), (gang(0, 1, 5), gang(6, 1, 5)), POLICIES["ours"], setup, seeded(1), _Chance())
    # The second begins at 6 and is interrupted at 10; from 14 to 19 it runs whole.
    assert found.restarts == 1
    assert found.waits == pytest.approx((0, 4))
    assert found.end == pytest.approx(19)


def test_a_node_that_is_down_takes_no_gang() -> None:
    setup = Setup(failures=Failures(10, 105))
    found = run(domains(a=1), (gang(0, 1, 1), gang(50, 1, 1)), POLICIES["ours"], setup, seeded(1), _Chance())
    # Down from 10 to 115.
    assert found.waits == pytest.approx((0, 65))


@pytest.mark.parametrize("policy", sorted(POLICIES))
@given(data=st.data())
@settings(deadline=None, max_examples=8)
def test_every_gang_runs_once_in_the_end_and_equal_input_gives_equal_runs(policy: str, data: st.DataObject) -> None:
    cluster = made(data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 2, 4])), 2)
    some = st.builds(
        gang,
        arrival=st.integers(0, 20),
        pods=st.integers(1, 9),
        duration=st.integers(0, 9),
        gpus=st.sampled_from([1, 2, 4]),
    )
    gangs = fitted(tuple(data.draw(st.lists(some, min_size=1, max_size=12))), cluster)
    failures = data.draw(st.sampled_from([None, Failures(200.0, 3.0)]))
    setup = Setup(within=data.draw(st.booleans()), backfill=data.draw(st.booleans()), failures=failures)
    ended = list[int]()
    found = run(cluster, gangs, POLICIES[policy], setup, seeded(1), seeded(2), ended.append)
    assert found == run(cluster, gangs, POLICIES[policy], setup, seeded(1), seeded(2))
    assert len(found.waits) + found.impossible == len(gangs) == sum(ended)
    assert all(wait >= 0 for wait in found.waits)
    assert 0 <= found.fragmentation <= 1
    assert 0 <= found.utilisation <= 1
    if setup.within:
        assert found.crossed == 0
