"""Modes and error counters: as the driver's stand-in answers them, refused, and how much is too much."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from nvtopo.checks.report import of_node
from nvtopo.model.records.facts import GpuUpkeep, NvLinkErrors
from nvtopo.model.records.snapshot import Snapshot
from tests.checks.recorded import machine_of
from tests.checks.test_each_check import good, gpus, host, upkeep
from tests.hosts.recorded import FIXTURES, snapshot_of

B200: Final = FIXTURES / "hosts" / "hgx-b200-8gpu"
NO_PERMISSION: Final = 4
IS_LOST: Final = 15
CHECKS: Final = ("persistence-mode-off", "ecc-modes-differ", "gpu-ecc-errors", "nvlink-errors")


def with_driver(directory: Path, **of_gpu3: Any) -> Snapshot:
    """The B200 machine, with another answer of its GPU 3."""
    model = json.loads((B200 / "nvml.json").read_text(encoding="utf-8"))
    model["gpus"][3] |= of_gpu3
    nvml = directory / "nvml.json"
    nvml.write_text(json.dumps(model), encoding="utf-8")
    return snapshot_of((B200 / "sys.txt").read_text(encoding="utf-8"), nvml)


def upkeep_of(snapshot: Snapshot, index: int = 3) -> GpuUpkeep | None:
    assert snapshot.nvml is not None
    return next((gpu.upkeep for gpu in snapshot.nvml.gpus if gpu.index == index), None)


def ended(snapshot: Snapshot) -> dict[str, str]:
    """Check → how it ended."""
    checks = of_node(machine_of(snapshot)).checks
    return {name: checks[name] for name in CHECKS}


def test_what_the_driver_answers(tmp_path: Path) -> None:
    found = upkeep_of(with_driver(tmp_path, persistence=0, ecc=1, eccPending=0, eccErrors=7))
    assert found == GpuUpkeep(
        persistence=False,
        ecc=True,
        ecc_pending=False,
        mig_pending=False,
        uncorrected_errors=7,
        links=(NvLinkErrors(link=11, counts={"receive": 41, "effective": 6}, effective_bit_error_ratio=3e-11),),
    )


def test_a_gpu_without_ecc_has_no_errors_to_count(tmp_path: Path) -> None:
    snapshot = with_driver(tmp_path, ecc=-1)
    found = upkeep_of(snapshot)
    assert found is not None
    assert (found.ecc, found.uncorrected_errors, found.refused) == (None, None, {})
    assert ended(snapshot)["gpu-ecc-errors"] == "passed"  # of the others


@pytest.mark.parametrize(
    ("call", "check"),
    [
        ("nvmlDeviceGetPersistenceMode", "persistence-mode-off"),
        ("nvmlDeviceGetEccMode", "ecc-modes-differ"),
        ("nvmlDeviceGetTotalEccErrors", "gpu-ecc-errors"),
    ],
)
def test_what_the_driver_refuses_is_not_known_and_no_problem_of_the_node(tmp_path: Path, call: str, check: str) -> None:
    snapshot = with_driver(tmp_path, returns={call: NO_PERMISSION})
    report = of_node(machine_of(snapshot))
    assert [(one.subject, one.reason) for one in report.unknown if one.id == check] == [
        ("GPU3", f"{call}: Insufficient Permissions")
    ]
    assert (snapshot.problems, report.verdict) == ((), "ready")


def test_one_link_that_does_not_answer_hides_no_error_of_another(tmp_path: Path) -> None:
    model = json.loads((B200 / "nvml.json").read_text(encoding="utf-8"))
    links = model["gpus"][3]["links"]
    links[5]["returns"] = {"field:220": NO_PERMISSION}
    report = of_node(machine_of(with_driver(tmp_path, links=links)))
    assert [one.evidence for one in report.findings if one.id == "nvlink-errors" and one.severity == "warning"] == [
        "link 11: effective bit error ratio 3e-11"
    ]
    assert [one.reason for one in report.unknown if one.id == "nvlink-errors"] == [
        "nvmlDeviceGetFieldValues: field 220: Insufficient Permissions"
    ]


def test_a_gpu_that_is_lost_meanwhile_is_lost(tmp_path: Path) -> None:
    snapshot = with_driver(tmp_path, returns={"nvmlDeviceGetPersistenceMode": IS_LOST})
    assert upkeep_of(snapshot) is None
    assert snapshot.nvml is not None
    assert snapshot.nvml.lost == 1


@pytest.mark.parametrize(
    ("link", "severities"),
    [
        (NvLinkErrors(link=0, effective_bit_error_ratio=1e-12), []),
        (NvLinkErrors(link=0, effective_bit_error_ratio=2e-12), ["warning"]),
        (NvLinkErrors(link=0, counts={"recovery_failed": 1}), ["warning"]),
        (NvLinkErrors(link=0, counts={"crc": 99_000}), []),
        (NvLinkErrors(link=0, counts={"crc": 101_000}), ["warning"]),
        (NvLinkErrors(link=0, counts={"symbol": 1 << 40, "effective": 4}), []),
        (NvLinkErrors(link=0, counts={"replay": 1}), ["info"]),
        (NvLinkErrors(link=0, counts={"recovery": 2, "recovery_failed": 1}), ["warning", "info"]),
    ],
)
def test_how_much_is_too_much(link: NvLinkErrors, severities: list[str]) -> None:
    snapshot = host(uptime_seconds=1000)(upkeep(2, links=(link,))(good()))
    findings = [one for one in of_node(machine_of(snapshot)).findings if one.id == "nvlink-errors"]
    assert [one.severity for one in findings] == severities
    assert {one.subject for one in findings} <= {"GPU2"}


def test_an_ecc_mode_that_waits_for_a_reset_is_an_info() -> None:
    report = of_node(machine_of(upkeep(2, ecc_pending=False)(good())))
    found = [(one.severity, one.evidence) for one in report.findings if one.id == "ecc-modes-differ"]
    assert found == [("info", "ECC mode is on, and off after its next reset")]


def test_a_mig_mode_that_waits_for_a_reset_is_an_info(tmp_path: Path) -> None:
    report = of_node(machine_of(with_driver(tmp_path, mig={"current": 0, "pending": 1, "max": 7})))
    found = [(one.severity, one.subject, one.evidence) for one in report.findings if one.id == "mig-modes-differ"]
    assert found == [("info", "GPU3", "MIG mode is off, and on after its next reset")]


@pytest.mark.parametrize("name", ["uuid", "path"])
def test_a_gpu_that_states_what_another_one_is_makes_no_machine_that_is_ready(tmp_path: Path, name: str) -> None:
    model = json.loads((B200 / "nvml.json").read_text(encoding="utf-8"))
    snapshot = with_driver(tmp_path, **{name: model["gpus"][2][name]})
    report = of_node(machine_of(snapshot))
    assert report.verdict == "not-ready"
    assert [one for one in report.findings if "GPU3: has the" in one.evidence and "of GPU2" in one.evidence]


def test_a_gpu_with_an_empty_uuid_is_none_that_can_be_told_from_another(tmp_path: Path) -> None:
    assert of_node(machine_of(with_driver(tmp_path, uuid=""))).verdict == "not-ready"


def test_a_gpu_whose_pci_function_is_not_known_has_no_numa_node_of_minus_one(tmp_path: Path) -> None:
    report = of_node(machine_of(with_driver(tmp_path, returns={"nvmlDeviceGetPciInfo_v3": NO_PERMISSION})))
    assert report.checks["gpu-numa-missing"] == "unknown"
    assert report.verdict == "not-ready"


def test_links_of_two_products_may_differ() -> None:
    """An A100 beside H200s has slower links, and lacks nothing."""
    snapshot = good()
    assert snapshot.nvml is not None
    other = gpus(
        lambda gpu: replace(
            gpu, name="another", nvlinks=tuple(replace(link, bytes_per_second=1 << 30) for link in gpu.nvlinks)
        ),
        0,
    )(snapshot)
    assert of_node(machine_of(other)).checks["nvlink-slow"] == "passed"
