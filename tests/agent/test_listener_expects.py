"""When the listener opens its handles anew: where a GPU answers that did not before. A table, without a driver."""

import pytest

from nvtopo.agent.nvml_event_listener import NvmlEventListener
from nvtopo.model.records.node import Gpu, NodeTopology
from nvtopo.sources.nvml.topology import NvmlWorker


def node(uuids: str) -> NodeTopology:
    return NodeTopology(gpus=tuple(Gpu(index=index, uuid=uuid) for index, uuid in enumerate(uuids)))


@pytest.mark.parametrize(
    ("readings", "renewals"),
    [
        (["ab"], 0),
        (["ab", "ab"], 0),
        (["ab", "ba"], 0),
        (["ab", "a"], 0),
        (["ab", "a", "ab"], 1),
        (["a", "ab"], 1),
        (["ab", "cd"], 1),
        (["", "ab"], 1),
        (["ab", "", "ab", "ab"], 1),
    ],
)
def test_handles_are_opened_anew_for_a_gpu_that_came_and_not_for_one_that_went(
    readings: list[str], renewals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = NvmlEventListener(NvmlWorker("/nowhere/libnvidia-ml.so.1"))
    renewed: list[None] = []
    monkeypatch.setattr(listener.events, "renew", lambda: renewed.append(None))
    for uuids in readings:
        listener.expect(node(uuids))
    assert len(renewed) == renewals
