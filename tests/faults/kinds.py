"""Kinds of faults of a node: a recorded machine, what is changed of its driver and files, and what has to follow.

What is not named follows from none of them: a label that is not listed is not looked at, and an alert that is not
listed must not fire.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from nvtopo.model.conclusions.training import BOOT_GRACE_SECONDS
from tests.faults.fronts import FRONTS

Driver = Callable[[Any], object]
Files = Callable[[str], str]

H100: Final = "h100-sxm-8gpu-8cx7"
GB200: Final = "gb200-nvl72-tray"
CARDS: Final = "h100-nvl-pairs"
_LINK_FIELDS: Final = ("field:91", "field:146", "field:164", "field:165", "field:166")
_UNKNOWN_ERROR: Final = 999
_NOT_SUPPORTED: Final = 3
_GPU_IS_LOST: Final = 15
_DISABLED_BY_REGKEY: Final = 4
_LIMITED_CAPACITY: Final = 3
_IN_PROGRESS: Final = 2
_NO_LINK_TOLD: Final = {"nvmlDeviceGetFieldValues": _NOT_SUPPORTED, "nvmlDeviceGetNvLinkState": _NOT_SUPPORTED}
#: Beyond those of the driver's header today.
_NEW_STATE: Final = 7
#: Where GPU 0 of the H100 board is.
_GPU0: Final = "0000:53:00.0"
_NIC0: Final = "0000:54:00.0"


def as_recorded(_: Any) -> None:
    """The driver says what it said."""


def unchanged(text: str) -> str:
    """The files are as recorded, but for a notebook's memory far from its GPU."""
    return re.sub(r"anon N0=25769803776 ", "anon N0=0 ", text)


class Kind(NamedTuple):
    """One kind of fault."""

    host: str
    driver: Driver = as_recorded
    files: Files = unchanged
    expect: str = ""
    """What the operator's file expects of the shape, in YAML's short form."""
    seen_well: bool = False
    """Whether the agent has read the machine before, without the fault."""
    lasting_seconds: float = 0.0
    """For how long the agent has seen the fault."""
    ready: str | None = "true"
    """The label; None where there must be none."""
    labels: Mapping[str, str | None] = {}
    condition: tuple[str, str] = ("True", "AllWell")
    reasons: Mapping[str, int] = {}
    """What ``nvtopo_node_health_reasons`` says, all of it."""
    alerts: frozenset[str] = frozenset()
    """That fire within an hour; no other does."""


def every_gpu(**changes: Any) -> Driver:
    """The same change of each GPU."""
    return lambda model: [gpu.update(changes) for gpu in model["gpus"]]


def some_gpus(*indices: int, **changes: Any) -> Driver:
    """The same change of some GPUs."""
    return lambda model: [model["gpus"][index].update(changes) for index in indices]


def of_fabric(*indices: int, **changes: Any) -> Driver:
    """A change of what the fabric says of some GPUs."""
    return lambda model: [model["gpus"][index]["fabric"].update(changes) for index in indices]


def links_down(model: Any) -> None:
    """Every link of every GPU is inactive."""
    for gpu in model["gpus"]:
        for link in gpu["links"]:
            link.update(state=0)


def links_untold(model: Any) -> None:
    """The driver answers no batch of fields, and says of each link that there is no such thing."""
    for gpu in model["gpus"]:
        gpu.update(returns=_NO_LINK_TOLD)


def links_down_and_untold(model: Any) -> None:
    """No link is up, and the driver does not tell so."""
    links_down(model)
    links_untold(model)


def off_the_bus(model: Any) -> None:
    """The driver does not count its first GPU."""
    model["gpus"][0].update(lost=True, enumerated=False)


def without_gpu0(text: str) -> str:
    """The first GPU is no PCI function any more."""
    return _without(unchanged(text), _GPU0)


def without_nic0(text: str) -> str:
    """Rail 0's NIC has left the bus."""
    return _without(_moved_away(unchanged(text)), _NIC0)


def _without(text: str, address: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if address not in line.partition(" ")[0])


def _moved_away(text: str) -> str:
    kept = (
        line for line in text.splitlines(keepends=True) if not re.match(r"/sys/class/\w+/(mlx5_0|enp84s0np0) ", line)
    )
    return "".join(kept)


def in_a_pod(text: str) -> str:
    """Rail 0's netdev and RDMA device are in a pod's network namespace; its function and their folder's names stay."""
    lines = _moved_away(unchanged(text)).splitlines(keepends=True)
    kept = [line for line in lines if not re.search(rf"{_NIC0}/(net|infiniband)/", line.partition(" ")[0])]
    folder = next(line.partition(f"{_NIC0}/")[0] for line in kept if f"/{_NIC0}/" in line.partition(" ")[0])
    return "".join((*kept, f"{folder}{_NIC0}/net/\n"))


def in_pods(*devices: str) -> Files:
    """The devices of these NICs are in pods' network namespaces; their functions and the folders' names stay."""
    return lambda text: _parted(text, devices, "/net/")


def without_devices(*devices: str) -> Files:
    """No driver is bound to these NICs: their functions are what is left."""
    return lambda text: _parted(text, devices, "")


def _parted(text: str, devices: tuple[str, ...], left: str) -> str:
    """What is ``left`` below a function whose network and RDMA devices are gone, and its driver if that is nothing."""
    lines = unchanged(text).splitlines(keepends=True)
    for device in devices:
        folder = next(
            re.sub(r"^(?:\.\./)+", "/sys/", line.rstrip().partition(" -> ")[2]).partition("/infiniband/")[0]
            for line in lines
            if line.startswith(f"/sys/class/infiniband/{device} ")
        )
        address = folder.rpartition("/")[2]
        parts = f"net|infiniband|infiniband_verbs{'' if left else '|driver'}"
        below = re.compile(rf"/sys/\S*/{address}/(?:{parts})(?=[/ ])|/sys/class/\S+ -> \S*/{address}/")
        lines = [line for line in lines if not below.match(line)]
        if left:
            lines.append(f"{folder}{left}\n")
    return "".join(lines)


def without_port_states(text: str) -> str:
    """The kernel has no name for the state of any port."""
    return re.sub(r"(/ports/\d+/state) = .*", r"\1 = 9: UNKNOWN", unchanged(text))


def port_down(*devices: str) -> Files:
    """The only port of these RDMA devices is down, and shows the rate that it has then."""

    def changed(text: str) -> str:
        for device in devices:
            port = rf"(infiniband/{device}/ports/1)"
            text = re.sub(rf"{port}/state = .*", r"\1/state = 1: DOWN", text)
            text = re.sub(rf"{port}/rate = .*", r"\1/rate = 10 Gb/sec (1X SDR)", text)
        return unchanged(text)

    return changed


def no_gid(text: str) -> str:
    """Rail 0 has no GID that can be routed."""
    return re.sub(r"(infiniband/mlx5_0/ports/1/gids/\d+) = .*", rf"\1 = {'0000:' * 7}0000", unchanged(text))


def through(front: Files) -> Files:
    """The default route goes by the first rail's NIC."""
    return lambda text: front(unchanged(text))


KINDS: Final[Mapping[str, Kind]] = {
    **{
        f"front-by-{way}": Kind(H100, files=through(front), labels={"rdma.rails": "7", "nic.count": "10"})
        for way, front in FRONTS.items()
    },
    "name-that-is-not-utf-8": Kind(
        H100, some_gpus(0, name="NVIDIA \udcff H100"), labels={"gpu.count": "8", "nvlink.groups": "1"}
    ),
    "numbers-above-2-31": Kind(
        GB200,
        of_fabric(*range(4), cliqueId=0xFFFF_FFFF),
        labels={"gpu.count": "4", "nvlink.degraded": "false"},
    ),
    "fabric-still-registering": Kind(
        H100,
        of_fabric(*range(8), state=_IN_PROGRESS),
        ready="false",
        labels={"nvlink.degraded": None, "nvlink.fabric": "Registering"},
        condition=("False", "Problems"),
        reasons={"fabric-registering": 8},
        alerts=frozenset({"NvtopoFabricRegistering"}),
    ),
    "fabric-that-stays-in-progress": Kind(
        H100,
        of_fabric(*range(8), state=_IN_PROGRESS),
        lasting_seconds=BOOT_GRACE_SECONDS,
        ready="false",
        labels={"nvlink.degraded": "true", "nvlink.fabric": "Registering"},
        condition=("False", "Problems"),
        reasons={"fabric-in-progress": 8},
        alerts=frozenset({"NvtopoFabricInProgress"}),
    ),
    "fabric-not-supported": Kind(
        "gb200-fabric-not-supported",
        ready="false",
        labels={"nvlink.degraded": "true"},
        condition=("False", "Problems"),
        reasons={"fabric-not-supported": 4},
        alerts=frozenset({"NvtopoFabricUnhealthy", "NvtopoPeerAccessLost"}),
    ),
    "p2p-refused-for-one-pair": Kind(
        H100,
        some_gpus(0, 1, nvlinkP2p=_DISABLED_BY_REGKEY),
        ready="false",
        labels={"nvlink.degraded": "true"},
        condition=("False", "Problems"),
        reasons={"nvlink-p2p-refused": 2},
        alerts=frozenset({"NvtopoPeerAccessLost"}),
    ),
    "p2p-refused-for-all": Kind(
        GB200,
        every_gpu(nvlinkP2p=_DISABLED_BY_REGKEY),
        ready="false",
        labels={"nvlink.degraded": "true"},
        condition=("False", "Problems"),
        reasons={"nvlink-p2p-refused": 4},
        alerts=frozenset({"NvtopoPeerAccessLost"}),
    ),
    "lost-while-pairs-are-asked": Kind(
        H100,
        some_gpus(0, returns={"nvmlDeviceGetP2PStatus": _GPU_IS_LOST}),
        ready="false",
        labels={"nvlink.groups": None, "nvlink.degraded": None, "gpu.count": "8"},
        condition=("False", "Problems"),
        reasons={"nvlink-p2p-unknown": 8, "pair-problem": 14},
        alerts=frozenset({"NvtopoProblems"}),
    ),
    "links-that-answer-unknown": Kind(
        H100,
        every_gpu(returns={**dict.fromkeys(_LINK_FIELDS, _NOT_SUPPORTED), "nvmlDeviceGetNvLinkState": _UNKNOWN_ERROR}),
        ready="false",
        labels={"nvlink.groups": None, "nvlink.degraded": None},
        condition=("False", "Problems"),
        reasons={"gpu-problem": 8, "nvlinks-hidden": 8},
        alerts=frozenset({"NvtopoProblems"}),
    ),
    "bridges-down-that-were-up": Kind(
        CARDS,
        links_down,
        seen_well=True,
        ready="false",
        labels={"nvlink.degraded": "true"},
        condition=("False", "Problems"),
        reasons={"nvlinks-down": 8},
        alerts=frozenset({"NvtopoBridgesDown"}),
    ),
    "bridges-down-that-nobody-saw": Kind(
        CARDS, links_down, labels={"nvlink.degraded": None}, reasons={"nvlinks-unbridged": 8}
    ),
    "bridges-down-that-are-expected": Kind(
        CARDS,
        links_down,
        expect="{nvlinksPerGpu: 12}",
        ready="false",
        labels={"nvlink.degraded": "true"},
        condition=("False", "Problems"),
        reasons={"nvlinks-down": 8},
        alerts=frozenset({"NvtopoNvlinkDown"}),
    ),
    "bridges-that-the-driver-does-not-tell": Kind(
        CARDS,
        links_untold,
        ready=None,
        labels={"nvlink.groups": None, "nvlink.degraded": None},
        condition=("Unknown", "NotKnown"),
        reasons={"nvlinks-hidden": 8},
    ),
    "bridges-of-one-that-the-driver-does-not-tell": Kind(
        CARDS,
        some_gpus(0, returns=_NO_LINK_TOLD),
        ready=None,
        labels={"nvlink.groups": None, "nvlink.degraded": None},
        condition=("Unknown", "NotKnown"),
        reasons={"nvlinks-hidden": 1},
    ),
    "bridges-seen-and-then-neither-told-nor-allowed": Kind(
        CARDS,
        links_down_and_untold,
        seen_well=True,
        ready=None,
        labels={"nvlink.groups": "0", "nvlink.degraded": None},
        condition=("Unknown", "NotKnown"),
        reasons={"nvlinks-hidden": 8},
    ),
    "cards-without-bridges-of-which-no-link-is-told": Kind(
        "h100-pcie-no-bridges",
        links_untold,
        labels={"nvlink.groups": "0", "nvlink.degraded": None},
        reasons={"nvlinks-unbridged": 4},
    ),
    "cards-without-nvlink-of-which-no-field-is-told": Kind(
        "l40s-8gpu-pcie",
        links_untold,
        labels={"nvlink.groups": "0", "nvlink.degraded": None},
        reasons={"nvlinks-unbridged": 8},
    ),
    "one-link-unknown": Kind(
        H100,
        lambda model: model["gpus"][0]["links"][0].update(
            returns=dict.fromkeys((*_LINK_FIELDS, "nvmlDeviceGetNvLinkState"), _NOT_SUPPORTED)
        ),
        ready=None,
        labels={"nvlink.degraded": None, "nvlink.groups": "1"},
        condition=("Unknown", "NotKnown"),
        reasons={"nvlinks-unknown": 1},
    ),
    "address-not-answered": Kind(
        CARDS,
        every_gpu(returns={"nvmlDeviceGetPciInfo_v3": _UNKNOWN_ERROR}),
        ready="false",
        labels={"nvlink.groups": None, "nvlink.degraded": None, "nic.gpu-locality": None, "numa.gpu-aligned": None},
        condition=("False", "Problems"),
        reasons={"driver-problem": 8, "gpu-problem": 8, "nvlink-ends-unknown": 8},
        alerts=frozenset({"NvtopoProblems"}),
    ),
    "address-of-one-not-answered": Kind(
        CARDS,
        some_gpus(0, returns={"nvmlDeviceGetPciInfo_v3": _UNKNOWN_ERROR}),
        ready="false",
        labels={"nvlink.groups": None, "nvlink.degraded": None},
        condition=("False", "Problems"),
        reasons={"driver-problem": 1, "gpu-problem": 1, "nvlink-ends-unknown": 1},
        alerts=frozenset({"NvtopoProblems"}),
    ),
    "pcie-generation-of-one-not-answered": Kind(
        H100,
        some_gpus(0, returns={"nvmlDeviceGetMaxPcieLinkGeneration": _UNKNOWN_ERROR}),
        ready="false",
        labels={"pcie.generation": None},
        condition=("False", "Problems"),
        reasons={"gpu-problem": 1},
        alerts=frozenset({"NvtopoProblems"}),
    ),
    "links-of-one-not-answered": Kind(
        H100,
        some_gpus(
            0,
            returns={**dict.fromkeys(_LINK_FIELDS, _NOT_SUPPORTED), "nvmlDeviceGetNvLinkState": _UNKNOWN_ERROR},
        ),
        ready="false",
        labels={"nvlink.groups": None, "nvlink.links-per-gpu": None, "nvlink.version": None},
        condition=("False", "Problems"),
        reasons={"gpu-problem": 1, "nvlinks-hidden": 1},
        alerts=frozenset({"NvtopoProblems"}),
    ),
    "one-link-down": Kind(
        "h100-one-link-down",
        ready="false",
        labels={"nvlink.degraded": "true"},
        condition=("False", "Problems"),
        reasons={"nvlinks-missing": 1},
        alerts=frozenset({"NvtopoNvlinkDown"}),
    ),
    "fabric-not-answered": Kind(
        H100,
        every_gpu(returns={"nvmlDeviceGetGpuFabricInfoV": _UNKNOWN_ERROR}),
        ready="false",
        labels={"nvlink.degraded": None, "nvlink.fabric": None, "nvlink.groups": "1"},
        condition=("False", "Problems"),
        reasons={"fabric-unknown": 8, "gpu-problem": 8},
        alerts=frozenset({"NvtopoProblems"}),
    ),
    "fabric-not-answered-for-one": Kind(
        GB200,
        some_gpus(0, returns={"nvmlDeviceGetGpuFabricInfoV": _UNKNOWN_ERROR}),
        ready="false",
        labels={"nvlink.degraded": None, "nvlink.fabric": None, "nvlink.domain": None},
        condition=("False", "Problems"),
        reasons={"fabric-unknown": 1, "gpu-problem": 1},
        alerts=frozenset({"NvtopoProblems"}),
    ),
    "fabric-in-a-state-that-is-new": Kind(
        GB200,
        of_fabric(*range(4), state=_NEW_STATE),
        ready="false",
        labels={"nvlink.degraded": "true", "nvlink.fabric": None, "nvlink.domain": None},
        condition=("False", "Problems"),
        reasons={"fabric-unknown": 4, "nvlink-p2p-refused": 4},
        alerts=frozenset({"NvtopoPeerAccessLost"}),
    ),
    "fabric-health-that-is-new": Kind(
        "gb200-fabric-new-health",
        ready=None,
        labels={"nvlink.degraded": None, "nvlink.fabric": "Attached"},
        condition=("Unknown", "NotKnown"),
        reasons={"fabric-unknown": 4},
    ),
    "limited-capacity": Kind(
        GB200,
        of_fabric(0, 1, 2, 3, healthSummary=_LIMITED_CAPACITY),
        ready="false",
        condition=("False", "Problems"),
        reasons={"fabric-limited-capacity": 4},
        alerts=frozenset({"NvtopoFabricUnhealthy"}),
    ),
    "mixed-clique": Kind(
        GB200,
        of_fabric(0, cliqueId=7),
        ready="false",
        labels={"nvlink.domain": None},
        condition=("False", "Problems"),
        reasons={"domains-differ": 1, "nvlink-p2p-refused": 4},
        alerts=frozenset({"NvtopoPeerAccessLost"}),
    ),
    "one-rail-down": Kind(
        H100,
        files=port_down("mlx5_2"),
        labels={"rdma.rails": "8", "rdma.rate-gbps": None},
        reasons={"ports-down": 1},
        alerts=frozenset({"NvtopoRdmaPortDown"}),
    ),
    "all-rails-down": Kind(
        "gb200-rails-down",
        ready="false",
        labels={"rdma.rails": "4", "rdma.gid-index": None},
        condition=("False", "Problems"),
        reasons={"ports-down": 4, "rails-down": 1},
        alerts=frozenset({"NvtopoRdmaPortDown"}),
    ),
    "four-rails-dead": Kind(
        "h100-nics-dead",
        labels={"rdma.rails": "8", "nic.count": "8", "nic.gpu-locality": "PIX", "rdma.link-layer": None},
        reasons={"ports-down": 1, "rail-without-ports": 3},
        alerts=frozenset({"NvtopoRailsMissing", "NvtopoRdmaPortDown"}),
    ),
    "every-rail-without-a-driver": Kind(
        GB200,
        files=without_devices("mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3"),
        ready="false",
        labels={"rdma.rails": "4", "nic.count": "5", "numa.gpu-aligned": "true", "rdma.gid-index": None},
        condition=("False", "Problems"),
        reasons={"rail-without-ports": 4, "rails-down": 1},
        alerts=frozenset({"NvtopoRailsMissing"}),
    ),
    "port-states-not-readable": Kind(
        H100,
        files=without_port_states,
        ready=None,
        labels={"rdma.rails": "8"},
        condition=("Unknown", "NotKnown"),
        reasons={"rails-unknown": 1},
    ),
    "nics-of-a-socket-in-pods": Kind(
        H100,
        files=in_pods("mlx5_4", "mlx5_5", "mlx5_6", "mlx5_7"),
        labels={"nic.count": "10", "rdma.rails": "8", "numa.gpu-aligned": "true", "nic.gpu-locality": "PIX"},
    ),
    "nic-in-a-pod": Kind(
        H100,
        files=in_a_pod,
        labels={"nic.count": "10", "rdma.rails": "8", "nic.gpu-locality": "PIX", "rdma.gid-index": None},
    ),
    "one-rail-without-a-gid": Kind(
        H100, files=no_gid, labels={"rdma.gid-index": None}, alerts=frozenset({"NvtopoGidMissing"})
    ),
    "gpus-given-to-guests": Kind("h100-vfio", labels={"gpu.count": "6"}, reasons={"gpus-withheld": 1}),
    "display-card": Kind("station-a100-display", labels={"gpu.count": "5"}),
    "gpus-of-another-vendor": Kind(
        "mi300x-8gpu",
        ready=None,
        labels={"gpu.count": None},
        condition=("Unknown", "NotKnown"),
        reasons={"accelerators-not-read": 1, "no-gpu-read": 1},
    ),
    "gpu-gone-that-was-there": Kind(
        H100,
        off_the_bus,
        without_gpu0,
        seen_well=True,
        ready="false",
        labels={"gpu.count": "7", "rdma.rails": "8"},
        condition=("False", "Problems"),
        reasons={"gpus-missing": 1, "modules-missing": 1},
        alerts=frozenset({"NvtopoGpusMissing"}),
    ),
    "gpu-missing-from-the-start": Kind(
        H100,
        off_the_bus,
        without_gpu0,
        expect="{gpus: 8}",
        ready="false",
        labels={"gpu.count": "7"},
        condition=("False", "Problems"),
        reasons={"gpus-missing": 1, "modules-missing": 1},
        alerts=frozenset({"NvtopoGpusMissing"}),
    ),
    "hole-in-the-modules": Kind(
        "h100-gpu-off-the-bus",
        ready="false",
        labels={"gpu.count": "7"},
        condition=("False", "Problems"),
        reasons={"modules-missing": 1},
        alerts=frozenset({"NvtopoGpusMissing"}),
    ),
    "module-number-that-no-board-has": Kind(H100, some_gpus(0, moduleId=255)),
    "mig-mode-that-is-new": Kind(
        H100,
        every_gpu(mig={"current": 2, "pending": 2, "max": 7}),
        ready="false",
        labels={"mig": None},
        condition=("False", "Problems"),
        reasons={"nvlink-p2p-refused": 8},
        alerts=frozenset({"NvtopoPeerAccessLost"}),
    ),
    "gpu-lost": Kind(
        "h100-gpu-lost",
        ready="false",
        condition=("False", "Problems"),
        reasons={"driver-problem": 2},
        alerts=frozenset({"NvtopoGpuLost", "NvtopoProblems"}),
    ),
    "count-not-answered": Kind(
        H100,
        lambda model: model.update(returns={"nvmlDeviceGetCount_v2": _UNKNOWN_ERROR}),
        ready="false",
        labels={"gpu.count": None, "nvlink.groups": None},
        condition=("False", "Problems"),
        reasons={"driver-problem": 1},
        alerts=frozenset({"NvtopoProblems", "NvtopoSamplerDown"}),
    ),
    "recovery-of-one": Kind(
        H100,
        some_gpus(2, recoveryAction=1),
        ready="false",
        condition=("False", "Problems"),
        reasons={"gpu-recovery": 1},
        alerts=frozenset({"NvtopoGpuRecoveryNeeded"}),
    ),
    "recovery-of-all": Kind(
        GB200,
        every_gpu(recoveryAction=2),
        ready="false",
        condition=("False", "Problems"),
        reasons={"gpu-recovery": 4},
        alerts=frozenset({"NvtopoGpuRecoveryNeeded"}),
    ),
    "remap-pending": Kind(
        GB200,
        some_gpus(1, fields={"144": 1}),
        ready="false",
        condition=("False", "Problems"),
        reasons={"gpu-memory-repair": 1},
        alerts=frozenset({"NvtopoGpuMemoryRepair"}),
    ),
    "as-expected": Kind(
        H100,
        expect="{gpus: 8, nics: 10, rails: 8, nvlinksPerGpu: 18, mtuBytes: 9000, pcie: {width: 16, generation: 5}}",
    ),
    "rail-that-is-expected-gone": Kind(
        H100,
        files=without_nic0,
        expect="{rails: 8}",
        ready="false",
        labels={"rdma.rails": "7"},
        condition=("False", "Problems"),
        reasons={"rails-missing": 1},
        alerts=frozenset({"NvtopoRailsMissing"}),
    ),
    "nic-that-is-expected-gone": Kind(
        H100,
        files=without_nic0,
        expect="{nics: 10}",
        reasons={"nics-missing": 1},
        alerts=frozenset({"NvtopoNotAsExpected"}),
    ),
    "gid-index-not-expected": Kind(
        H100,
        expect="{gidIndex: 5}",
        ready="false",
        condition=("False", "Problems"),
        reasons={"gid-index-differs": 8},
        alerts=frozenset({"NvtopoNotAsExpected"}),
    ),
    "mtu-not-expected": Kind(
        H100, expect="{mtuBytes: 4200}", reasons={"mtu-differs": 8}, alerts=frozenset({"NvtopoNotAsExpected"})
    ),
    "version-not-expected": Kind(
        GB200,
        expect="{versions: {driver: 1.0.0, kernel: 6.0.0}}",
        reasons={"version-differs": 2},
        alerts=frozenset({"NvtopoNotAsExpected"}),
    ),
    "lanes-lost-by-one": Kind(
        H100,
        some_gpus(3, pcie={"generation": 5, "width": 8, "maxGeneration": 5, "maxWidth": 16, "deviceMaxGeneration": 5}),
        reasons={"pcie-below-best": 1},
        alerts=frozenset({"NvtopoPcieDowngraded"}),
    ),
    "every-link-slow-for-the-gpus-idle": Kind(
        H100,
        every_gpu(pcie={"generation": 1, "width": 16, "maxGeneration": 5, "maxWidth": 16, "deviceMaxGeneration": 5}),
    ),
    "slot-not-expected": Kind(
        H100,
        expect="{pcie: {width: 32}}",
        reasons={"pcie-below-expected": 16},
        alerts=frozenset({"NvtopoNotAsExpected"}),
    ),
    "expectation-that-is-none": Kind(H100, expect="{gpuz: 8}", alerts=frozenset({"NvtopoProblems"})),
}
