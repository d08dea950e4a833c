"""The matrix on terminals of any width, and whole in a pipe."""

import re

import pytest

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.order import nics_in_order
from nvtopo.model.records.node import Nic, NicPort, NodeTopology
from nvtopo.sinks.text import matrix
from nvtopo.sources.capture import read_capture
from tests.hosts.recorded import FIXTURES

_NODE = assemble(read_capture(FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "capture.json"))
_WHOLE, _WITHOUT_DRIVES, _SMALL, _TINY = 220, 160, 90, 24


def _render(columns: int | None = None, *, nvme: bool | None = None) -> str:
    return matrix.render(_NODE, derive(_NODE), columns=columns, nvme=nvme)


def _cells(text: str) -> list[str]:
    """The lines of all tables."""
    return [
        line for line in text.splitlines() if re.match(r"(GPU|NIC|NVMe)[0-9]+ |\s+(GPU|NIC|NVMe)[0-9]+(\s|$)", line)
    ]


def test_a_pipe_and_a_wide_terminal_get_everything() -> None:
    assert _render() == _render(_WHOLE)
    assert "NVMe7" in _render()


def test_a_narrower_terminal_goes_without_drives_and_says_how_to_see_them() -> None:
    text = _render(_WITHOUT_DRIVES)
    assert "NVMe0" not in text
    assert "8 NVMe drives not shown: --nvme shows them" in text
    assert text.count("\nGPU0 ") == 1


@pytest.mark.parametrize("columns", [_WITHOUT_DRIVES, _SMALL, _TINY])
@pytest.mark.parametrize("nvme", [None, True, False])
def test_no_line_of_the_table_is_wider_than_the_terminal(columns: int, nvme: bool | None) -> None:
    assert all(len(line) <= columns for line in _cells(_render(columns, nvme=nvme)))


def test_blocks_keep_a_kind_together_where_it_fits() -> None:
    headers = [line for line in _cells(_render(_SMALL)) if line.startswith(" ")]
    assert [line.split()[0] for line in headers] == ["GPU0", "NIC0"]


@pytest.mark.parametrize("columns", [None, _WHOLE, _WITHOUT_DRIVES, _SMALL])
def test_the_user_has_the_last_word_on_drives(columns: int | None) -> None:
    assert "NVMe7" in _render(columns, nvme=True)
    assert "NVMe0" not in _render(columns, nvme=False)


def test_nics_are_numbered_by_name_rdma_first() -> None:
    ports = (NicPort(number=1),)
    names = ("mlx5_10", "mlx5_9", "mlx5_0", "mlx5_bond_0")
    nics = (Nic(name="eno1"), *(Nic(name=name, ports=ports) for name in names))
    ordered = nics_in_order(NodeTopology(nics=nics))
    assert [nic.name for nic in ordered] == ["mlx5_0", "mlx5_9", "mlx5_10", "mlx5_bond_0", "eno1"]
