"""NCCL's file by NCCL's rules, where the recorded machines do not show them."""

from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from nvtopo.errors import UsageError
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.hierarchy import functions_of
from nvtopo.model.conclusions.links import XGMI
from nvtopo.model.records.facts import NumaFacts, NumaNode, PcieLink, RdmaFacts
from nvtopo.model.records.node import Gpu
from nvtopo.model.records.nvlinks import NvLinkBundle
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.document import nccl
from tests.model.machines import address, bridge, gpu, hca, machine, to_switch


def _file(snapshot: Snapshot) -> ET.Element:
    return ET.fromstring(nccl.render(assemble(snapshot), functions_of(snapshot)))  # noqa: S314 - our own


def test_a_wired_link_names_the_other_gpu_and_a_switch_out_of_sight_has_nccl_s_sentinel() -> None:
    wired = _file(machine(gpu(0, bridge(0, 1), bridge(1, 1)), gpu(1, bridge(0, 0), bridge(1, 0))))
    assert [link.attrib for link in wired.iter("nvlink")] == [
        {"target": address(0x10 + other), "count": "2", "tclass": "0x030200"} for other in (1, 0)
    ]
    switched = _file(machine(gpu(0, *(to_switch(link) for link in range(18)))))
    assert [link.attrib for link in switched.iter("nvlink")] == [
        {"target": "fffffff:ff:ff.0", "count": "18", "tclass": "0x068000"}
    ]


def test_links_that_are_down_are_left_out() -> None:
    assert not list(_file(machine(gpu(0, to_switch(0, active=False)))).iter("nvlink"))


def test_both_ports_of_a_card_are_one_nic_with_two_nets() -> None:
    (first, function), (second, _) = hca(0, switch=0), hca(1, switch=0)
    other = replace(function, address=function.address[:-1] + "1")
    second = replace(second, pci_address=other.address)
    found = _file(machine(gpu(0), hcas=((first, function), (second, other))))
    card = next(pci for pci in found.iter("pci") if pci.find("nic") is not None)
    assert card.get("busid") == function.address
    assert [net.get("name") for net in card.iter("net")] == ["mlx5_0", "mlx5_1"]
    assert len(list(found.iter("nic"))) == 1


def test_a_port_that_is_down_is_no_net() -> None:
    device, function = hca(0, switch=0)
    down = replace(device, ports=(replace(device.ports[0], state="DOWN"),))
    snapshot = replace(machine(gpu(0), hcas=((device, function),)), rdma=RdmaFacts(devices=(down,)))
    assert not list(_file(snapshot).iter("net"))


def test_a_link_is_as_fast_as_its_slower_end() -> None:
    device, function = hca(0, switch=0)
    slot = replace(function, address=function.path.rsplit("/", 1)[1], path=function.path.rsplit("/", 1)[0])
    slot = replace(slot, class_code="0x060400", link=PcieLink(max_generation=4, width=16))
    snapshot = machine(gpu(0), hcas=((device, replace(function, link=PcieLink(max_generation=5, width=16))),))
    assert snapshot.pci is not None
    snapshot = replace(snapshot, pci=replace(snapshot.pci, devices=(*snapshot.pci.devices, slot)))
    nic = next(pci for pci in _file(snapshot).iter("pci") if pci.find("nic") is not None)
    assert (nic.get("link_speed"), nic.get("link_width")) == ("16.0 GT/s PCIe", "16")


@pytest.mark.parametrize(("cpus", "mask"), [("0-31", "ffffffff"), ("0,32", "00000001,00000001"), ("0-1023", None)])
def test_a_mask_that_nccl_would_cut_is_left_for_nccl_to_read(cpus: str, mask: str | None) -> None:
    numa = NumaFacts(nodes=(NumaNode(index=0, cpus=cpus),))
    found = _file(replace(machine(gpu(0)), numa=numa)).find("cpu")
    assert found is not None
    assert found.get("affinity") == mask


def test_names_are_cut_to_what_nccl_keeps_and_never_within_an_entity() -> None:
    name = nccl.cut('"' * 300)
    assert name == '"' * 42
    assert len("&quot;" * len(name)) <= nccl.LONGEST_VALUE_BYTES


def test_amd_s_links_are_refused() -> None:
    links = NvLinkBundle(links="0", state="active", version=XGMI)
    node = replace(
        assemble(machine(gpu(0))), gpus=(Gpu(index=0, uuid="", pci_address=address(0x10), nvlinks=(links,)),)
    )
    with pytest.raises(UsageError, match="xGMI"):
        nccl.render(node, {})


def test_a_machine_too_large_for_nccl_is_refused_with_the_number() -> None:
    gpus = tuple(gpu(index) for index in range(0x90))
    cards = tuple(replace(one, pci_address=address(0x20 + index)) for index, one in enumerate(gpus))
    with pytest.raises(UsageError, match="elements: NCCL reads 256 at most"):
        _file(machine(*cards, functions=()))
