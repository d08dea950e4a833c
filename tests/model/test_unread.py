"""What a source or device that hangs leaves unsaid: labels, health and changes."""

import pytest
from msgspec.structs import replace

from nvtopo.model.changes.topology import changes
from nvtopo.model.conclusions import unread
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Problem
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.capture import read_capture
from tests.hosts.recorded import FIXTURES
from tests.model.machines import gpu, machine

OF_NICS = ("nic.", "rdma.", "numa.gpu-aligned")


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return read_capture(FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "capture.json")


def hanging(snapshot: Snapshot, source: str) -> NodeTopology:
    """The machine while the whole source hangs."""
    problem = Problem(source=source, subject=source, reason=unread.SOURCE_HANGS)
    return assemble(replace(snapshot, **{source: None}, problems=(*snapshot.problems, problem)))


def labels(node: NodeTopology) -> dict[str, str]:
    return {name.removeprefix("nvtopo.io/"): value for name, value in features(node, derive(node)).items()}


@pytest.mark.parametrize("source", sorted(unread.OF_DEVICES))
def test_no_label_speaks_of_what_hangs(snapshot: Snapshot, source: str) -> None:
    before, during = labels(assemble(snapshot)), labels(hanging(snapshot, source))
    assert "nic.count" in before
    assert not [name for name in during if name.startswith(OF_NICS)]
    assert "ready" not in during
    assert during.items() <= before.items(), "what it says is as true as before"


@pytest.mark.parametrize("source", ["numa", "storage", "kubelet", "host"])
def test_what_no_job_needs_does_not_stand_in_its_way(snapshot: Snapshot, source: str) -> None:
    before, during = labels(assemble(snapshot)), labels(hanging(snapshot, source))
    assert during["ready"] == before["ready"] == "true"
    assert during.items() <= before.items()


def test_a_machine_whose_bus_hangs_is_not_one_without_a_gpu() -> None:
    no_driver = replace(machine(), nvml=None)
    assert labels(assemble(no_driver))["gpu.count"] == "0"
    assert "gpu.count" not in labels(hanging(no_driver, "pci"))


@pytest.mark.parametrize("source", ["host", "numa", "pci", "net", "rdma", "storage"])
def test_what_hangs_is_neither_gone_nor_new_afterwards(snapshot: Snapshot, source: str) -> None:
    before, during = assemble(snapshot), hanging(snapshot, source)
    for one, other in ((before, during), (during, before)):
        assert {change.kind for change in changes(one, other)} <= {"problems", "derived"}


def test_a_gpu_that_is_lost_meanwhile_is_gone() -> None:
    before, during = assemble(machine(gpu(0), gpu(1))), hanging(machine(gpu(0)), "pci")
    assert any(change.kind == "gpus" and change.after is None for change in changes(before, during))
