"""Devices that the driver does not answer for, and drives: what is said of them, and where they are."""

import pytest
from msgspec.structs import replace

from nvtopo.model.conclusions import presence
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.facts import PciDevice, StorageFacts
from nvtopo.model.records.facts.pci import NvmeDevice
from nvtopo.model.records.node import Accelerator, NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from tests.model.machines import address, gpu, gpu_function, machine


def beside(card: PciDevice) -> Snapshot:
    """A GPU that answers, and a card that does not."""
    return machine(gpu(0), functions=(replace(gpu_function(0), device="0x2330"), card))


@pytest.mark.parametrize(
    ("card", "display"),
    [
        ({"class_code": "0x030000", "device": "0x1cb1"}, True),
        ({"class_code": "0x030000", "device": "0x1cb1", "driver": "nouveau"}, True),
        ({"class_code": "0x030000", "device": "0x1cb1", "driver": "nvidia"}, False),
        ({"class_code": "0x030000", "device": "0x2330"}, False),
        ({"class_code": "0x030200", "device": "0x1cb1"}, False),
    ],
    ids=["no driver", "nouveau", "nvidia", "same model", "no screen"],
)
def test_a_card_for_a_screen_is_of_another_model_and_not_the_driver_s(card: dict[str, str], display: bool) -> None:
    (found,) = assemble(beside(replace(gpu_function(1), **card))).accelerators
    assert found.display is display


def test_other_vendors_are_named() -> None:
    cards = tuple(
        Accelerator(pci_address=address(number), model=f"{vendor}:0001")
        for number, vendor in enumerate(("1002", "1002", "8086", "1da3"))
    )
    assert presence.vendors(NodeTopology(accelerators=cards)) == {"AMD": 2, "Habana": 1, "Intel": 1}


def test_a_drive_whose_function_is_not_there_has_no_path() -> None:
    drives = tuple(NvmeDevice(name=f"nvme{index}", pci_address=address(0x10 + index)) for index in range(2))
    snapshot = replace(machine(gpu(0)), storage=StorageFacts(nvmes=drives))
    found = assemble(snapshot).nvmes
    assert [(drive.name, bool(drive.path), drive.numa_node) for drive in found] == [
        ("nvme0", True, 0),
        ("nvme1", False, None),
    ]
    assert found[1].path == ""
