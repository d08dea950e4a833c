"""A bridge that was up and is not: known to the agent that saw it, and to nobody else."""

from msgspec.structs import replace

from nvtopo.model.conclusions import bridges, health
from nvtopo.model.records.node import NodeTopology
from tests.cluster.machines import all_changed
from tests.hosts.test_health import MACHINES

PAIRS = MACHINES["h100-nvl-pairs"].node


def without_bridges(node: NodeTopology) -> NodeTopology:
    return all_changed(node, nvlinks=tuple(replace(one, state="inactive", peers={}) for one in node.gpus[0].nvlinks))


def test_every_bridge_down_that_was_up_before() -> None:
    down = bridges.with_lost(without_bridges(PAIRS), bridges.seen({}, PAIRS))
    found = health.of(down)
    assert (found.ready, found.nvlink_degraded) == (False, True)
    assert {reason.code for reason in found.reasons} == {"nvlinks-down"}
    assert {reason.values for reason in found.reasons} == {(0, 12)}


def test_a_card_whose_history_nobody_knows_is_ready_and_not_called_whole() -> None:
    down = without_bridges(PAIRS)
    found = health.of(bridges.with_lost(down, bridges.seen({}, down)))
    assert (found.ready, found.nvlink_degraded) == (True, None)


def test_the_most_that_was_seen_stays_known_while_the_driver_is_away() -> None:
    away = bridges.seen(bridges.seen({}, PAIRS), NodeTopology())
    assert bridges.seen(away, without_bridges(PAIRS)) == bridges.seen({}, PAIRS) != {}


def test_boards_and_whole_cards_stay_as_they_are() -> None:
    for name in ("h100-one-link-down", "h100-nvl-pairs"):
        node = MACHINES[name].node
        assert bridges.with_lost(node, dict.fromkeys((gpu.uuid for gpu in node.gpus), 12)) == node
