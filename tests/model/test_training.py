"""The grace after boot, by the facts of one machine at different times."""

import pytest
from msgspec.structs import replace

from nvtopo.model.changes.topology import changes
from nvtopo.model.changes.words import text
from nvtopo.model.conclusions import health
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import PREFIX, features
from nvtopo.model.conclusions.training import BOOT_GRACE_SECONDS
from nvtopo.model.records.record import Problem
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.capture import read_capture
from tests.hosts.recorded import FIXTURES

TRAINING = read_capture(FIXTURES / "hosts" / "h100-links-training" / "capture.json")
#: A link of each GPU is not up, in all of these.
JOINED = ("nvlink.groups", "nvlink.group-size", "nvlink.full-mesh", "nvlink.degraded", "ready")


def after(seconds: int | None, snapshot: Snapshot = TRAINING) -> Snapshot:
    """The same facts, so long after boot."""
    assert snapshot.host is not None
    return replace(snapshot, host=replace(snapshot.host, uptime_seconds=seconds))


def labels(snapshot: Snapshot, grace: float = BOOT_GRACE_SECONDS) -> dict[str, str]:
    node = assemble(snapshot, grace)
    return {name.removeprefix(PREFIX): value for name, value in features(node, derive(node)).items()}


@pytest.mark.parametrize("seconds", [0, 42, 299])
def test_within_the_grace_nothing_is_said_of_links(seconds: int) -> None:
    found = labels(after(seconds))
    assert not found.keys() & set(JOINED)
    assert "gpu.nvlink.group" not in found
    assert found["gpu.count"] == "8"


@pytest.mark.parametrize("seconds", [300, 86_400, None])
def test_after_it_and_where_the_uptime_is_not_known_what_is_not_up_is_down(seconds: int | None) -> None:
    found = labels(after(seconds))
    assert (found["ready"], found["nvlink.degraded"]) == ("false", "true")


def test_no_grace_is_a_choice() -> None:
    assert labels(after(0), grace=0)["ready"] == "false"


def test_a_machine_that_is_up_is_ready_within_its_grace() -> None:
    up = read_capture(FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "capture.json")
    assert labels(after(10, up)) == labels(up)
    assert labels(up)["ready"] == "true"


def test_a_registering_fabric_with_all_links_up_is_in_training_too() -> None:
    registering = read_capture(FIXTURES / "hosts" / "h100-fabric-registering" / "capture.json")
    assert "ready" not in labels(after(42, registering))
    assert labels(after(420, registering))["ready"] == "false"


def test_what_is_wrong_for_another_reason_is_said_at_once() -> None:
    lost = replace(TRAINING, problems=(Problem(source="nvml", subject="GPU5", reason="GPU is lost"),))
    assert labels(lost)["ready"] == "false"


def test_the_cluster_calls_it_registering_and_not_a_fault() -> None:
    assert {gpu.level for gpu in health.of(assemble(TRAINING)).gpus.values()} == {"registering"}


def test_the_end_of_training_is_a_change_in_words() -> None:
    found = [text(change) for change in changes(assemble(TRAINING), assemble(after(400)))]
    assert "GPU0: NVLinks training yes → no" in found
