"""``nvtopo diff``: exit codes, inputs of every kind, and what it prints."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_command_line import nvtopo
from tests.hosts.recorded import FIXTURES

pytestmark = pytest.mark.slow

_HOST = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7"
_CAPTURE = _HOST / "capture.json"
_DUMP = _HOST / "expected" / "topology.json"


@pytest.fixture
def degraded(tmp_path: Path) -> Path:
    """The machine with a link down, a GPU lost, and a NIC's MTU back at its default."""
    capture: dict[str, Any] = json.loads(_CAPTURE.read_bytes())
    capture["nvml"]["gpus"][3]["nvlinks"][17]["state"] = "inactive"
    capture["nvml"]["gpus"].pop(6)
    next(device for device in capture["net"]["devices"] if device["name"] == "enp118s0np0")["mtuBytes"] = 1500
    path = tmp_path / "degraded.json"
    path.write_text(json.dumps(capture), encoding="utf-8")
    return path


@pytest.mark.parametrize("other", [_CAPTURE, _DUMP, _DUMP.with_suffix(".yaml")], ids=["capture", "json", "yaml"])
def test_the_same_node_in_any_shape_does_not_differ(other: Path) -> None:
    result = nvtopo("diff", str(_CAPTURE), str(other))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_resource_is_read_as_kubectl_prints_it(tmp_path: Path) -> None:
    spec = json.loads(_DUMP.read_bytes())["spec"]
    metadata = {"name": "node-7", "managedFields": [{"manager": "agent", "fieldsV1": {"f:spec": {}}}]}
    resource = {"apiVersion": "nvtopo.io/v1alpha1", "kind": "NodeTopology", "metadata": metadata, "spec": spec}
    path = tmp_path / "resource.json"
    path.write_text(json.dumps(resource), encoding="utf-8")
    assert nvtopo("diff", str(_CAPTURE), str(path)).returncode == 0


def test_what_differs_is_said_line_by_line(degraded: Path) -> None:
    result = nvtopo("diff", str(_CAPTURE), str(degraded))
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert "GPU3: NVLinks 0-17 active → 0-16 active, 17 inactive" in lines
    assert "mlx5_2: MTU 9000 → 1500" in lines
    assert any(line.startswith("GPU6 gone: GPU-") for line in lines)


def test_programs_get_json(degraded: Path) -> None:
    result = nvtopo("diff", "--format", "json", str(_CAPTURE), str(degraded))
    assert result.returncode == 1
    changes = json.loads(result.stdout)["changes"]
    mtu = next(change for change in changes if change["subject"] == "mlx5_2")
    assert mtu == {
        "kind": "nics",
        "subject": "mlx5_2",
        "path": "mtuBytes",
        "before": 9000,
        "after": 1500,
        "fact": "MTU",
        "text": "mlx5_2: MTU 9000 → 1500",
    }
    assert nvtopo("diff", "--format", "json", str(_CAPTURE), str(_CAPTURE)).stdout == '{\n  "changes": []\n}\n'


def test_a_foreign_file_is_compared_by_conclusions(degraded: Path) -> None:
    assert nvtopo("diff", str(_CAPTURE), str(_HOST / "expected" / "nccl.xml")).returncode == 0
    assert nvtopo("diff", str(degraded), str(_HOST / "expected" / "nccl.xml")).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["-", "-"], 2, "standard input can be read only once"),
        (["/dev/null"], 2, "Missing argument"),
        (["/nowhere/a.json", "/nowhere/b.json"], 3, "/nowhere/a.json: No such file"),
    ],
)
def test_what_can_t_be_compared_is_one_line_and_an_exit_code(arguments: list[str], code: int, says: str) -> None:
    result = nvtopo("diff", *arguments)
    assert result.returncode == code
    assert says in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "content",
    ['{"spec": 7}', '{"spec": {"gpus": [{"index": -1}]}}', '{"spec": ', "spec: [", "spec: !!python/object:os.x {}"],
)
def test_a_malformed_resource_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad"
    path.write_text(content, encoding="utf-8")
    result = nvtopo("diff", str(path), str(_CAPTURE))
    assert (result.returncode, result.stdout) == (3, "")
    assert "expected a NodeTopology" in result.stderr
    assert result.stderr.count("\n") == 1
