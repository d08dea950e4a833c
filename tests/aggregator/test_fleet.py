from pathlib import Path

import msgspec
import pytest

from nvtopo.aggregator import fleet
from nvtopo.errors import ParseError, ReadError
from nvtopo.model.facts import GpuFacts, HostFacts, NvmlFacts
from nvtopo.model.snapshot import VERSION, Snapshot


def capture(directory: Path, file: str, name: str, gpus: int = 4) -> None:
    snapshot = Snapshot(
        capture=VERSION,
        host=HostFacts(name=name) if name else None,
        nvml=NvmlFacts(gpus=tuple(GpuFacts(index=index, uuid=f"GPU-{name}-{index}") for index in range(gpus))),
    )
    (directory / file).write_bytes(msgspec.json.encode(snapshot))


def test_every_capture_is_a_node(tmp_path: Path) -> None:
    capture(tmp_path, "1.json", "a")
    capture(tmp_path, "2.json", "b", gpus=8)
    (tmp_path / "README.md").write_text("not a capture")
    assert {name: len(node.gpus) for name, node in fleet.read(tmp_path).nodes.items()} == {"a": 4, "b": 8}


def test_two_captures_of_one_node_are_an_error_that_names_both(tmp_path: Path) -> None:
    capture(tmp_path, "1.json", "a")
    capture(tmp_path, "2.json", "a")
    with pytest.raises(ParseError, match=r"2\.json: node 'a' is in .*1\.json already"):
        fleet.read(tmp_path)


def test_a_capture_without_a_name_is_an_error(tmp_path: Path) -> None:
    capture(tmp_path, "1.json", "")
    with pytest.raises(ParseError, match=r"1\.json: expected the host's name"):
        fleet.read(tmp_path)


def test_a_malformed_capture_names_file_and_position(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text('{"capture": 1, "host": {"name": 5}}')
    with pytest.raises(ParseError, match=r"1\.json: .*\$\.host\.name"):
        fleet.read(tmp_path)


def test_an_empty_directory_holds_no_captures(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="found none"):
        fleet.read(tmp_path)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="nowhere: No such file or directory"):
        fleet.read(tmp_path / "nowhere")
