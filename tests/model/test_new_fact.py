"""A fact that no code knows yet: whichever record of a node gets it, it is compared, said and counted."""

from functools import cache
from typing import Any, Final

import msgspec
import pytest

from nvtopo.model.changes.topology import changes
from nvtopo.model.changes.words import text
from nvtopo.model.records.facts import GpuFabric, KubeletFacts, NumaNode, PcieLink
from nvtopo.model.records.node import Gpu, GpuPair, Host, Nic, NicPort, NodeTopology, Nvme
from nvtopo.model.records.nvlinks import NvLink, NvLinkBundle, fold
from nvtopo.model.records.places import PciRoot, StatedLevel
from nvtopo.model.records.record import Record
from nvtopo.model.records.spec import compact
from nvtopo.sinks.metrics.changes import differing
from tests.model.machines import address

_NODE: Final = NodeTopology(
    host=Host(kernel="6.8"),
    numa=(NumaNode(index=0),),
    pci=(PciRoot(root="pci0000:00"),),
    gpus=(
        Gpu(
            index=0,
            uuid="GPU-a",
            link=PcieLink(width=16),
            nvlinks=(NvLinkBundle(links="0-17", state="active"),),
            fabric=GpuFabric(state="completed"),
        ),
    ),
    pairs=(GpuPair(a=0, b=1),),
    nics=(Nic(name="mlx5_0", ports=(NicPort(number=1),)),),
    nvmes=(Nvme(name="nvme0", pci_address=address(1)),),
    kubelet=KubeletFacts(),
    stated=(StatedLevel(a="GPU0", b="mlx5_0", level="PIX"),),
)


@cache
def _with_a_new_fact(kind: type[Any]) -> type[Any]:
    return msgspec.defstruct(kind.__name__, [("new_fact", int | None, None)], bases=(kind,), frozen=True, kw_only=True)


def _grown(value: Any, kind: type[Record], said: int) -> Any:
    """The same, where every record of a kind has the new fact."""
    if isinstance(value, tuple):
        return tuple(_grown(item, kind, said) for item in value)
    if not isinstance(value, Record):
        return value
    fields = {name: _grown(getattr(value, name), kind, said) for name in value.__struct_fields__}
    return _with_a_new_fact(kind)(**fields, new_fact=said) if type(value) is kind else type(value)(**fields)


@pytest.mark.parametrize(
    ("kind", "says", "part"),
    [
        (Host, "host: new fact 1 → 2", "host"),
        (NumaNode, "NUMA node 0: new fact 1 → 2", "numa"),
        (PciRoot, "pci0000:00: new fact 1 → 2", "pci"),
        (Gpu, "GPU0: new fact 1 → 2", "gpus"),
        (PcieLink, "GPU0: PCIe link new fact 1 → 2", "gpus"),
        (GpuFabric, "GPU0: fabric new fact 1 → 2", "gpus"),
        (NvLinkBundle, "GPU0: NVLink new fact 0-17 1 → 0-17 2", "gpus"),
        (GpuPair, "GPU0, GPU1: new fact 1 → 2", "pairs"),
        (Nic, "mlx5_0: new fact 1 → 2", "nics"),
        (NicPort, "mlx5_0: port 1 new fact 1 → 2", "nics"),
        (Nvme, "nvme0: new fact 1 → 2", "nvmes"),
        (KubeletFacts, "node: kubelet new fact 1 → 2", "kubelet"),
        (StatedLevel, "GPU0, mlx5_0: new fact 1 → 2", "stated"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_it_is_compared_and_counted(kind: type[Record], says: str, part: str) -> None:
    found = changes(_grown(_NODE, kind, 1), _grown(_NODE, kind, 2))
    assert [text(change) for change in found] == [says]
    assert differing(found) == {part}


def test_a_new_part_of_a_node_is_compared_thing_by_thing() -> None:
    class Dpu(Record, frozen=True, kw_only=True):
        name: str
        mode: str = ""

    class Node(NodeTopology, frozen=True, kw_only=True):
        dpus: tuple[Dpu, ...] = ()

    before = Node(dpus=(Dpu(name="bf3_0", mode="NIC"), Dpu(name="bf3_1")))
    after = Node(dpus=(Dpu(name="bf3_0", mode="DPU"),))
    assert [(one.kind, one.subject, one.path, text(one)) for one in changes(before, after)] == [
        ("dpus", "bf3_0", "mode", "bf3_0: mode NIC → DPU"),
        ("dpus", "bf3_1", "", "bf3_1 gone"),
    ]


def test_a_new_fact_of_a_link_is_folded_compared_and_written() -> None:
    link, bundle = _with_a_new_fact(NvLink), _with_a_new_fact(NvLinkBundle)
    folded = fold((link(link=0, new_fact=2), link(link=1, new_fact=1), link(link=2, new_fact=2)), bundle)
    before = NodeTopology(
        gpus=(Gpu(index=0, uuid="a", nvlinks=fold((link(link=0), link(link=1), link(link=2)), bundle)),)
    )
    after = NodeTopology(gpus=(Gpu(index=0, uuid="a", nvlinks=folded),))
    assert [text(change) for change in changes(before, after)] == ["GPU0: NVLink new fact 0-2 not known → 0,2 2, 1 1"]
    assert msgspec.json.decode(msgspec.json.encode(compact(after)))["gpus"][0]["nvlinks"] == [
        {"links": "0,2", "newFact": 2},
        {"links": "1", "newFact": 1},
    ]
