"""What was measured beside what the links carry: slow, as promised, or not to be compared, for each kind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from nvtopo.checks import measured
from nvtopo.checks.check import Machine, Outcome
from nvtopo.checks.fleet import of_fleet
from nvtopo.cli import main
from nvtopo.errors import ParseError
from nvtopo.model.samples.measured import Measured
from nvtopo.reports import html
from nvtopo.sources.foreign.measurements import read
from tests.checks.recorded import machine_of, report_of, snapshot_of
from tests.checks.test_each_check import gpus
from tests.foreign import measured_texts as texts

ROOT = Path(__file__).resolve().parents[2]
H100: Final = "h100-sxm-8gpu-8cx7"
TRAY: Final = "gb200-nvl72-tray"
GIB: Final = 1 << 30


def nccl(ranks: Mapping[str, range], rate: float, *, size: int = GIB, wrong: int = 0) -> bytes:
    return texts.nccl(ranks, [(8, 0.0, 0), (size, rate, wrong)])


def machines(*names: str) -> dict[str, Machine]:
    return {name: machine_of(snapshot_of(name)) for name in names}


def outcome(content: bytes, nodes: Mapping[str, Machine], check: str) -> Outcome | None:
    report = measured.with_measured(of_fleet({H100: report_of(H100)}), read(content, "x"), nodes)
    return report.checks.get(check)


class Case(NamedTuple):
    check: str
    content: bytes
    outcome: Outcome
    nodes: tuple[str, ...] = (H100,)


#: NV18 of Hopper carries 477.9 GB/s, a 400 Gb/s rail 50, PCIe 5 x16 63.
CASES: Final[dict[str, Case]] = {
    "eight GPUs at 80 %": Case("measured-collective-slow", nccl({H100: range(8)}, 380.0), "passed"),
    "eight GPUs at PCIe's rate": Case("measured-collective-slow", nccl({H100: range(8)}, 42.0), "failed"),
    "another name, and one node": Case("measured-collective-slow", nccl({"elsewhere": range(8)}, 42.0), "failed"),
    "small messages": Case("measured-collective-slow", nccl({H100: range(8)}, 0.5, size=4096), "unknown"),
    "one GPU": Case("measured-collective-slow", nccl({H100: range(1)}, 42.0), "unknown"),
    "a node without facts": Case("measured-collective-slow", nccl({H100: range(8), "b": range(8)}, 42.0), "unknown"),
    "two nodes at a rail's rate": Case(
        "measured-collective-slow",
        nccl({H100: range(8), "hgx-h200-8gpu": range(8)}, 45.0),
        "passed",
        (H100, "hgx-h200-8gpu"),
    ),
    "two nodes at a tenth of it": Case(
        "measured-collective-slow",
        nccl({H100: range(8), "hgx-h200-8gpu": range(8)}, 5.0),
        "failed",
        (H100, "hgx-h200-8gpu"),
    ),
    "some pairs bridged": Case(
        "measured-collective-slow", nccl({"h100-nvl-pairs": range(4)}, 42.0), "unknown", ("h100-nvl-pairs",)
    ),
    "wrong values": Case("measured-values-wrong", nccl({H100: range(8)}, 380.0, wrong=2), "failed"),
    "right values": Case("measured-values-wrong", nccl({H100: range(8)}, 380.0), "passed"),
    "copies between GPUs": Case(
        "measured-copy-slow",
        texts.nvbandwidth("device_to_device_memcpy_read_ce", [[None, 390.0], [391.0, None]]),
        "passed",
    ),
    "one slow copy": Case(
        "measured-copy-slow",
        texts.nvbandwidth("device_to_device_memcpy_read_ce", [[None, 25.0], [391.0, None]]),
        "failed",
    ),
    "a host's slow copy": Case(
        "measured-copy-slow", texts.nvbandwidth("host_to_device_memcpy_ce", [[55.0, 12.0]], host=True), "failed"
    ),
    "copies of a GPU that is not there": Case(
        "measured-copy-slow", texts.nvbandwidth("host_to_device_memcpy_ce", [[55.0] * 9], host=True), "unknown"
    ),
    "sums of both ways are not judged": Case(
        "measured-copy-slow",
        texts.nvbandwidth("device_to_device_bidirectional_memcpy_read_ce", [[None, 25.0], [25.0, None]]),
        "passed",
    ),
    "copies over C2C": Case(
        "measured-copy-slow", texts.nvbandwidth("host_to_device_memcpy_ce", [[200.0]], host=True), "unknown", (TRAY,)
    ),
    "copies of which of two nodes": Case(
        "measured-copy-slow", texts.nvbandwidth("host_to_device_memcpy_ce", [[5.0]], host=True), "unknown", (H100, TRAY)
    ),
    "a rail at 97 %": Case("measured-rdma-slow", texts.perftest_bandwidth("mlx5_0", 388.0), "passed"),
    "a rail at half": Case("measured-rdma-slow", texts.perftest_bandwidth("mlx5_0", 200.0), "failed"),
    "small RDMA messages": Case("measured-rdma-slow", texts.perftest_bandwidth("mlx5_0", 1.0, size=64), "unknown"),
    "a device that is not there": Case("measured-rdma-slow", texts.perftest_bandwidth("rxe0", 1.0), "unknown"),
    "a job of fio": Case("measured-storage-failed", texts.fio([("seq", 7_000_000_000, 0, 0)]), "passed"),
    "a job of fio after a line of its own": Case(
        "measured-storage-failed", texts.fio([("seq", 0, 5_000_000_000, 0)], "note: both iodepth >= 1\n"), "passed"
    ),
    "a job that could not write": Case("measured-storage-failed", texts.fio([("seq", 0, 0, 28)]), "failed"),
    "a job that moved nothing": Case("measured-storage-failed", texts.fio([("seq", 0, 0, 0)]), "unknown"),
    "a run of gdsio": Case("measured-storage-failed", texts.gdsio(6.5), "passed"),
    "diagnostics that passed": Case(
        "measured-diagnostic-failed", texts.dcgmi([("software", 0, "Pass", ""), ("pcie", 1, "Skip", "")]), "passed"
    ),
    "diagnostics that failed": Case(
        "measured-diagnostic-failed", texts.dcgmi([("memory", 3, "Fail", "DBE"), ("pcie", 1, "Weird", "")]), "failed"
    ),
    "diagnostics that ended otherwise": Case(
        "measured-diagnostic-failed", texts.dcgmi([("memory", 3, "Not Run", "")]), "unknown"
    ),
    "RDMA of which of two nodes": Case(
        "measured-rdma-slow", texts.perftest_bandwidth("mlx5_0", 1.0), "unknown", (H100, TRAY)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_case(name: str) -> None:
    case = CASES[name]
    assert outcome(case.content, machines(*case.nodes), case.check) == case.outcome


def test_each_check_fails_passes_and_where_it_compares_cannot_know() -> None:
    seen = {(case.check, case.outcome) for case in CASES.values()}
    for check in measured.CHECKS:
        if check.id == "measured-ratio":
            continue  # below
        assert {(check.id, "failed"), (check.id, "passed")} <= seen
        assert (check.id, "unknown") in seen or check is measured.WRONG


def test_two_trays_of_one_nvlink_domain_are_judged_by_nvlink() -> None:
    """Blackwell's NV18 carries 900 GB/s, and a tray's rails 50 for each GPU."""
    nodes = {name: machine_of(snapshot_of(TRAY)) for name in ("tray-a", "tray-b")}
    run = {"tray-a": range(4), "tray-b": range(4)}
    assert outcome(nccl(run, 700.0), nodes, "measured-collective-slow") == "passed"
    assert outcome(nccl(run, 48.0), nodes, "measured-collective-slow") == "failed"


def test_a_link_that_is_down_promises_less() -> None:
    """What is slow for its link is said; that the link itself is slow, its own check says."""
    well = machine_of(snapshot_of(H100))
    less = machine_of(snapshot_of("h100-one-link-down"))
    rate = 0.585 * 477.9
    content = nccl({"n": range(8)}, rate)
    assert outcome(content, {"n": well}, "measured-collective-slow") == "failed"
    assert outcome(content, {"n": less}, "measured-collective-slow") == "passed"


def test_a_gpu_of_an_unknown_rate_is_not_compared() -> None:
    nameless = gpus(lambda gpu: replace(gpu, nvlinks=(), nvlink_count=None, link=None))(snapshot_of(H100))
    assert nameless.pci is not None
    blank = replace(nameless, pci=replace(nameless.pci, devices=()))
    assert outcome(nccl({"n": range(8)}, 1.0), {"n": machine_of(blank)}, "measured-collective-slow") == "unknown"


def test_what_is_slow_decides_no_readiness() -> None:
    report = report_of(H100)
    slow = measured.with_measured(report, read(nccl({H100: range(8)}, 1.0), "x"), machines(H100))
    assert slow.verdict == report.verdict == "ready"
    assert slow.findings[0].severity == "warning"


def test_nothing_measured_changes_nothing() -> None:
    report = report_of(H100)
    assert measured.with_measured(report, Measured(), machines(H100)) == report


def test_the_acceptance_report_shows_the_slowest_of_each_kind() -> None:
    shown = measured.shown(read(b"".join(texts.ALL), "x"))
    assert shown == {
        "throughput": "collective 300.0 GB/s, copies 55.2 GB/s, RDMA 47.5 GB/s, storage 7.0 GB/s",
        "latency": "RDMA 1.75 µs",
        "evidence": "6 runs imported",
    }
    page = html.render(of_fleet({H100: report_of(H100)}), {}, shown)
    assert page.count("not measured") == 2
    assert "collective 300.0 GB/s" in page


NEAR, CROSSED = {"tray-a": range(4), "tray-b": range(4)}, {"tray-a": range(4), H100: range(4)}


def pair(near: float, crossed: float, size: int = GIB) -> tuple[Any, ...]:
    """Eight GPUs in one NVLink domain, and eight of two: 957 GB/s and 50 GB/s are promised."""
    nodes = {name: machine_of(snapshot_of(TRAY)) for name in ("tray-a", "tray-b")} | machines(H100)
    content = nccl(NEAR, near, size=size) + nccl(CROSSED, crossed, size=size)
    return tuple(one for one in measured.judged(read(content, "x"), nodes).findings if one.id == "measured-ratio")


@pytest.mark.parametrize(
    ("near", "crossed", "severity"), [(700.0, 40.0, "info"), (700.0, 5.0, "warning"), (60.0, 40.0, "warning")]
)
def test_a_pair_has_its_measured_ratio_beside_the_predicted_one(near: float, crossed: float, severity: str) -> None:
    (finding,) = pair(near, crossed)
    assert finding.severity == severity
    assert finding.subject == "8 GPUs"
    assert f"measured {near / crossed:.1f} times as fast on tray-a, tray-b (NVLink)" in finding.evidence
    assert "predicted 19.1" in finding.evidence


def test_a_pair_as_predicted_is_a_check_that_passed() -> None:
    nodes = {name: machine_of(snapshot_of(TRAY)) for name in ("tray-a", "tray-b")} | machines(H100)
    report = of_fleet({H100: report_of(H100)})
    for crossed, outcome_of_it in ((40.0, "passed"), (5.0, "failed")):
        runs = read(nccl(NEAR, 700.0) + nccl(CROSSED, crossed), "x")
        assert measured.with_measured(report, runs, nodes).checks["measured-ratio"] == outcome_of_it


def test_what_is_no_pair_has_no_ratio() -> None:
    assert pair(700.0, 40.0, size=4096) == ()
    nodes = {name: machine_of(snapshot_of(TRAY)) for name in ("tray-a", "tray-b")}
    runs = read(nccl(NEAR, 700.0) + nccl({"tray-a": range(2), "tray-b": range(2)}, 40.0), "x")
    assert [one for one in measured.judged(runs, nodes).findings if one.id == "measured-ratio"] == []


def test_a_failed_diagnosis_names_the_gpu_and_says_why() -> None:
    content = texts.dcgmi([("memory", 3, "Fail", "Detected 2 double-bit errors\x1b[0m")])
    (finding,) = measured.judged(read(content, "x"), {}).findings
    assert (finding.subject, finding.severity) == ("GPU3", "warning")
    assert finding.evidence.startswith("memory: fail: Detected 2 double-bit errors")
    assert "\x1b" not in finding.evidence


def test_diagnostics_before_dcgm_4_name_gpus_by_a_text() -> None:
    old = (
        b'{"DCGM GPU Diagnostic": {"test_categories": [{"category": "Hardware", "tests": [{"name": "Memory", '
        b'"results": [{"gpu_ids": "2", "status": "Fail", "warnings": ["too hot"]}]}]}]}}'
    )
    (finding,) = measured.judged(read(old, "x"), {}).findings
    assert (finding.subject, finding.evidence) == ("GPU2", "Memory: fail: too hot")


@pytest.mark.parametrize("content", [b"{}", b'{"jobs": 3}', b'{"jobs": [', b'note\n{"jobs": []}', b"hello"])
def test_json_of_something_else_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(ParseError) as refused:
        read(content, "x")
    assert "\n" not in str(refused.value)


def test_the_command_reads_several_files(tmp_path: Path) -> None:
    files = (tmp_path / "nccl.txt", tmp_path / "rdma.txt")
    files[0].write_bytes(nccl({"any": range(8)}, 40.0))
    files[1].write_bytes(texts.perftest_bandwidth("mlx5_2", 390.0))
    given = [word for file in files for word in ("--measured", str(file))]
    source = str(ROOT / "fixtures" / "hosts" / H100 / "capture.json")
    result = CliRunner().invoke(main, ["doctor", "--from", source, "--format", "json", *given], standalone_mode=False)
    report: dict[str, Any] = msgspec.json.decode(result.stdout)
    assert (result.return_value, report["verdict"]) == (0, "ready")
    assert [one["id"] for one in report["findings"]] == ["measured-collective-slow"]
    assert report["checks"]["measured-rdma-slow"] == "passed"


def test_the_command_finds_the_nodes_of_a_run_in_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "nccl.txt"
    file.write_bytes(nccl({"nvl72-r01-t04": range(4), "nvl72-r01-t05.example": range(4)}, 48.0))
    source = str(ROOT / "fixtures" / "clusters" / "gb200-nvl72-rack")
    arguments = ["doctor", "--from", source, "--format", "json", "--measured", str(file)]
    report = msgspec.json.decode(CliRunner().invoke(main, arguments, standalone_mode=False).stdout)
    assert [one["id"] for one in report["findings"]] == ["measured-collective-slow"]
    assert "NVLink carries" in report["findings"][0]["evidence"]
