"""One fault from its beginning to full recovery: how long each part took, and what was not as the table says."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from tests.chaos.faults import BOTH, Fault
from tests.chaos.scene import Scene, until


class Outcome(NamedTuple):
    """What came of one fault; each time begins with the change, and has a pass of the agent in it."""

    detected_seconds: float
    placed_seconds: float
    """After it was detected, until gangs were placed by it: no pass in it."""
    recovered_seconds: float
    wrong: tuple[str, ...] = ()


def run(scene: Scene, fault: Fault) -> Outcome:
    """Begin it, see it, place gangs, end it, and see that all is as before."""
    wrong: list[str] = []
    began = time.monotonic()
    begun = fault.begin(scene)
    try:
        scene.passes()
        until(lambda: fault.is_seen(scene), fault.seen_as)
        detected = time.monotonic() - began
        placed = until(lambda: _is_as_expected(scene.places(2, "zone"), fault.two_pods), "what two pods get")
        if fault.one_pod is not None and (found := scene.places(1)) != fault.one_pod:
            wrong.append(f"one pod gets {found}, expected {fault.one_pod}")
        if not isinstance(scene.places(1), tuple):
            wrong.append("one pod fits nowhere, and the neighbour is well")
    finally:
        began = time.monotonic()
        fault.end(scene, begun)
    scene.passes()
    until(lambda: not fault.is_seen(scene), f"the end of {fault.seen_as}")
    until(lambda: scene.label("ready") == "true" and scene.places(2, "zone") == BOTH, "both machines again")
    recovered = time.monotonic() - began
    return Outcome(detected, placed, recovered, tuple(wrong))


def _is_as_expected(found: tuple[str, ...] | Mapping[str, int], expected: tuple[str, ...] | Mapping[str, int]) -> bool:
    """A gang that fits nowhere may have further reasons: those of the node that is well."""
    if isinstance(expected, tuple) or isinstance(found, tuple):
        return found == expected
    return expected.items() <= found.items()
