"""The machines of the live run: what is wrong with each, and which alerts say so."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.faults.node import Node
from tests.hosts.recorded import FIXTURES

HOSTS: Final = FIXTURES / "hosts"
_UNHEALTHY_ROUTE: Final = 0x19A
#: Mantissa 3, exponent 11, as field 220 packs them.
_THREE_IN_TEN_TO_THE_ELEVENTH: Final = 3 << 8 | 11
_XID_CRITICAL_ERROR: Final = 8
_SOFTWARE_THERMAL: Final = 0x20


def well(_: Any) -> None:
    """Nothing."""


def settled(node: Node) -> None:
    """No container has memory far from its GPUs; on the recorded machine a notebook has."""
    for path in node.root.glob("sys/fs/cgroup/kubepods.slice/*burstable.slice/*/*/memory.numa_stat"):
        path.write_text(re.sub(r"^anon N0=25769803776 ", "anon N0=0 ", path.read_text()))


def nothing(_: Node) -> None:
    """Nothing."""


class Machine(NamedTuple):
    """One node of the live run."""

    host: str
    """Of ``fixtures/hosts``."""
    fires: frozenset[str] = frozenset()
    driver: Callable[[Any], object] = well
    """What is changed of what the driver says."""
    files: Callable[[Node], object] = nothing
    """What is changed of its files."""
    options: tuple[str, ...] = ()
    """Of the agent."""


def _board(model: Any) -> None:
    """One trouble for each GPU, all at work."""
    gpus = model["gpus"]
    for gpu in gpus:
        gpu.update(eventReasons=0)
    gpus[0]["links"][3].update(state=0)
    gpus[1]["links"][5].update(speed=25000)
    gpus[2]["links"][7].update(fields={"163": {"base": 12, "rate": 200}})
    gpus[2]["links"][8].update(fields={"162": {"base": 1, "rate": 2}})
    gpus[3]["pcie"].update(width=8)
    gpus[4].update(eventReasons=_SOFTWARE_THERMAL)
    gpus[5].update(clock=1400)
    gpus[6].update(fields={**gpus[6].get("fields", {}), "94": {"base": 3, "rate": 10}})
    gpus[7]["pcie"].update(generation=3)
    model["events"] = [{"gpu": 0, "type": _XID_CRITICAL_ERROR, "data": 74, "afterMs": 20_000}]


def _network(node: Node) -> None:
    """One trouble for each of the first rails."""
    root = node.root
    (port(root, 0) / "state").write_text("1: DOWN\n")
    (netdev(root, 1) / "mtu").write_text("4200\n")
    for index in (2, 3):
        (port(root, 2) / "gids" / str(index)).write_text("0000:" * 7 + "0000\n")
    (port(root, 5) / "rate").write_text("200 Gb/sec (2X NDR)\n")
    hanging = port(root, 6) / "hw_counters" / "out_of_buffer"
    hanging.unlink()
    os.mkfifo(hanging)


def _tray(model: Any) -> None:
    gpus = model["gpus"]
    gpus[0]["fabric"].update(healthMask=_UNHEALTHY_ROUTE)
    gpus[1]["links"][2].update(fields={"220": _THREE_IN_TEN_TO_THE_ELEVENTH})
    gpus[2]["links"][4].update(fields={"214": {"base": 0, "rate": 1}})
    gpus[3]["c2c"].update(status=0)


def _bridge(model: Any) -> None:
    """Both ends of one link."""
    for gpu in model["gpus"][:2]:
        gpu["links"][0].update(state=0)


def _hot(model: Any) -> None:
    for gpu in model["gpus"]:
        gpu.update(eventReasons=_SOFTWARE_THERMAL)


def _occupied(node: Node) -> None:
    """A folder stands where the feature file should be."""
    (node.features_d / "nvtopo").mkdir()


def _hangs(model: Any) -> None:
    """Only the sampler asks for power."""
    model.update(delays={"nvmlDeviceGetPowerUsage": 600_000})


def port(root: Path, rail: int) -> Path:
    """The folder of a rail's port."""
    return root / "sys" / "class" / "infiniband" / f"mlx5_{rail}" / "ports" / "1"


def netdev(root: Path, rail: int) -> Path:
    """The folder of a rail's network device."""
    (found,) = (root / "sys" / "class" / "infiniband" / f"mlx5_{rail}" / "device" / "net").iterdir()
    return found


def no_bridge(model: Any) -> None:
    """Every NVLink goes down, once the agent has seen them up."""
    for gpu in model["gpus"]:
        for link in gpu["links"]:
            link.update(state=0)


#: Expects what the machine has not.
_UNMET: Final = Path(__file__).with_name("unmet.yaml")
H100: Final = "h100-sxm-8gpu-8cx7"
GB200: Final = "gb200-nvl72-tray"
WELL: Final = ("board", "tray")
CAST: Final = {
    "board": Machine(H100, files=settled),
    "tray": Machine(GB200),
    "ill-board": Machine(
        H100,
        frozenset(
            {
                "NvtopoNvlinkDown",
                "NvtopoNvlinkDegraded",
                "NvtopoNvlinkBitErrors",
                "NvtopoNvlinkErrors",
                "NvtopoPcieDowngraded",
                "NvtopoPcieReplays",
                "NvtopoGpuThrottled",
                "NvtopoStragglerGpu",
                "NvtopoRdmaPortDown",
                "NvtopoMtuMismatch",
                "NvtopoFleetMtuMismatch",
                "NvtopoGidMissing",
                "NvtopoRdmaLinkFlapping",
                "NvtopoRdmaRetriesExceeded",
                "NvtopoRdmaUnreadable",
                "NvtopoRdmaCongested",
                "NvtopoSlowRail",
                "NvtopoNumaSpill",
            }
        ),
        _board,
        _network,
        ("--nvml-events",),
    ),
    "ill-tray": Machine(
        GB200,
        frozenset(
            {"NvtopoFabricUnhealthy", "NvtopoNvlinkBitErrors", "NvtopoNvlinkRecoveryFailed", "NvtopoC2cLinkDown"}
        ),
        _tray,
    ),
    "bridged": Machine("h100-nvl-pairs", frozenset({"NvtopoGpuPairDegraded"}), _bridge),
    "refused": Machine("gb200-insufficient-resources", frozenset({"NvtopoFabricUnhealthy", "NvtopoPeerAccessLost"})),
    "waiting": Machine("h100-fabric-registering", frozenset({"NvtopoFabricRegistering"})),
    "full": Machine(
        "hgx-a100-8gpu",
        frozenset({"NvtopoSinkDown", "NvtopoRailsMissing", "NvtopoNotAsExpected"}),
        files=_occupied,
        options=("--expect", str(_UNMET)),
    ),
    "hot": Machine("l40s-8gpu-pcie", frozenset({"NvtopoNodeThrottled"}), _hot),
    "lost": Machine("h100-gpu-lost", frozenset({"NvtopoGpuLost", "NvtopoProblems"})),
    "hung": Machine(H100, frozenset({"NvtopoSamplerDown"}), _hangs, settled),
    "late": Machine(H100, frozenset({"NvtopoObservationStale"}), files=settled, options=("--interval", "3600")),
    "gone": Machine("t4-single-edge", frozenset({"NvtopoAgentDown"})),
    "lacking": Machine("h100-gpu-off-the-bus", frozenset({"NvtopoGpusMissing"})),
    "unbridged": Machine("h100-nvl-pairs", frozenset({"NvtopoBridgesDown"})),
    "needing": Machine("h100-needs-reset", frozenset({"NvtopoGpuMemoryRepair", "NvtopoGpuRecoveryNeeded"})),
}


def machine(directory: Path, name: str) -> Node:
    """The machine, as ill as it is said to be, without an agent yet."""
    cast = CAST[name]
    directory.mkdir()
    node = Node(directory, HOSTS / cast.host)
    node.install_driver()
    node.driver_is_like(cast.driver)
    cast.files(node)
    return node
