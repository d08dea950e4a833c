"""``nvtopo inventory``: every piece once, in formats that others read."""

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from nvtopo.cli import main
from nvtopo.reports import inventory_formats
from nvtopo.reports.inventory import Item

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ROOT / "fixtures" / "hosts"
RACK = ROOT / "fixtures" / "clusters" / "gb200-nvl72-rack"


def inventory(source: Path, form: str) -> str:
    result = CliRunner().invoke(main, ["inventory", "--from", str(source), "--format", form])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def items(source: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.json.decode(inventory(source, "json"))["items"]
    return found


def test_every_piece_of_a_node_is_there_once() -> None:
    found = items(HOSTS / "h100-sxm-8gpu-8cx7" / "capture.json")
    kinds = [item["kind"] for item in found]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "host": 1,
        "gpu": 8,
        "nvswitch": 4,
        "nic": 10,
        "nvme": 8,
    }
    gpu = found[1]
    assert (gpu["name"], gpu["model"], gpu["firmware"]) == ("GPU0", "NVIDIA H100 80GB HBM3", "96.00.99.00.01")
    assert len({(item["kind"], item["name"]) for item in found}) == len(found)


def test_a_gpu_that_does_not_answer_is_still_in_the_machine() -> None:
    found = items(HOSTS / "h100-gpu-lost" / "capture.json")
    assert [item["address"] for item in found if item["kind"] == "accelerator"] == ["0000:8e:00.0"]


def test_a_rack_s_gpus_say_where_they_sit() -> None:
    found = [item for item in items(RACK) if item["kind"] == "gpu"]
    assert len(found) == 72
    assert len({item["serial"] for item in found}) == 72
    assert all("tray" in item["place"] for item in found)


def test_csv_has_the_same_rows() -> None:
    rows = list(csv.DictReader(io.StringIO(inventory(RACK, "csv"))))
    assert rows == items(RACK)


@pytest.mark.parametrize("host", sorted(path.name for path in HOSTS.iterdir()))
def test_cyclonedx_is_valid(host: str) -> None:
    text = inventory(HOSTS / host / "capture.json", "cyclonedx")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_no_node_puts_a_formula_into_a_spreadsheet() -> None:
    evil = Item(node="=cmd()", kind="gpu", name="@x", vendor="-1", model='a"b,c\x1b', serial="+1")
    (row,) = csv.reader(io.StringIO(str(inventory_formats.render("csv", [evil])).partition("\n")[2]))
    assert row[:6] == ["'=cmd()", "gpu", "'@x", "'-1", 'a"b,c\ufffd', "'+1"]


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    shutil.copy(HOSTS / "hgx-h200-8gpu" / "capture.json", tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"capture": 1, "host": 3}')
    result = CliRunner().invoke(main, ["inventory", "--from", str(tmp_path)])
    assert result.exit_code == 0
    assert "b is left out" in result.stderr
