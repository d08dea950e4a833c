import errno
from pathlib import Path

import pytest

from nvtopo.sources.sysfs import SysfsReader, SysfsRoot


@pytest.fixture
def attribute(tmp_path: Path) -> Path:
    path = tmp_path / "sys" / "attribute"
    path.parent.mkdir()
    path.write_text("32.0 GT/s PCIe\n")
    return path


def reader(root: Path, failures: dict[str, int] | None = None) -> SysfsReader:
    return SysfsReader(SysfsRoot(str(root), failures), "test")


def test_an_attribute_is_read_without_its_newline(tmp_path: Path, attribute: Path) -> None:
    del attribute
    assert reader(tmp_path).text("/sys/attribute") == "32.0 GT/s PCIe"


@pytest.mark.parametrize("path", ["/sys/missing", "/sys/attribute/below"])
def test_what_does_not_exist_is_absent_and_no_problem(tmp_path: Path, attribute: Path, path: str) -> None:
    del attribute
    looking = reader(tmp_path)
    assert (looking.text(path), looking.names(path), looking.target(path)) == (None, [], None)
    assert looking.problems == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP, errno.ENODEV])
def test_what_a_driver_does_not_support_is_absent(tmp_path: Path, attribute: Path, number: int) -> None:
    del attribute
    looking = reader(tmp_path, {"/sys/attribute": number})
    assert looking.text("/sys/attribute") is None
    assert looking.problems == []


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_what_should_be_readable_and_is_not_is_a_problem(tmp_path: Path, attribute: Path, number: int) -> None:
    del attribute
    looking = reader(tmp_path, {"/sys/attribute": number})
    assert looking.text("/sys/attribute") is None
    assert [problem.subject for problem in looking.problems] == ["/sys/attribute"]


def test_minus_one_is_unknown(tmp_path: Path, attribute: Path) -> None:
    attribute.write_text("-1\n")
    assert reader(tmp_path).integer("/sys/attribute") is None


def test_a_word_where_a_number_belongs_is_a_problem(tmp_path: Path, attribute: Path) -> None:
    attribute.write_text("many\n")
    looking = reader(tmp_path)
    assert looking.integer("/sys/attribute") is None
    assert looking.problems[0].reason == "expected a number, got 'many'"


def test_a_virtio_device_stands_on_the_function_above_it(tmp_path: Path, attribute: Path) -> None:
    attribute.with_name("link").symlink_to("../../devices/pci0000:00/0000:00:03.0/virtio2/net/eth0")
    assert reader(tmp_path).pci_function("/sys/link") == "0000:00:03.0"
