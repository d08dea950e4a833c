"""The table of faults: how each begins and ends, how it is seen, and what gangs get meanwhile."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.chaos.scene import HERE, NEIGHBOUR, ZONE, Scene
from tests.faults.test_nic import plug, unplug

BOTH: Final = (HERE, NEIGHBOUR)
_HOT: Final = 0x40
"""NVML's reason for the clocks: the hardware slows down because it is too hot."""
_MTU: Final = "class/net/enp84s0np0/mtu"


class Fault(NamedTuple):
    """One fault of one machine."""

    begin: Callable[[Scene], Any]
    end: Callable[[Scene, Any], object]
    """Given what ``begin`` returned."""
    is_seen: Callable[[Scene], bool]
    seen_as: str
    """In words, for the table."""
    two_pods: tuple[str, ...] | Mapping[str, int] = BOTH
    """What a gang of two pods gets, in one zone: its nodes, or why it fits nowhere."""
    one_pod: tuple[str, ...] | None = None
    """What a gang of one pod gets; None if either node will do."""


def _plug(scene: Scene, away: list[tuple[Path, Path]]) -> None:
    plug(away)
    (scene.node.root / "away").rmdir()


def _driver(change: Callable[[Any], object]) -> Callable[[Scene], None]:
    return lambda scene: scene.node.driver_is_like(change)


def _driver_is_well(scene: Scene, _: Any) -> None:
    scene.node.driver_is_like()


def _links_down(model: Any) -> None:
    for link in model["gpus"][2]["links"][:4]:
        link.update(state=0)


def _hot(model: Any) -> None:
    model["gpus"][5].update(eventReasons=_HOT, temperature=97)


def _is_hot(scene: Scene) -> bool:
    hot = r'^nvtopo_gpu_clock_event\{.*gpu="5".*reason="hardware_thermal".*\} 1$'
    return re.search(hot, scene.page(), re.MULTILINE) is not None


def _write_mtu(scene: Scene, value: str) -> None:
    _mtu_file(scene).write_text(f"{value}\n")


def _mtu_file(scene: Scene) -> Path:
    return (scene.node.root / "sys" / _MTU).resolve()


def _mtu_of_rail_0(scene: Scene) -> int | None:
    topology = scene.seen().topology
    assert topology is not None
    return next((nic.mtu_bytes for nic in topology.nics if nic.name == "mlx5_0"), None)


def _reasons(scene: Scene) -> set[str]:
    judged = scene.seen().judged
    return set() if judged is None else {str(reason.code) for reason in judged.reasons}


FAULTS: Final[Mapping[str, Fault]] = {
    "nic-removed": Fault(
        begin=lambda scene: unplug(scene.node),
        end=_plug,
        is_seen=lambda scene: scene.label("rdma.rails") == "7" and scene.seen().rail_nics == 7,
        seen_as="rdma.rails=7, and 7 rails in the graph",
    ),
    "links-down": Fault(
        begin=_driver(_links_down),
        end=_driver_is_well,
        is_seen=lambda scene: scene.label("ready") == "false" and "nvlinks-missing" in _reasons(scene),
        seen_as="ready=false, nvlinks-missing",
        two_pods={"not ready": 1},
        one_pod=(NEIGHBOUR,),
    ),
    "gpu-lost": Fault(
        begin=_driver(lambda model: model["gpus"][3].update(lost=True)),
        end=_driver_is_well,
        is_seen=lambda scene: scene.label("ready") == "false",
        seen_as="ready=false",
        two_pods={"not ready": 1},
        one_pod=(NEIGHBOUR,),
    ),
    "driver-gone": Fault(
        begin=_driver(lambda model: model.update(returns={"nvmlInitWithFlags": 9})),
        end=_driver_is_well,
        is_seen=lambda scene: "driver-problem" in _reasons(scene),
        seen_as="driver-problem",
        two_pods={"its GPUs do not answer": 1},
        one_pod=(NEIGHBOUR,),
    ),
    "mtu-changed": Fault(
        begin=lambda scene: _write_mtu(scene, "1500"),
        end=lambda scene, _: _write_mtu(scene, "9000"),
        is_seen=lambda scene: _mtu_of_rail_0(scene) == 1500,
        seen_as="mtuBytes of mlx5_0, in the graph",
    ),
    "gpu-hot": Fault(
        begin=_driver(_hot),
        end=_driver_is_well,
        is_seen=_is_hot,
        seen_as='nvtopo_gpu_clock_event{reason="hardware_thermal"} 1',
    ),
    "node-relabelled": Fault(
        begin=lambda scene: scene.relabel({ZONE: "z2"}),
        end=lambda scene, _: scene.relabel({ZONE: "z1"}),
        is_seen=lambda scene: "z2" in scene.seen().tiers.get("zone", ""),
        seen_as="another zone in the graph",
        two_pods={"its zone has no room for the whole gang": 2},
    ),
}
