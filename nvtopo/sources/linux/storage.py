"""NVMe controllers on PCI: ``/sys/class/nvme``."""

from functools import partial

from nvtopo.model.records.facts import NvmeDevice, StorageFacts
from nvtopo.sources.guarded import each
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "storage"

_CLASS = "/sys/class/nvme"


def read(machine: Machine) -> Reading:
    """Every controller that is a PCI function; NVMe over fabrics is not part of this machine."""
    reader = SysfsReader(machine.root, NAME)
    functions = {name: partial(_controller, reader, name) for name in reader.names(_CLASS)}
    found = each(machine.deadlines, NAME, reader, functions).values()
    nvmes = tuple(nvme for nvme in found if nvme is not None)
    return Reading(StorageFacts(nvmes=nvmes) if nvmes else None, tuple(reader.problems))


def _controller(reader: SysfsReader, name: str) -> NvmeDevice | None:
    address = reader.pci_function(f"{_CLASS}/{name}") or reader.pci_function(f"{_CLASS}/{name}/device")
    if address is None:
        return None
    return NvmeDevice(name=name, pci_address=address, model=reader.text(f"{_CLASS}/{name}/model") or "")
