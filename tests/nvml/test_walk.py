"""No label says "no", "0" or "ready" of what the driver did not tell; ``tests.nvml.walk`` tries every code."""

import pytest

from tests.hosts.recorded import FIXTURES
from tests.nvml.walk import FEW_CODES, MACHINES, Fault, claims, walk

pytestmark = pytest.mark.slow

HOSTS = FIXTURES / "hosts"


@pytest.mark.parametrize("machine", ["h100-sxm-8gpu-8cx7"])
def test_every_call_that_fails_everywhere(machine: str) -> None:
    steps = list(walk(HOSTS / machine, FEW_CODES, places=(True,)))
    assert {step.fault.call for step in steps} > {"nvmlDeviceGetUUID", "nvmlDeviceGetP2PStatus", "nvmlInitWithFlags"}
    assert [(step.fault, step.wrong) for step in steps if step.wrong] == []


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_that_fails_on_one_gpu(machine: str) -> None:
    steps = list(walk(HOSTS / machine, FEW_CODES, places=(False,)))
    assert [(step.fault, step.wrong) for step in steps if step.wrong] == []


WELL = {"ready": "true", "nvlink.groups": "1", "gpu.count": "8"}


@pytest.mark.parametrize(
    ("labels", "code", "wrong"),
    [
        (WELL, 3, ()),
        (WELL, 999, ("ready=true with an error",)),
        ({"ready": "false"}, 999, ()),
        ({"ready": "false", "gpu.count": "0"}, 999, ("gpu.count=0",)),
        ({"ready": "true", "gpu.count": "8"}, 3, ("ready=true without its NVLink groups",)),
    ],
)
def test_what_a_fault_leaves_to_be_said(labels: dict[str, str], code: int, wrong: tuple[str, ...]) -> None:
    assert tuple(claims(WELL, labels, Fault("nvmlDeviceGetUUID", code))) == wrong


@pytest.mark.parametrize(("code", "wrong"), [(999, ("nvlink.degraded=false",)), (3, ())])
def test_a_label_is_not_kept_when_what_it_needs_gave_an_error(code: int, wrong: tuple[str, ...]) -> None:
    labels = {"ready": "false", "nvlink.degraded": "false", "nvlink.groups": "1"}
    assert tuple(claims(labels, labels, Fault("nvmlDeviceGetGpuFabricInfoV", code))) == wrong
