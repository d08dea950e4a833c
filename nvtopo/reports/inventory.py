"""What a node is made of, for an inventory: the host, its GPUs, NVSwitches, NICs and drives, one item for each."""

from collections.abc import Iterator, Mapping

from nvtopo.checks.check import Machine
from nvtopo.model.records.record import Record


class Item(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One piece of hardware. What is not known is empty."""

    node: str
    kind: str
    """``host``, ``gpu``, ``nvswitch``, ``nic``, ``nvme`` or ``accelerator``."""
    name: str
    """What the node calls it: ``GPU0``, ``mlx5_0``; of a host its own name."""
    vendor: str = ""
    model: str = ""
    """The product's name, else PCI vendor and device."""
    serial: str = ""
    """What stays with the piece: a GPU's UUID, a NIC's node GUID."""
    address: str = ""
    """PCI address."""
    firmware: str = ""
    """VBIOS, or the NIC's firmware."""
    place: str = ""
    """Where it sits: chassis, tray and module of a GPU, NUMA node of the others."""
    detail: str = ""


def of_node(machine: Machine, name: str) -> tuple[Item, ...]:
    """The items of one node, the host first."""
    parts = (_gpus, _switches, _nics, _drives, _accelerators)
    return (_host(machine, name), *(item for part in parts for item in part(machine, name)))


def _host(machine: Machine, name: str) -> Item:
    host = machine.node.host
    memory = sum(numa.memory_bytes or 0 for numa in machine.node.numa)
    facts = {
        "architecture": host.architecture,
        "kernel": host.kernel,
        "driver": host.driver_version or "",
        "memoryBytes": str(memory) if memory else "",
    }
    return Item(node=name, kind="host", name=name, vendor=host.vendor, model=host.product, detail=_said(facts))


def _gpus(machine: Machine, name: str) -> Iterator[Item]:
    for gpu in machine.node.gpus:
        place = gpu.platform
        where = {
            "chassis": place.chassis_serial if place else None,
            "slot": place.slot if place else None,
            "tray": place.tray if place else None,
            "module": gpu.module_id,
        }
        yield Item(
            node=name,
            kind="gpu",
            name=gpu.key,
            vendor="NVIDIA",
            model=gpu.name,
            serial=gpu.uuid,
            address=gpu.pci_address or "",
            firmware=gpu.vbios or "",
            place=_said(where),
            detail=_said({"memoryBytes": gpu.memory_bytes}),
        )


def _switches(machine: Machine, name: str) -> Iterator[Item]:
    for address in machine.node.nvswitches:
        yield Item(node=name, kind="nvswitch", name=address, vendor="NVIDIA", address=address)


def _nics(machine: Machine, name: str) -> Iterator[Item]:
    rdma = machine.snapshot.rdma if machine.snapshot is not None else None
    known = {device.name: device for device in rdma.devices} if rdma is not None else {}
    for nic in machine.node.nics:
        device = known.get(nic.name)
        yield Item(
            node=name,
            kind="nic",
            name=nic.name,
            vendor=(nic.model or "").partition(":")[0],
            model=nic.model or "",
            serial=device.node_guid if device else "",
            address=nic.pci_address or "",
            firmware=nic.firmware,
            place=_said({"numa": nic.numa_node}),
            detail=_said(
                {"role": machine.derived.nic_roles.get(nic.name), "rail": machine.derived.rails.get(nic.name)}
            ),
        )


def _drives(machine: Machine, name: str) -> Iterator[Item]:
    storage = machine.snapshot.storage if machine.snapshot is not None else None
    models = {device.name: device.model for device in storage.nvmes} if storage is not None else {}
    for nvme in machine.node.nvmes:
        yield Item(
            node=name,
            kind="nvme",
            name=nvme.name,
            model=models.get(nvme.name, ""),
            address=nvme.pci_address,
            place=_said({"numa": nvme.numa_node}),
        )


def _accelerators(machine: Machine, name: str) -> Iterator[Item]:
    """GPUs that do not answer are still in the machine."""
    for device in machine.node.accelerators:
        yield Item(
            node=name,
            kind="accelerator",
            name=device.pci_address,
            vendor=device.model.partition(":")[0],
            model=device.model,
            address=device.pci_address,
            place=_said({"numa": device.numa_node}),
            detail=_said({"driver": device.driver}),
        )


def _said(facts: Mapping[str, str | int | None]) -> str:
    """``tray 4, module 1``: what is known of these."""
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value not in (None, ""))
