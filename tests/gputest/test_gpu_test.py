"""The whole test on recorded machines: the C library of tests/nvml as driver, a stand-in for nvidia-smi."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gputest.__main__ import EXIT_CANNOT_WRITE, EXIT_DIFFERS, EXIT_NO_DRIVER
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.sources.capture import read_capture
from tests.gputest.smi_texts import ENDS, QUERY, STATES, TOPO, model_of, snapshot_of, texts_of, write_program
from tests.hosts.recorded import FIXTURES
from tests.machines import sysfs_text
from tests.nvml import build

pytestmark = pytest.mark.slow

EIGHT = "h100-sxm-8gpu-8cx7"
ONE = "t4-single-edge"
TRAY = "gb200-nvl72-tray"
ROOT = Path(__file__).resolve().parents[2]


class Ran:
    """What came of one run."""

    def __init__(self, done: "subprocess.CompletedProcess[str]", out: Path) -> None:
        self.code, self.text, self.errors, self.out = done.returncode, done.stdout, done.stderr, out

    @property
    def report(self) -> Any:
        return json.loads((self.out / "report.json").read_text(encoding="utf-8"))

    @property
    def differing(self) -> list[tuple[str, str, str]]:
        return [(row["tool"], row["subject"], row["fact"]) for row in self.report["rows"] if row["verdict"] == "differ"]

    def summary(self, tool: str) -> dict[str, int]:
        found: dict[str, int] = self.report["summary"][tool]
        return found


def ran(
    host: str, directory: Path, smi: Path | str, *options: str, model: Mapping[str, Any] | None = None, code: int = 0
) -> Ran:
    """``python -m gputest`` on a recorded machine."""
    root, nvml, out = directory / "root", directory / "nvml.json", directory / "out"
    if not root.exists():
        root.mkdir()
        sysfs_text.unpack((FIXTURES / "hosts" / host / "sys.txt").read_text(encoding="utf-8"), root)
    nvml.write_text(json.dumps(model or model_of(host)), encoding="utf-8")
    arguments = ("--root", str(root), "--nvml", str(build.library()), "--nvidia-smi", str(smi), "--out", str(out))
    done = subprocess.run(
        (sys.executable, "-m", "gputest", *arguments, *options),
        cwd=ROOT,
        env=os.environ | {"NVTOPO_NVML_FIXTURE": str(nvml)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return Ran(done, out)


@pytest.mark.parametrize("host", [EIGHT, ONE, TRAY])
def test_agreement(host: str, tmp_path: Path) -> None:
    found = ran(host, tmp_path, write_program(tmp_path / "nvidia-smi", texts_of(host)))
    assert found.differing == []
    assert "nothing differs" in found.text
    assert found.text.endswith(f"report and capture: {found.out}\n")
    assert "a mistake of this test" not in found.text
    for tool in ("/sys", "pynvml", "nvidia-smi topo -m", "nvidia-smi -q -x", "nvtopo dump"):
        assert found.summary(tool)["same"] > 1, tool
    for tool in ("commands of nvtopo", "nvtopo agent, feature file", "nvtopo agent, metrics page"):
        assert found.summary(tool)["same"] >= 1, tool
        assert found.summary(tool)["not-compared"] == 0, tool
    report = found.report
    assert report["scrape"]["scrapes"] == 20
    assert 0 < report["scrape"]["scrapeSecondsMedian"] <= report["scrape"]["scrapeSecondsWorst"]
    assert all(report["driverCalls"][part]["calls"] > 0 for part in ("reading", "open", "health"))
    assert report["driverCalls"]["reading"]["byFunction"]["nvmlDeviceGetUUID"] == len(model_of(host)["gpus"])
    assert [step["state"] for step in report["steps"]] == ["ok"] * len(report["steps"])
    assert report["seconds"] < 150
    assert (found.out / "report.txt").read_text(encoding="utf-8").strip() in found.text
    _is_scrubbed(host, found)


def _is_scrubbed(host: str, found: Ran) -> None:
    """No identifier of the machine is in any file; the capture is read, and gives the same machine."""
    written = {path: path.read_text(encoding="utf-8") for path in found.out.rglob("*") if path.is_file()}
    assert len(written) >= 16
    for path, text in written.items():
        for secret in _identifiers(host):
            assert secret not in text, (path.name, secret)
    capture = read_capture(found.out / "capture.json")
    before, after = assemble(snapshot_of(host)), assemble(capture)
    assert [gpu.path for gpu in before.gpus] == [gpu.path for gpu in after.gpus]
    assert [nic.ports for nic in before.nics] == [nic.ports for nic in after.nics]
    assert len({gpu.uuid for gpu in after.gpus}) == len(before.gpus)


def _identifiers(host: str) -> Iterator[str]:
    snapshot = snapshot_of(host)
    assert snapshot.host is not None
    yield from (snapshot.host.name, snapshot.host.boot_id, "/home/somebody")
    for gpu in model_of(host)["gpus"]:
        yield from (gpu["uuid"], gpu["serial"])
        platform, fabric = gpu.get("platform", {}), gpu.get("fabric", {})
        yield from filter(None, (platform.get("chassisSerial"), platform.get("ibGuid")))
        if set(fabric.get("clusterUuid", "")) > {"0", "-"}:
            yield fabric["clusterUuid"]
    for device in snapshot.rdma.devices if snapshot.rdma else ():
        yield from filter(None, (device.node_guid, *(gid.gid for port in device.ports for gid in port.gids)))


def test_a_disagreement_of_each_tool_is_found_and_all_are_in_one_report(tmp_path: Path) -> None:
    texts = texts_of(EIGHT)
    texts[TOPO] = texts[TOPO].replace("PIX", "SYS", 1)
    texts[QUERY] = texts[QUERY].replace("81559 MiB", "40960 MiB", 1)
    texts[STATES] = texts[STATES].replace("Link 3: 26.562 GB/s", "Link 3: 25.781 GB/s", 1)
    texts[ENDS] = texts[ENDS].replace("00000000:08:00.0", "00000000:0F:00.0", 1)
    found = ran(EIGHT, tmp_path, write_program(tmp_path / "nvidia-smi", texts), code=EXIT_DIFFERS)
    tools = {"nvidia-smi topo -m", "nvidia-smi -q -x", "nvidia-smi nvlink -s", "nvidia-smi nvlink -R"}
    assert {tool for tool, _, _ in found.differing} == tools
    assert ("nvidia-smi -q -x", "GPU0", "memoryBytes") in found.differing
    assert "differ:" in found.text


def test_nvidia_smi_that_hangs_fails_prints_garbage_or_lacks_an_option(tmp_path: Path) -> None:
    texts: dict[str, str | bytes] = {
        QUERY: bytes(range(256)) * 64,
        STATES: "Failed to initialize NVML: Unknown Error\n",
    }
    smi = write_program(tmp_path / "nvidia-smi", texts, last='[ "$1" = topo ] && exec sleep 600; echo bad >&2; exit 9')
    found = ran(ONE, tmp_path, smi, "--deadline", "6")
    assert found.differing == []
    reasons = {row["tool"]: row["reason"] for row in found.report["rows"] if row["tool"].startswith("nvidia-smi")}
    assert reasons["nvidia-smi topo -m"] == "no end within 6 s"
    assert reasons["nvidia-smi nvlink -R"] == "ended with 9: bad"
    assert "can't be read" in reasons["nvidia-smi -q -x"]
    assert "can't be read" in reasons["nvidia-smi nvlink -s"]
    assert found.summary("pynvml")["same"] > 5


def test_without_nvidia_smi_the_rest_is_compared(tmp_path: Path) -> None:
    found = ran(ONE, tmp_path, tmp_path / "none")
    assert "is not installed" in found.text
    assert found.summary("/sys")["same"] > 3


def test_a_driver_that_hangs_is_a_difference_and_all_else_goes_on(tmp_path: Path) -> None:
    model = model_of(ONE) | {"delays": {"nvmlDeviceGetUUID": 600_000}}
    smi = write_program(tmp_path / "nvidia-smi", texts_of(ONE))
    found = ran(ONE, tmp_path, smi, "--deadline", "3", model=model, code=EXIT_DIFFERS)
    assert ("commands of nvtopo", "nvtopo capture", "worked") in found.differing
    assert {step["name"]: step["state"] for step in found.report["steps"]}["nvidia-smi topo -m"] == "ok"
    assert not (found.out / "capture.json").exists()


def test_a_driver_of_another_version_than_its_library_is_still_tested(tmp_path: Path) -> None:
    model = model_of(ONE) | {"returns": {"nvmlInitWithFlags": 18, "nvmlInit_v2": 18}}
    found = ran(ONE, tmp_path, tmp_path / "none", model=model)
    reasons = {row["tool"]: row["reason"] for row in found.report["rows"] if row["tool"] == "pynvml"}
    assert "nvmlInit" in reasons["pynvml"]


def test_no_driver_is_one_line() -> None:
    done = subprocess.run(
        (sys.executable, "-m", "gputest", "--nvml", "libnvidia-ml-none.so.1"),
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (EXIT_NO_DRIVER, "")
    assert done.stdout == "no NVIDIA driver here: libnvidia-ml-none.so.1 is not found\n"


def test_make_uses_an_interpreter_that_has_the_packages() -> None:
    done = subprocess.run(
        ("make", "--no-print-directory", "gpu-test", f"PYTHON={sys.executable}", "NVML=libnvidia-ml-none.so.1"),
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout == "no NVIDIA driver here: libnvidia-ml-none.so.1 is not found\n"
    assert f"Error {EXIT_NO_DRIVER}" in done.stderr


def test_a_library_without_its_kernel_module_is_no_driver(tmp_path: Path) -> None:
    model = model_of(ONE) | {"returns": {"nvmlInitWithFlags": 9, "nvmlInit_v2": 9}}
    found = ran("laptop-no-gpu", tmp_path, tmp_path / "none", model=model, code=EXIT_NO_DRIVER)
    assert found.text.startswith("no NVIDIA driver here: ended with 1: nvmlInit")
    assert found.text.count("\n") == 1
    assert not found.out.exists()


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    found = ran(ONE, tmp_path, tmp_path / "none", code=EXIT_CANNOT_WRITE)
    assert "expected a directory to write to" in found.errors.splitlines()[-1]
