"""GPUs as NVML reports them."""

from typing import Annotated, Literal

from msgspec import Meta, field

from nvtopo.model.formats import limits
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.facts.pci import PcieLink
from nvtopo.model.records.nvlinks import NvLink
from nvtopo.model.records.record import Bytes, Count, Index, Name, Record, ShortWord, Small, Text, Word32

MemoryRepairs = Annotated[
    tuple[Literal["page-retirement-pending", "row-remap-pending", "row-remap-failed"], ...], Meta(max_length=3)
]


class GpuFabric(Record, frozen=True, kw_only=True):
    """nvmlDeviceGetGpuFabricInfoV, Hopper and newer."""

    state: Literal["not-supported", "not-started", "in-progress", "completed"] | None = None
    """State of the registration with the fabric; absent if the driver gave an error, or a state that is not known."""
    status: Word32 | None = None
    """An NVML return code, meaningful only once the state is ``completed``."""
    cluster_uuid: ShortWord | None = field(default=None, name="clusterUUID")
    """All zeros on an HGX board, which is in no multi-node domain. Absent if the driver gave none."""
    clique_id: Word32 | None = field(default=None, name="cliqueID")
    """GPUs of one clusterUUID and one cliqueID reach each other over NVLink."""
    health_mask: Word32 | None = None
    """NVML's health mask, undecoded."""
    health_summary: Literal["healthy", "unhealthy", "limited-capacity"] | None = None
    """NVML's summary of the mask."""
    health_not_known: bool = False
    """Whether the driver gave a summary of which it is not known here what it means."""


class GpuPlatform(Record, frozen=True, kw_only=True):
    """nvmlDeviceGetPlatformInfo, Blackwell and newer: where the GPU sits in the rack."""

    chassis_serial: Name | None = None
    """Serial number of the rack's chassis."""
    slot: Small | None = None
    """Slot in the rack, switch trays counted."""
    tray: Small | None = None
    """Compute tray, switch trays not counted."""
    host: Small | None = None
    """Node within the slot."""
    module: Small | None = None
    """Number of the GPU in its host."""
    fabric_guid: ShortWord | None = None
    """The GPU's GUID in the NVLink fabric."""


class NvLinkErrors(Record, frozen=True, kw_only=True):
    """What one NVLink has counted since the driver was loaded, if it is anything."""

    link: Annotated[int, Meta(ge=0, lt=limits.MOST_LINKS)]
    counts: Annotated[dict[ShortWord, Bytes], Meta(max_length=limits.MOST_ATTRIBUTES)] = {}
    """Kind → errors, fields 161 to 163, or 206 to 212, 214, 219 and 221; those that are 0 are left out."""
    effective_bit_error_ratio: Annotated[float, Meta(ge=0, le=1)] | None = None
    """After error correction, field 220; absent if it is 0, or if the GPU has no such counter."""


class GpuUpkeep(Record, frozen=True, kw_only=True):
    """Modes and errors of a GPU that no label is made of. Absent what the GPU does not have, or refused."""

    persistence: bool | None = None
    """nvmlDeviceGetPersistenceMode: whether the driver keeps the GPU initialised while nobody uses it."""
    ecc: bool | None = None
    """nvmlDeviceGetEccMode, current."""
    ecc_pending: bool | None = None
    """The mode after the next reset."""
    mig_pending: bool | None = None
    """nvmlDeviceGetMigMode, pending: MIG mode after the next reset."""
    uncorrected_errors: Bytes | None = None
    """nvmlDeviceGetTotalEccErrors: of memory, not corrected, since the driver was loaded."""
    links: Annotated[tuple[NvLinkErrors, ...], Meta(max_length=limits.MOST_LINKS)] | None = None
    """The NVLinks that counted errors; absent if no error counter of a link answers."""
    refused: Annotated[dict[ShortWord, Text], Meta(max_length=limits.MOST_ATTRIBUTES)] = {}
    """Field of this record → the driver's error in place of an answer."""


class GpuFacts(Record, frozen=True, kw_only=True):
    """One GPU as NVML sees it."""

    index: Index
    """NVML's, not stable over reboots."""
    uuid: Name
    name: Name = ""
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
    minor: Count | None = None
    module_id: Small | None = None
    """Position on the board; differs from the index on every HGX machine seen."""
    memory_bytes: Bytes | None = None
    memory_numa_node: Index | None = None
    """The NUMA node that its own memory forms (Grace); not the node near its PCIe function."""
    vbios: Name | None = None
    compute_capability: Name | None = None
    """CUDA's, as ``9.0``."""
    mig: bool | None = None
    nvlink_count: Small | None = None
    """Field 91: how many links the driver counts."""
    nvlinks_unknown: bool = False
    """Whether nothing is known of its links: the driver gave an error for them, or answered no field and no link."""
    nvlinks: Annotated[tuple[NvLink, ...], Meta(max_length=limits.MOST_LINKS)] = ()
    recovery_action: Name | None = None
    """What NVML says it takes to recover the GPU (field 230): ``gpu-reset``, ``node-reboot``, ``drain-p2p``,
    ``drain-and-reset``, ``recover-imex-domain``, ``bus-reset`` or ``system-reboot``; absent if nothing."""
    memory_repair: MemoryRepairs = ()
    """What of its memory is not repaired yet (fields 31, 144 and 145); a pending repair takes a reset of the GPU."""
    upkeep: GpuUpkeep | None = None
    """Asked by ``doctor`` and ``capture`` only."""
    fabric: GpuFabric | None = None
    platform: GpuPlatform | None = None
    link: PcieLink | None = None
    c2c_links: Small | None = None
    c2c_bytes_per_second: Bytes | None = None
    """Per C2C link, one direction."""


class GpuPairFacts(Record, frozen=True, kw_only=True):
    """The driver's facts of two GPUs; ``a`` < ``b`` are indices."""

    a: Index
    b: Index
    level: Literal["INTERNAL", "PIX", "PXB", "PHB", "NODE", "SYS"] | None = None
    """nvmlDeviceGetTopologyCommonAncestor."""
    nvlink_p2p: ShortWord | None = None
    """nvmlDeviceGetP2PStatus for NVLink: ``OK``, or the reason against it."""


class NvmlFacts(Record, frozen=True, kw_only=True):
    """The NVIDIA driver's view."""

    driver_version: Name = ""
    nvml_version: Name = ""
    cuda_version: Name = ""
    gpus: Annotated[tuple[GpuFacts, ...], Meta(max_length=limits.MOST_GPUS)] = ()
    pairs: Annotated[tuple[GpuPairFacts, ...], Meta(max_length=limits.MOST_PAIRS)] = ()
    lost: Count = 0
    """GPUs that the driver counts and cannot open."""
