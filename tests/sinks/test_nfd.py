import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nvtopo.errors import ReadError
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.publish import nfd
from nvtopo.sinks.publish.files import replace_file, write_output
from tests.model.machines import gpu, machine
from tests.observations import observed

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIFETIME = timedelta(minutes=15)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink(tmp_path: Path, clock: Clock) -> nfd.FeatureFile:
    return nfd.FeatureFile(tmp_path, LIFETIME, clock)


@pytest.fixture
def node() -> NodeTopology:
    return assemble(machine(gpu(0)))


def expiry(directory: Path) -> str:
    lines = (directory / "nvtopo").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("# +expiry-time="))


def test_the_file_expires_when_the_agent_dies(tmp_path: Path, sink: nfd.FeatureFile, node: NodeTopology) -> None:
    sink.write(observed(node))
    assert expiry(tmp_path) == "2026-11-22T12:15:00Z"


def test_the_expiry_is_renewed_at_half_time_and_not_before(
    tmp_path: Path, sink: nfd.FeatureFile, node: NodeTopology, clock: Clock
) -> None:
    sink.write(observed(node))
    clock.now += timedelta(minutes=7)
    sink.write(observed(node))
    assert expiry(tmp_path) == "2026-11-22T12:15:00Z"
    clock.now += timedelta(minutes=1)
    sink.write(observed(node))
    assert expiry(tmp_path) == "2026-11-22T12:23:00Z"


def test_the_expiry_follows_the_reading_and_not_the_write(
    tmp_path: Path, sink: nfd.FeatureFile, node: NodeTopology, clock: Clock
) -> None:
    reading = observed(node)._replace(at_seconds=NOON.timestamp())
    clock.now += timedelta(minutes=6)
    sink.write(reading)
    assert expiry(tmp_path) == "2026-11-22T12:15:00Z", "six minutes old when it was written"


def test_a_change_is_written_at_once(tmp_path: Path, sink: nfd.FeatureFile, node: NodeTopology) -> None:
    sink.write(observed(node))
    sink.write(observed(assemble(machine(gpu(0), gpu(1)))))
    assert "nvtopo.io/gpu.count=2" in (tmp_path / "nvtopo").read_text()


def test_a_file_that_somebody_removed_comes_back(tmp_path: Path, sink: nfd.FeatureFile, node: NodeTopology) -> None:
    sink.write(observed(node))
    (tmp_path / "nvtopo").unlink()
    sink.write(observed(node))
    assert (tmp_path / "nvtopo").exists()


def test_a_clock_that_went_back_does_not_leave_the_file_to_expire(
    tmp_path: Path, sink: nfd.FeatureFile, node: NodeTopology, clock: Clock
) -> None:
    sink.write(observed(node))
    clock.now -= timedelta(hours=3)
    sink.write(observed(node))
    assert expiry(tmp_path) == "2026-11-22T09:15:00Z"


def test_an_output_goes_through_links_and_into_pipes_and_replaces_neither(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_output(tmp_path / "link", b"text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"text"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_output(tmp_path / "pipe", b"text")
    assert os.read(reader, 16) == b"text"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(ReadError, match=r"^/dev/full: No space left on device$"):
        write_output(Path("/dev/full"), b"text")
    assert Path("/dev/full").is_char_device()


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "nvtopo"
    replace_file(target, b"old")
    target.unlink()
    target.mkdir()
    with pytest.raises(ReadError, match="Is a directory"):
        replace_file(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["nvtopo"]
    with pytest.raises(ReadError, match="No such file or directory"):
        replace_file(tmp_path / "missing" / "nvtopo", b"new")
