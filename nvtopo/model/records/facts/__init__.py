"""Facts as the sources read them, a module for each kind of source. Nothing here is a conclusion."""

from nvtopo.model.records.facts.host import HostFacts, KubeletFacts, NumaFacts, NumaNode
from nvtopo.model.records.facts.iopath import IoPathFacts, NetworkMount, NicInterrupts
from nvtopo.model.records.facts.kubelet import DeviceHint, DeviceHints, MemoryFacts, NumaMemory, PodMemory
from nvtopo.model.records.facts.network import (
    GidEntry,
    LldpFacts,
    Neighbor,
    NetDevice,
    NetFacts,
    NetQos,
    QosFacts,
    RdmaDevice,
    RdmaFacts,
    RdmaPort,
)
from nvtopo.model.records.facts.nvml import (
    GpuFabric,
    GpuFacts,
    GpuPairFacts,
    GpuPlatform,
    GpuUpkeep,
    MemoryRepairs,
    NvLinkErrors,
    NvmlFacts,
)
from nvtopo.model.records.facts.pci import NvmeDevice, PciDevice, PcieLink, PciFacts, StorageFacts
from nvtopo.model.records.facts.runtime import CdiSpec, ImexFacts, RuntimeFacts

__all__ = [
    "CdiSpec",
    "DeviceHint",
    "DeviceHints",
    "GidEntry",
    "GpuFabric",
    "GpuFacts",
    "GpuPairFacts",
    "GpuPlatform",
    "GpuUpkeep",
    "HostFacts",
    "ImexFacts",
    "IoPathFacts",
    "KubeletFacts",
    "LldpFacts",
    "MemoryFacts",
    "MemoryRepairs",
    "Neighbor",
    "NetDevice",
    "NetFacts",
    "NetQos",
    "NetworkMount",
    "NicInterrupts",
    "NumaFacts",
    "NumaMemory",
    "NumaNode",
    "NvLinkErrors",
    "NvmeDevice",
    "NvmlFacts",
    "PciDevice",
    "PciFacts",
    "PcieLink",
    "PodMemory",
    "QosFacts",
    "RdmaDevice",
    "RdmaFacts",
    "RdmaPort",
    "RuntimeFacts",
    "StorageFacts",
]
