"""Which NUMA node a host bridge is drawn in, where its devices do not say."""

import pytest

from nvtopo.model.conclusions.hierarchy import hierarchy
from nvtopo.model.records.facts import NumaNode
from nvtopo.model.records.node import Nic, NodeTopology, Nvme
from nvtopo.model.records.places import PciRoot
from tests.model.machines import address

PATH = "pci0000:00/0000:00:01.0/0000:01:00.0"


def placed(*nodes: NumaNode, path: str = "", own: int | None = None, pci: tuple[PciRoot, ...] = ()) -> list[int | None]:
    """The NUMA nodes in which the one device is drawn."""
    nic = Nic(name="mlx5_0", pci_address=address(1), path=path, numa_node=own)
    found = hierarchy(NodeTopology(numa=nodes, nics=(nic,), pci=pci), {})
    return [branch.number for branch in found if branch.all_devices]


WITH, OTHER, WITHOUT = NumaNode(index=0, cpus="0-7"), NumaNode(index=1, cpus="8-15"), NumaNode(index=2)


@pytest.mark.parametrize("path", ["", PATH], ids=["levels alone", "paths"])
def test_a_device_without_a_node_is_in_the_only_one_that_has_cpus(path: str) -> None:
    assert placed(WITH, WITHOUT, path=path) == [0]
    assert placed(WITHOUT, path=path) == [None], "a node of memory alone"
    assert placed(WITH, OTHER, path=path) == [None], "either may be the one"
    assert placed(WITH, WITHOUT, path=path, own=2) == [2]


def test_a_bridge_is_where_its_other_functions_are() -> None:
    assert placed(WITH, OTHER, path=PATH, pci=(PciRoot(root="pci0000:00", numa_node=1),)) == [1]
    assert placed(WITH, OTHER, path=PATH, pci=(PciRoot(root="pci0000:80", numa_node=1),)) == [None]


def test_nodes_come_by_number_and_those_with_cpus_without_devices_too() -> None:
    drives = tuple(
        Nvme(
            name=f"nvme{index}",
            pci_address=address(index),
            path=f"pci0000:{index:02x}/0000:{index:02x}:00.0",
            numa_node=node,
        )
        for index, node in enumerate((None, 1))
    )
    found = hierarchy(NodeTopology(numa=(OTHER, WITH, WITHOUT), nvmes=drives), {})
    assert [(branch.number, len(branch.all_devices)) for branch in found] == [(0, 0), (1, 1), (None, 1)]
    assert [branch.memory for branch in found] == [WITH, OTHER, None]
