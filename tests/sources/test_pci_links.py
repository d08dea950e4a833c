"""A PCI function's link as the kernel writes it: what the function does not know is no width."""

from pathlib import Path

import pytest

from nvtopo.model.records.facts import PcieLink, PciFacts
from nvtopo.sources.linux import pci
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsRoot

DEVICE = "pci0000:00/0000:01:00.0"


def link(root: Path, **files: str) -> PcieLink | None:
    """The link of one function with these files."""
    device = root / "sys/devices" / DEVICE
    device.mkdir(parents=True)
    for name, text in ({"class": "0x030200", "vendor": "0x10de"} | files).items():
        (device / name).write_text(f"{text}\n")
    devices = root / "sys/bus/pci/devices"
    devices.mkdir(parents=True)
    (devices / device.name).symlink_to(device)
    facts = pci.read(Machine(root=SysfsRoot(str(root)), nvml=NoNvml())).facts
    assert isinstance(facts, PciFacts)
    (found,) = facts.devices
    return found.link


@pytest.mark.parametrize(("width", "lanes"), [("16", 16), ("1", 1), ("32", 32), ("0", None), ("255", None)])
def test_0_and_255_lanes_are_no_width(tmp_path: Path, width: str, lanes: int | None) -> None:
    speeds = {"current_link_speed": "16.0 GT/s PCIe", "max_link_speed": "32.0 GT/s PCIe"}
    found = link(tmp_path, current_link_width=width, max_link_width=width, **speeds)
    assert found == PcieLink(generation=4, width=lanes, max_generation=5, max_width=lanes)


def test_a_function_without_a_speed_has_no_link(tmp_path: Path) -> None:
    assert link(tmp_path, current_link_width="16", max_link_width="16") is None
