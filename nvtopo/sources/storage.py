"""NVMe controllers on PCI: ``/sys/class/nvme``."""

from nvtopo.model.facts import NvmeDevice, StorageFacts
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "storage"

_CLASS = "/sys/class/nvme"


def read(machine: Machine) -> Reading:
    """Every controller that stands on a PCI function; NVMe over fabrics has no place in this machine."""
    reader = SysfsReader(machine.root, NAME)
    nvmes = []
    for name in reader.names(_CLASS):
        address = reader.pci_function(f"{_CLASS}/{name}") or reader.pci_function(f"{_CLASS}/{name}/device")
        if address is not None:
            model = reader.text(f"{_CLASS}/{name}/model") or ""
            nvmes.append(NvmeDevice(name=name, pci_address=address, model=model))
    return Reading(StorageFacts(nvmes=tuple(nvmes)) if nvmes else None, tuple(reader.problems))
