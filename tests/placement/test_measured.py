"""What was measured: in the place of given links, beside what was predicted, and as input of the next prediction."""

import pytest

from nvtopo.errors import ParseError
from nvtopo.model.samples.measured import Collective, Copies, Measured
from nvtopo.placement import document, simulate
from nvtopo.placement.beside import compared
from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.links import LEAF, NVLINK, Link
from nvtopo.placement.measured_links import overrides
from nvtopo.placement.place import place
from nvtopo.placement.policies import POLICIES
from nvtopo.placement.request import Request
from nvtopo.placement.result import Assignment
from nvtopo.placement.trace import Gang
from nvtopo.reports import predicted
from tests.placement.seeds import seeded

LARGE = 1 << 30


def rack(hosts: int = 4) -> Fleet:
    free = (tuple(range(4)),)
    tiers = [{"nvlinkDomain": f"d{number // 2}", "leaf": "l"} for number in range(hosts)]
    return fleet([Host(f"n{n}.example", own, free, free) for n, own in enumerate(tiers)], ("nvlinkDomain", "leaf"))


def run(*hosts: str, rate: int = 40, size: int = LARGE) -> Collective:
    return Collective(dict.fromkeys(hosts, (0, 1, 2, 3)), rate * 10**9, size, 0)


@pytest.mark.parametrize(
    ("hosts", "level"), [(("n0",), "node"), (("n0", "n1.example"), "nvlinkDomain"), (("n0", "n2"), "leaf")]
)
def test_a_run_measures_the_level_at_which_its_hosts_meet(hosts: tuple[str, ...], level: str) -> None:
    given = {"leaf": Link(7, 10**12)}
    found = overrides(Measured((run(*hosts), run(*hosts, rate=39), run(*hosts, rate=41))), rack(), given)
    assert found.links[level].bytes_per_second == 39 * 10**9
    assert found.links[level].latency_ps == (7 if level == "leaf" else NVLINK.latency_ps)
    assert found.unused == ()


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        (Measured((run("n0", "n1", size=1 << 20),)), "n0, n1: its largest message has 1048576 bytes, that is latency"),
        (Measured((run("n0", "x1"),)), "n0, x1: the hosts are not in the graph"),
        (Measured((Collective({"n0": (3,)}, 10**9, LARGE, 0),)), "n0: one GPU sends nothing"),
        (Measured((run(),)), "a collective: the hosts are not in the graph"),
        (
            Measured(copies=(Copies("device_to_device_memcpy_read_ce", {(0, 1): 1}),)),
            "device_to_device_memcpy_read_ce: the output does not say of which node it is",
        ),
        (
            Measured(copies=(Copies("host_to_device_memcpy_ce", {(-1, 1): 1}),)),
            "host_to_device_memcpy_ce: no copies one way between GPUs",
        ),
    ],
)
def test_what_measures_no_link_is_not_used_and_said(measured: Measured, why: str) -> None:
    found = overrides(measured, rack(), {"leaf": LEAF})
    assert found.links == {"leaf": LEAF}
    assert found.unused == (why,)


def test_copies_on_one_node_measure_it() -> None:
    copies = Copies("device_to_device_memcpy_read_ce", {(0, 1): 300, (1, 0): 200})
    assert overrides(Measured(copies=(copies,)), rack(1), {}).links == {"node": Link(NVLINK.latency_ps, 200)}


def placed(pods: int, overridden: dict[str, Link] | None = None) -> Assignment:
    answer = place(rack(), Request(pods, 4), overridden or {})
    assert isinstance(answer, Assignment)
    return answer


def test_each_run_stands_beside_the_placement_with_its_gpus() -> None:
    answers = {"a": placed(3), "b": placed(1), "c": placed(2)}
    runs = (run("n0", "n1", "n2", rate=40), run("n0", size=1 << 20), run("n3"))
    found = compared(answers, runs)
    first, second = found.runs
    assert (first.placement, first.level, first.gpus, first.ratio) == ("a", "leaf", 12, 0.8)
    assert first.predicted_bytes_per_second == 50 * 10**9
    assert (second.placement, second.measured_bytes_per_second, second.ratio) == ("b", None, None)
    assert found.unmatched == ("the run on n3", "the placement c")
    table = predicted.table(found)
    assert "50.0 GB/s" in table
    assert "80%" in table
    assert "Not compared: the run on n3." in table


def test_what_was_measured_is_the_next_prediction() -> None:
    written = predicted.links(compared({"a": placed(3)}, (run("n0", "n1", "n2", rate=40),))).encode()
    links = document.links_in(written, "links")
    assert links == {"leaf": Link(LEAF.latency_ps, 40 * 10**9)}
    assert placed(3, dict(links)).bus_bytes_per_second == 40 * 10**9
    gang = Gang("0", 0, 3, 4, 10.0)
    plain, measured = (
        simulate.run(rack(), (gang,), POLICIES["ours"], simulate.Setup(within=False, links=given), seeded(1), seeded(1))
        for given in ({}, links)
    )
    assert measured.all_reduces_ps > plain.all_reduces_ps
    with pytest.raises(ParseError, match="links by tier"):
        document.links_in(b"[1]", "links")
