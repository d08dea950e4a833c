"""What a GPU needs: the recovery action, and repairs of its memory that wait for a reset."""

import json
from pathlib import Path

import pytest

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import PREFIX, features
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.metrics import health
from nvtopo.sinks.metrics.series import text
from tests.hosts.recorded import FIXTURES, snapshot_of

HOSTS = FIXTURES / "hosts"


def node(directory: Path, host: str, **changed: object) -> NodeTopology:
    """The machine with something else about its third GPU."""
    model = json.loads((HOSTS / host / "nvml.json").read_text(encoding="utf-8"))
    model["gpus"][2].update(changed)
    fixture = directory / "nvml.json"
    fixture.write_text(json.dumps(model), encoding="utf-8")
    return assemble(snapshot_of((HOSTS / host / "sys.txt").read_text(encoding="utf-8"), fixture))


@pytest.mark.parametrize(
    ("host", "changed", "series"),
    [
        ("h100-sxm-8gpu-8cx7", {"recoveryAction": 1}, 'recovery_action{gpu="2",UUID="%s",action="gpu-reset"} 1'),
        ("h100-sxm-8gpu-8cx7", {"recoveryAction": 9}, 'recovery_action{gpu="2",UUID="%s",action="unknown-9"} 1'),
        ("h100-sxm-8gpu-8cx7", {"fields": {"144": 1}}, 'memory_repair{gpu="2",UUID="%s",repair="row-remap-pending"} 1'),
        (
            "dgx1-v100-cube-mesh",
            {"fields": {"31": 1}},
            'memory_repair{gpu="2",UUID="%s",repair="page-retirement-pending"} 1',
        ),
    ],
)
def test_a_gpu_that_needs_something_makes_the_node_not_ready(
    tmp_path: Path, host: str, changed: dict[str, object], series: str
) -> None:
    found = node(tmp_path, host, **changed)
    derived = derive(found)
    assert features(found, derived)[PREFIX + "ready"] == "false"
    assert {reason.gpu for reason in derived.health.reasons} == {2}
    assert "nvtopo_gpu_" + series % found.gpus[2].uuid in text(health.families(found, derived))


def test_a_field_that_fails_is_a_problem_and_no_need(tmp_path: Path) -> None:
    found = node(tmp_path, "h100-sxm-8gpu-8cx7", returns={"field:230": 999, "field:144": 3})
    assert (found.gpus[2].recovery_action, found.gpus[2].memory_repair) == (None, ())
    assert [(problem.subject, problem.reason) for problem in found.problems] == [
        ("GPU2", "nvmlDeviceGetFieldValues: field 230 of scope 0: Unknown Error")
    ]
