"""What the cluster is told of a node's faults: problems in its resource, Events on its Node."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest

from tests.faults.cluster import Member

pytestmark = pytest.mark.lab


class Response(NamedTuple):
    """A fault of the driver, and what is said of it."""

    fault: Callable[[Any], object]
    subject: str
    reason: str
    begin: tuple[str, str]
    end: tuple[str, str]


UNREADABLE: Final = ("Warning", "Unreadable")
READABLE: Final = ("Normal", "ReadableAgain")
FAULTS: Final = {
    "module-away": Response(
        lambda model: model.update(returns={"nvmlInitWithFlags": 9}),
        "driver",
        "kernel module not loaded yet",
        UNREADABLE,
        READABLE,
    ),
    "mismatch": Response(
        lambda model: model.update(returns={"nvmlInitWithFlags": 18}),
        "driver",
        "driver/library version mismatch",
        UNREADABLE,
        READABLE,
    ),
    "gpu-lost": Response(
        lambda model: model["gpus"][3].update(lost=True),
        "GPU3",
        "GPU is lost",
        ("Warning", "GPUGone"),
        ("Normal", "GPUAdded"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_the_cluster_is_told_of_the_driver(member: Member, name: str) -> None:
    fault, subject, reason, begin, end = FAULTS[name]
    agent = member.start()
    agent.eventually(lambda: member.gpus() == 8 and agent.ready(), "the resource")
    assert member.problems() == []
    member.machine.driver_is_like(fault)
    agent.eventually(
        lambda: any(where == subject and reason in why for where, why in member.problems()), "a problem in the resource"
    )
    agent.eventually(lambda: begin in member.events(), "an Event")
    assert agent.ready(), "all that is known is where it belongs"
    member.machine.driver_is_like()
    agent.eventually(lambda: member.gpus() == 8 and not member.problems(), "the resource without a problem")
    agent.eventually(lambda: end in member.events(), "another Event")
