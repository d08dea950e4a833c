"""Since when a GPU's fabric has been in progress, by tables of readings and times."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from nvtopo.model.conclusions import health
from nvtopo.model.conclusions.registration import Waiting, step, with_overdue
from nvtopo.model.records.facts import GpuFabric
from nvtopo.model.records.node import NodeTopology
from tests.cluster.machines import all_changed, changed, tray

GRACE = 300.0
DAY = 86_400.0
WELL = tray()
WAITING = all_changed(tray(), fabric=GpuFabric(state="in-progress"))
NOT_STARTED = all_changed(tray(), fabric=GpuFabric(state="not-started"))
GONE = NodeTopology()
UNKNOWN = all_changed(tray(), fabric=GpuFabric())

Script = Sequence[tuple[float, NodeTopology]]


def after(script: Script, grace: float = GRACE) -> NodeTopology:
    """The last reading with what follows from all of them."""
    waiting: Waiting = {}
    node = GONE
    for now, reading in script:
        waiting = step(waiting, reading, now, grace)
        node = with_overdue(reading, waiting, grace)
    return node


def codes(node: NodeTopology) -> set[str]:
    return {reason.code for reason in health.of(node).reasons if reason.code.startswith("fabric-")}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param([(0, WAITING)], "fabric-registering", id="the first reading"),
        pytest.param([(0, WAITING), (299, WAITING)], "fabric-registering", id="within the grace"),
        pytest.param([(0, WAITING), (60, WAITING), (300, WAITING)], "fabric-in-progress", id="as long as the grace"),
        pytest.param([(0, NOT_STARTED), (300, WAITING)], "fabric-in-progress", id="not started is waiting too"),
        pytest.param([(0, WAITING), (DAY, WAITING)], "fabric-in-progress", id="rare readings"),
        pytest.param(
            [(0, WAITING), (300, WAITING), (310, WELL), (3 * DAY, WAITING)], "fabric-registering", id="anew after days"
        ),
        pytest.param(
            [(0, WAITING), (200, WELL), (201, WAITING), (400, WAITING)], "fabric-registering", id="not one stretch"
        ),
        pytest.param(
            [(0, WAITING), (100, GONE), (200, UNKNOWN), (300, WAITING)],
            "fabric-in-progress",
            id="no answer for a while",
        ),
        pytest.param(
            [(0, WAITING), (100, GONE), (DAY, GONE), (DAY + 1, WAITING)], "fabric-registering", id="no answer for long"
        ),
    ],
)
def test_what_is_overdue(script: Script, expected: str) -> None:
    assert codes(after(script)) == {expected}


def test_a_fabric_that_completes_is_well_at_once() -> None:
    node = after([(0, WAITING), (300, WAITING), (301, WELL)])
    assert node == WELL


def test_links_that_train_after_boot_are_not_overdue() -> None:
    training = all_changed(WAITING, nvlink_training=True)
    assert after([(0, training), (1000, training)]) == training


def test_of_two_gpus_only_the_one_that_waits_is_overdue() -> None:
    one = changed(WELL, 1, fabric=GpuFabric(state="in-progress"))
    found = after([(0, one), (300, one)])
    assert [gpu.fabric_overdue for gpu in found.gpus] == [False, True, *[False] * (len(one.gpus) - 2)]


def test_what_is_remembered_is_bounded() -> None:
    waiting: Waiting = {}
    for reading in range(200):
        gpus = tuple(replace(gpu, uuid=f"GPU-{reading}-{gpu.index}") for gpu in WAITING.gpus)
        waiting = step(waiting, replace(WAITING, gpus=gpus), float(reading) / 100, GRACE)
    assert len(waiting) <= 64


def test_a_state_that_is_not_known_for_less_than_the_grace_ends_no_stretch() -> None:
    script = [(DAY, WAITING), (DAY + 100, UNKNOWN), (DAY + GRACE, WAITING)]
    assert codes(after(script)) == {"fabric-in-progress"}
    assert codes(after([(DAY, WAITING), (DAY + GRACE, UNKNOWN), (DAY + GRACE + 1, WAITING)])) == {"fabric-registering"}
