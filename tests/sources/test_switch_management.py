"""ConnectX functions of a GPU board that manage its NVSwitches are told from NICs, also if their VPD can't be read."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from nvtopo.model.records.facts import RdmaFacts
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.rdma import devices
from nvtopo.sources.sysfs import SysfsRoot
from tests.hosts.recorded import FIXTURES
from tests.machines import sysfs_text

RECORDED = (FIXTURES / "hosts" / "b200-nvswitch-mgmt-nics" / "sys.txt").read_text(encoding="utf-8")
ON_THE_BOARD = {"mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3"}
#: The board id that the recorded functions have, which nobody knows.
OTHER_BOARD = "MT_0000001180"


def managing(text: str, folder: Path) -> set[str]:
    """The devices that manage switches."""
    wanted = ("/infiniband", "/vpd ")
    failures = sysfs_text.unpack(
        "\n".join(line for line in text.splitlines() if any(part in line for part in wanted)), folder
    )
    numbers = {path: getattr(errno, name) for path, name in failures.items()}
    facts = devices.read(Machine(root=SysfsRoot(str(folder), numbers), nvml=NoNvml())).facts
    assert isinstance(facts, RdmaFacts)
    assert all(not device.ports for device in facts.devices if device.management)
    assert all(device.ports for device in facts.devices if not device.management)
    return {device.name for device in facts.devices if device.management}


def without_vpd(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "/vpd " not in line)


def of_board(board: str) -> Callable[[str], str]:
    return lambda text: without_vpd(text).replace(f"board_id = {OTHER_BOARD}", f"board_id = {board}")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(str, ON_THE_BOARD, id="by VPD"),
        pytest.param(of_board("MT_0000001121"), ON_THE_BOARD, id="B200, no VPD"),
        pytest.param(of_board("NVD0000000079"), ON_THE_BOARD, id="B300, no VPD"),
        pytest.param(of_board("MT_0000000838"), set(), id="a NIC's board"),
        pytest.param(without_vpd, set(), id="a board that nobody knows"),
    ],
)
def test_by_what_they_are_told(change: Callable[[str], str], expected: set[str], tmp_path: Path) -> None:
    assert managing(change(RECORDED), tmp_path) == expected


def test_one_function_s_vpd_is_that_of_the_whole_board(tmp_path: Path) -> None:
    one_slot = RECORDED.replace("0000:06:01.0/0000:08:00.0", "0000:06:00.0/0000:07:00.1")
    kept = [line for line in one_slot.splitlines() if "/vpd " not in line or "0000:07:00.0/vpd" in line]
    assert managing("\n".join(kept), tmp_path) == {"mlx5_0", "mlx5_1"}
