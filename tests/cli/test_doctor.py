"""``nvtopo doctor``: verdicts, exit codes, formats."""

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from nvtopo.cli import main
from nvtopo.errors import ParseError
from tests import golden

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ROOT / "fixtures" / "hosts"
RACK = ROOT / "fixtures" / "clusters" / "gb200-nvl72-rack"


def doctor(*arguments: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments], input=given, standalone_mode=False)


def as_json(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = doctor(*arguments, "--format", "json")
    found: dict[str, Any] = msgspec.json.decode(result.stdout)
    return result.return_value, found


@pytest.mark.parametrize(
    ("host", "code", "verdict"),
    [
        ("hgx-h200-8gpu", 0, "ready"),
        ("h100-one-link-down", 1, "not-ready"),
        ("h100-links-training", 3, "cannot-know"),
        ("laptop-no-gpu", 3, "cannot-know"),
    ],
)
def test_the_exit_code_is_the_verdict_s(host: str, code: int, verdict: str) -> None:
    found = as_json("--from", str(HOSTS / host / "capture.json"))
    assert (found[0], found[1]["verdict"]) == (code, verdict)


def test_a_finding_has_the_keys_that_are_pinned() -> None:
    _, report = as_json("--from", str(HOSTS / "h100-one-link-down" / "capture.json"))
    (finding,) = report["findings"]
    assert finding.keys() == {"id", "severity", "domain", "subject", "evidence", "expected", "remedy"}
    assert (finding["id"], finding["severity"], finding["subject"]) == ("nvlinks-missing", "critical", "GPU2")


def test_standard_input_is_read() -> None:
    content = (HOSTS / "h100-one-link-down" / "capture.json").read_bytes()
    assert doctor("--from", "-", given=content).return_value == 1


def test_the_worst_is_on_the_first_lines_with_what_to_do() -> None:
    lines = doctor("--from", str(HOSTS / "h100-one-link-down" / "capture.json")).stdout.splitlines()
    assert "NOT READY" in lines[0]
    assert lines[1] == "critical GPU2: has 17 of 18 NVLinks"
    assert lines[3].startswith("  do: ")


@pytest.mark.parametrize("host", sorted(path.name for path in HOSTS.iterdir()))
def test_the_text_of_any_machine_is_one_screen(host: str) -> None:
    assert len(doctor("--from", str(HOSTS / host / "capture.json")).stdout.splitlines()) <= 24


def test_a_rack_has_a_verdict_for_each_node() -> None:
    code, report = as_json("--from", str(RACK))
    assert (code, report["verdict"], len(report["nodes"])) == (0, "ready", 18)
    assert {node["verdict"] for node in report["nodes"].values()} == {"ready"}


def test_what_a_rack_with_a_bad_tray_and_a_silent_one_says_is_golden() -> None:
    result = doctor("--from", str(RACK.with_name("gb200-nvl72-demo")))
    assert result.return_value == 1
    golden.check(result.stdout, Path(__file__).parent / "golden" / "doctor-rack.txt")


def test_a_cordoned_node_does_not_count(tmp_path: Path) -> None:
    names = [path.stem for path in RACK.glob("*.json")]
    nodes = [
        {"kind": "Node", "metadata": {"name": name}, "spec": {"unschedulable": name[-2:] == "07"}} for name in names
    ]
    file = tmp_path / "nodes.json"
    file.write_bytes(msgspec.json.encode({"kind": "List", "items": nodes}))
    code, report = as_json("--from", str(RACK), "--nodes", str(file))
    (domain,) = report["capacity"]
    assert (code, domain["wholeNodes"], domain["usableGpus"]) == (0, 17, 68)
    assert domain["leftOut"] == {"cordoned": ["nvl72-r01-t07"]}


def test_a_file_whose_name_is_no_text_is_a_node_that_is_unknown(tmp_path: Path) -> None:
    shutil.copy(HOSTS / "hgx-h200-8gpu" / "capture.json", tmp_path / "a.json")
    (tmp_path / os.fsdecode(b"\xff.json")).write_text('{"capture": 1, "host": 3}')
    code, report = as_json("--from", str(tmp_path))
    assert (code, len(report["nodes"])) == (3, 2)


def test_one_bad_node_makes_a_fleet_not_ready(tmp_path: Path) -> None:
    for host in ("hgx-h200-8gpu", "h100-one-link-down", "h100-links-training"):
        shutil.copy(HOSTS / host / "capture.json", tmp_path / f"{host}.json")
    code, report = as_json("--from", str(tmp_path))
    assert (code, report["verdict"]) == (1, "not-ready")
    verdicts = sorted(node["verdict"] for node in report["nodes"].values())
    assert verdicts == ["cannot-know", "not-ready", "ready"]


def test_a_capture_that_is_none_makes_its_node_unknown(tmp_path: Path) -> None:
    shutil.copy(HOSTS / "hgx-h200-8gpu" / "capture.json", tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"capture": 1, "host": 3}')
    code, report = as_json("--from", str(tmp_path))
    assert (code, report["nodes"]["b"]["verdict"]) == (3, "cannot-know")
    assert report["nodes"]["b"]["unknown"][0]["id"] == "node-unreadable"


GOOD = str(HOSTS / "h100-sxm-8gpu-8cx7" / "capture.json")


def written(tmp_path: Path) -> Path:
    result = doctor("--from", GOOD, "--write-policy")
    assert result.return_value == 0
    file = tmp_path / "policy.yaml"
    file.write_text(result.stdout)
    return file


def test_a_node_meets_the_policy_that_it_wrote(tmp_path: Path) -> None:
    assert as_json("--from", GOOD, "--policy", str(written(tmp_path)))[1]["verdict"] == "ready"


@pytest.mark.parametrize(
    ("wrong", "right", "finding", "code"),
    [
        ("gpus: 8", "gpus: 9", "gpus-missing", 1),
        ("rails: 8", "rails: 9", "rails-missing", 1),
        ("mtuBytes: 9000", "mtuBytes: 4200", "mtu-differs", 0),
        ('driver: "580.105.08"', 'driver: "590.1"', "version-differs", 0),
        ("gidIndex: 3", "gidIndex: 1", "gid-index-differs", 1),
    ],
)
def test_what_a_policy_expects_and_is_not_there_is_found(
    tmp_path: Path, wrong: str, right: str, finding: str, code: int
) -> None:
    file = written(tmp_path)
    assert wrong in file.read_text()
    file.write_text(file.read_text().replace(wrong, right, 1))
    found = as_json("--from", GOOD, "--policy", str(file))
    assert finding in {one["id"] for one in found[1]["findings"]}
    assert found[0] == code


def test_a_policy_that_does_not_speak_of_the_node_accepts_nothing(tmp_path: Path) -> None:
    found = as_json("--from", str(HOSTS / "hgx-h200-8gpu" / "capture.json"), "--policy", str(written(tmp_path)))
    assert (found[0], found[1]["unknown"][0]["id"]) == (3, "policy-has-no-shape")


def test_what_a_policy_states_and_can_t_be_read_is_said(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text().replace("mtuBytes: 9000", "rdmaMtuBytes: 4096", 1))
    code, report = as_json("--from", GOOD, "--policy", str(file))
    unread = {one["subject"] for one in report["unknown"] if one["id"] == "policy-not-read"}
    assert (code, unread) == (0, {f"mlx5_{number}/1" for number in range(8)})


def test_no_policy_is_learned_from_a_node_that_is_not_ready() -> None:
    result = doctor("--from", str(HOSTS / "h100-one-link-down" / "capture.json"), "--write-policy")
    assert (result.return_value, result.stdout) == (1, "")
    assert "GPU2 has 17 of 18 NVLinks" in result.stderr


def test_what_changed_since_a_baseline(tmp_path: Path) -> None:
    capture = msgspec.json.decode((HOSTS / "h100-sxm-8gpu-8cx7" / "capture.json").read_bytes())
    capture["nvml"]["driverVersion"] = "570.1"
    capture["host"]["kernel"] = "5.15.0"
    capture["rdma"]["devices"][0]["firmware"] = "28.1.1"
    capture["nvml"]["gpus"][0]["vbios"] = "1.2.3"
    before = tmp_path / "before.json"
    before.write_bytes(msgspec.json.encode(capture))
    code, report = as_json("--from", GOOD, "--against", str(before))
    assert code == 0
    changed = {(one["subject"], one["path"]): (one["before"], one["after"]) for one in report["changes"]}
    assert changed[("host", "driverVersion")] == ("570.1", "580.105.08")
    assert changed[("host", "kernel")] == ("5.15.0", "6.8.0-45-generic")
    assert changed[(capture["rdma"]["devices"][0]["name"], "firmware")] == ("28.1.1", "28.43.2026")
    assert changed[("GPU0", "vbios")][0] == "1.2.3"
    lines = doctor("--from", GOOD, "--against", str(before)).stdout
    assert "changes since the baseline" in lines


def test_nothing_changed_since_itself() -> None:
    assert as_json("--from", GOOD, "--against", GOOD)[1]["changes"] == []


DEMO = RACK.with_name("gb200-nvl72-demo")


def test_what_changed_in_a_rack_is_said_of_each_node_and_of_those_that_are_gone() -> None:
    lines = doctor("--from", str(DEMO), "--against", str(RACK)).stdout.splitlines()
    at = lines.index("9 changes since the baseline, on 2 nodes")
    assert lines[at + 1 :] == [
        "  nvl72-r01-t12: GPU0: platform slot 22 → 21, and 7 more",
        "  nvl72-r01-t03: GPU1: NVLinks 0-17 active → 0-10,12-17 active, 11 inactive",
        "  in the baseline only: nvl72-r01-t08",
    ]
    assert as_json("--from", str(DEMO), "--against", str(RACK))[1]["gone"] == ["nvl72-r01-t08"]
    assert (
        "In the baseline only: nvl72-r01-t08"
        in doctor("--from", str(DEMO), "--against", str(RACK), "-o", "html").stdout
    )


def test_nodes_without_a_baseline_are_named() -> None:
    lines = doctor("--from", str(RACK), "--against", str(DEMO)).stdout.splitlines()
    assert lines[-1] == "  not compared: nvl72-r01-t08"
    assert (
        doctor("--from", str(RACK), "--against", str(RACK)).stdout.splitlines()[-1]
        == "nothing changed since the baseline"
    )
    assert as_json("--from", str(RACK))[1]["gone"] is None


def test_a_folder_that_holds_no_baseline_of_these_nodes_is_no_baseline_without_changes(tmp_path: Path) -> None:
    lines = doctor("--from", str(RACK), "--against", str(tmp_path)).stdout.splitlines()
    assert lines[-1].startswith("  not compared: nvl72-r01-t00")
    assert not any("nothing changed" in line for line in lines)


def test_room_that_is_not_known_is_not_called_none(tmp_path: Path) -> None:
    for tray in sorted(RACK.glob("*.json"))[:-1]:
        shutil.copy(tray, tmp_path)
    assert "NVLink domains 0 of 1, 1 not known (largest gang 68 GPUs)" in doctor("--from", str(tmp_path)).stdout


@pytest.mark.parametrize("form", ["text", "json", "junit", "sarif", "prometheus", "html"])
@pytest.mark.parametrize("source", [str(RACK), str(HOSTS / "h100-one-link-down" / "capture.json")])
def test_every_format_keeps_the_exit_code(form: str, source: str) -> None:
    result = doctor("--from", source, "--format", form)
    assert result.stdout
    assert result.return_value == (0 if source == str(RACK) else 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", str(RACK), "--write-policy"),
        ("--from", GOOD, "--write-policy", "--format", "json"),
        ("--from", GOOD, "--write-policy", "--against", GOOD),
        ("--from", str(RACK), "--host", "1"),
        ("--from", str(RACK), "--against", GOOD),
        ("--server", "http://127.0.0.1:1", "--from", GOOD),
        ("--server", "http://127.0.0.1:1", "--write-policy"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: tuple[str, ...]) -> None:
    result = doctor(*arguments)
    assert type(result.exception).__name__ == "UsageError"


def _nodes(file: Path, **labels: str) -> Path:
    names = {"clique": "nvidia.com/gpu.clique", "count": "nvidia.com/gpu.count", "ready": "nvtopo.io/ready"}
    given = {names[name]: value for name, value in labels.items()}
    node = {"kind": "Node", "metadata": {"name": "nvl72-r01-t04", "labels": given}}
    file.write_bytes(msgspec.json.encode({"kind": "List", "items": [node]}))
    return file


def test_labels_of_a_node_are_compared_with_what_it_shows(tmp_path: Path) -> None:
    capture = str(HOSTS / "gb200-nvl72-tray" / "capture.json")
    nodes = _nodes(tmp_path / "nodes.json", clique="another.1", count="4", ready="true")
    code, report = as_json("--from", capture, "--nodes", str(nodes))
    assert code == 0
    (finding,) = [one for one in report["findings"] if one["severity"] == "warning"]
    assert (finding["id"], finding["subject"]) == ("gfd-labels-differ", "nvidia.com/gpu.clique")
    assert report["checks"]["node-labels-differ"] == "passed"


def _network(name: str, config: str, resource: str | None = None) -> dict[str, Any]:
    annotations = {} if resource is None else {"k8s.v1.cni.cncf.io/resourceName": resource}
    metadata = {"name": name, "namespace": "jobs", "annotations": annotations}
    return {"kind": "NetworkAttachmentDefinition", "metadata": metadata, "spec": {"config": config}}


def test_networks_beside_the_nodes_are_compared_with_what_the_node_has() -> None:
    node = {
        "kind": "Node",
        "metadata": {"name": "h100-0001"},
        "status": {"allocatable": {"example.com/vf": "7"}, "capacity": {"example.com/vf": "8", "cpu": "224"}},
    }
    networks = [
        _network("vf", '{"type": "sriov"}', "example.com/vf"),
        _network("elsewhere", '{"type": "sriov"}', "example.com/other"),
        _network(
            "macvlan", '{"plugins": [{"type": "macvlan", "master": "enp84s0np0", "mtu": 9216}, {"type": "tuning"}]}'
        ),
        _network("gone", '{"type": "host-device", "device": "eth\\u0007"}'),
        _network("broken", "{"),
    ]
    given = msgspec.json.encode({"kind": "List", "items": [node, *networks]})
    capture = str(HOSTS / "h100-sxm-8gpu-8cx7" / "capture.json")
    result = doctor("--from", capture, "--nodes", "-", "--format", "json", given=given)
    report = msgspec.json.decode(result.stdout)
    found = {
        (one["id"], one["subject"]): one["evidence"] for one in report["findings"] if one["id"].startswith("network-")
    }
    assert found == {
        ("network-resource-short", "example.com/vf"): "its Node offers 7 of 8",
        ("network-functions-differ", "node"): "its Node has 8 of example.com/vf, and PCI has 0 virtual functions",
        ("network-mtu-large", "jobs/macvlan"): "sets an MTU of 9216 bytes, and enp84s0np0 has 9000",
        ("network-device-missing", "jobs/gone"): "is on eth\ufffd, which this network namespace does not have",
    }


def test_a_folder_is_compared_with_the_labels_of_its_nodes(tmp_path: Path) -> None:
    nodes = _nodes(tmp_path / "nodes.json", ready="false")
    _, report = as_json("--from", str(RACK), "--nodes", str(nodes))
    outcomes = {name: one["checks"]["node-labels-differ"] for name, one in report["nodes"].items()}
    assert outcomes.pop("nvl72-r01-t04") == "failed"
    assert set(outcomes.values()) == {"unknown"}
    assert report["checks"]["domain-imex-skew"] == "passed"


@pytest.mark.parametrize(
    "content", ['{"kind": "Pod", "metadata": {"name": "a"}}', '{"kind": "List", "items": []}', "[]"]
)
def test_a_file_without_nodes_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "nodes.json"
    file.write_text(content)
    refused = doctor("--from", str(HOSTS / "hgx-h200-8gpu" / "capture.json"), "--nodes", str(file)).exception
    assert isinstance(refused, ParseError)
    assert "kubectl get nodes" in str(refused)
    assert "\n" not in str(refused)
