"""``nvtopo bundle``: the same bytes for the same input, no name of a machine in them, and read as a folder is."""

import io
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.cli import main
from nvtopo.errors import ParseError, UsageError
from nvtopo.reports import bundle
from nvtopo.reports.bundle import Contents
from nvtopo.reports.scrub import Scrubber
from nvtopo.sources.foreign import bundle as foreign

ROOT = Path(__file__).resolve().parents[2]
RACK = ROOT / "fixtures" / "clusters" / "gb200-nvl72-rack"
DEMO = ROOT / "fixtures" / "clusters" / "gb200-nvl72-demo"


def nvtopo(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, standalone_mode=False)


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archive:
        return {one.name: opened.read() for one in archive if (opened := archive.extractfile(one)) is not None}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bundle") / "rack.tar.gz"
    nvtopo("bundle", str(file), "--from", str(RACK))
    return file


def test_the_same_input_gives_the_same_bytes(packed: Path, tmp_path: Path) -> None:
    nvtopo("bundle", str(tmp_path / "again.tar.gz"), "--from", str(RACK))
    assert (tmp_path / "again.tar.gz").read_bytes() == packed.read_bytes()


def test_nothing_in_it_names_a_machine(packed: Path) -> None:
    text = b"".join(members(packed).values())
    for file in sorted(RACK.glob("*.json"))[:3]:
        capture = msgspec.json.decode(file.read_bytes())
        identifiers = {capture["host"]["name"], capture["host"]["bootId"]}
        for gpu in capture["nvml"]["gpus"]:
            identifiers |= {gpu["uuid"], gpu["platform"]["chassisSerial"], gpu["fabric"]["clusterUUID"]}
        for device in capture["rdma"]["devices"]:
            identifiers |= {device["nodeGuid"]} | {gid["gid"] for port in device["ports"] for gid in port["gids"]}
        assert len(identifiers) > 10
        assert [one for one in identifiers if one.encode() in text] == []


def test_the_manifest_lists_what_is_there(packed: Path) -> None:
    found = members(packed)
    manifest = msgspec.json.decode(found[bundle.MANIFEST])
    assert manifest["files"].keys() == found.keys() - {bundle.MANIFEST}
    assert {name: entry["bytes"] for name, entry in manifest["files"].items()} == {
        name: len(content) for name, content in found.items() if name != bundle.MANIFEST
    }
    assert (manifest["format"], manifest["scrubbed"], manifest["leftOff"]) == ("nvtopo-bundle", True, {})


@pytest.mark.slow
def test_it_is_read_as_the_folder_is(tmp_path: Path) -> None:
    file = tmp_path / "demo.tar.gz"
    nvtopo("bundle", str(file), "--from", str(DEMO))

    def findings(source: Path) -> tuple[int, list[Any], list[Any]]:
        result = nvtopo("doctor", "--from", str(source), "--format", "json")
        report = msgspec.json.decode(result.stdout)
        nodes = [(one["verdict"], [it["id"] for it in one["findings"]]) for one in report["nodes"].values()]
        return result.return_value, nodes, sorted(one["id"] for one in report["findings"])

    assert findings(file) == findings(DEMO)
    rows = [len(nvtopo("inventory", "--from", str(one)).stdout.splitlines()) for one in (file, DEMO)]
    assert rows[0] == rows[1] > 18
    shape = [nvtopo("graph", "--from", str(one)).stdout.count("\n") for one in (file, DEMO)]
    assert shape[0] == shape[1]
    tables = [nvtopo("dump", "--from", str(one)).stdout.count("\n") for one in (file, DEMO)]
    assert tables[0] == tables[1] > 18
    assert nvtopo("dump", "--from", str(file), "--host", "node-04").stdout.count("NV18") > 4


def test_a_node_is_chosen_by_name_and_one_that_is_not_there_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.tar.gz"
    nvtopo("bundle", str(file), "nvl72-r01-t04", "--from", str(RACK))
    assert [name for name in members(file) if name.startswith("nodes/")] == ["nodes/node-04.json"]
    refused = nvtopo("bundle", str(file), "nobody", "--from", str(RACK)).exception
    assert isinstance(refused, UsageError)


def test_unscrubbed_it_holds_the_captures_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "plain.tar.gz"
    nvtopo("bundle", str(file), "nvl72-r01-t04", "--from", str(RACK), "--unscrubbed")
    found = msgspec.json.decode(members(file)["nodes/nvl72-r01-t04.json"])
    assert found == msgspec.json.decode((RACK / "nvl72-r01-t04.json").read_bytes())


def test_this_node_is_the_default(tmp_path: Path) -> None:
    file = tmp_path / "this.tar.gz"
    (tmp_path / "root/proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "root/proc/sys/kernel/hostname").write_text("secret-name\n")
    nvtopo("bundle", str(file), "--root", str(tmp_path / "root"))
    assert list(members(file)) == [bundle.MANIFEST, "versions.json", "nodes/node-0.json"]
    assert b"secret-name" not in b"".join(members(file).values())


def test_what_does_not_fit_is_left_off_with_a_reason() -> None:
    large = {"a": ["x" * 1000] * 1100}
    made = bundle.made(Contents({}, {"big": large, "small": {"a": 1}}), "1")
    assert made.left_off.keys() == {"nodes/node-0.json"}
    assert made.files == ("nodes/node-1.json",)


def test_names_of_files_lead_nowhere_else() -> None:
    made = bundle.made(Contents({}, {"../../etc/passwd": {}, "a/b": {}}), "1", scrubbed=False)
    assert made.files == ("nodes/_.._etc_passwd.json", "nodes/a_b.json")


@pytest.mark.parametrize("content", [b"", b"{}", b"# ttar - - a"])
def test_what_is_no_bundle_is_left_to_others(content: bytes) -> None:
    assert foreign.nodes_in(content, "x") is None


def test_a_damaged_archive_is_refused() -> None:
    with pytest.raises(ParseError):
        foreign.nodes_in(b"\x1f\x8b", "x")


def test_an_archive_of_something_else_is_no_bundle() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        one = tarfile.TarInfo("nodes/a.json")
        tar.addfile(one)
    assert foreign.nodes_in(packed.getvalue(), "x") is None


SCRUBBER = Scrubber(
    [{"host": {"name": "db.prod.example.com"}, "neighbors": [{"name": "leaf-17"}], "chassisSerial": "9916086941657"}],
    ["db.prod.example.com", "db2"],
)


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("on db.prod.example.com:9100", "db."),
        ("db.prod.example.com.17ab", "prod"),
        ("seen from db2: down", "db2"),
        ("leaf-17 says no", "leaf-17"),
        ("rack-9916086941657-00002", "9916086941657"),
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl", "eyJ"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "MIIE"),
        ("https://user:hunter2@proxy:3128", "hunter2"),
        ("route to 10.20.30.40 lost", "10.20"),
        ("peer fd00:1:2::17 lost", "fd00"),
        ("mac 0c:42:a1:de:ad:01", "a1:de"),
    ],
)
def test_a_text_keeps_none_of_it(text: str, gone: str) -> None:
    assert gone not in SCRUBBER.text(text)


@pytest.mark.parametrize("text", ["0000:1b:00.0", "580.105.08", "GPU0 has 17 of 18 NVLinks", "28.39.1002", "00:1b.0"])
def test_what_names_no_machine_stays(text: str) -> None:
    assert SCRUBBER.text(text) == text


def test_a_name_that_is_also_a_key_of_a_record_spoils_no_record() -> None:
    found = Scrubber([], ["host", "up", "a"]).built({"host": {"name": "host"}, "nodes": {"host": "is up", "a": "a"}})
    assert found == {"host": {"name": "node-1"}, "nodes": {"node-1": "is up", "node-0": "node-0"}}


def test_fields_of_secrets_and_serials_are_taken_out_and_keys_renamed() -> None:
    document = {"nodes": {"db2": {"apiToken": "x1", "boardSerial": "S1", "uid": "u", "note": "fine"}}}
    assert SCRUBBER.built(document) == {
        "nodes": {"node-1": {"apiToken": "scrubbed", "boardSerial": "scrubbed", "note": "fine"}}
    }


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_document_can_be_scrubbed(document: Any) -> None:
    once = SCRUBBER.built(document)
    assert "db.prod.example.com" not in str(once)
