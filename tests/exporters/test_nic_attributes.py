"""What dranet is told of a NIC, on recorded machines."""

import pytest
from msgspec.structs import replace

from nvtopo.exporters.nic_attributes import Asked, NicAttributes
from nvtopo.exporters.shadows import DRIVER, NIC_ADDRESS, shadows
from nvtopo.model.records.node import NodeTopology
from tests.exporters import clusters


def told(node: NodeTopology, asked: Asked, leaves: dict[str, str] | None = None) -> dict[str, str | int]:
    found = NicAttributes(node, leaves or {}).of(asked)
    return {name.removeprefix(f"{DRIVER}/"): next(iter(value.values())) for name, value in found.items()}


@pytest.mark.parametrize("host", ["h100-sxm-8gpu-8cx7", "gb300-nvl72-tray", "h100-sriov", "cx8-dual-port"])
def test_it_is_what_the_shadow_of_the_nic_says(host: str) -> None:
    node = clusters.host(host)
    made = shadows(node).nics
    assert made
    for shadow in made:
        found = told(node, Asked(str(shadow.attributes[NIC_ADDRESS])))
        both = {name: value for name, value in shadow.attributes.items() if name in ("rail", "complex")}
        assert {name: found[name] for name in both} == both
        assert NicAttributes(node, {}).of(Asked(str(shadow.attributes[NIC_ADDRESS])))[f"{DRIVER}/rail"].keys() == {
            "int"
        }


def test_a_nic_that_does_not_compute_and_a_device_that_is_none_have_nothing() -> None:
    node = clusters.host("h100-sxm-8gpu-8cx7")
    computes = {shadow.attributes[NIC_ADDRESS] for shadow in shadows(node).nics}
    others = [nic.pci_address for nic in node.nics if nic.pci_address not in computes]
    for address in (*others, node.gpus[0].pci_address, "ffff:ff:ff.7", "no address", ""):
        assert told(node, Asked(address or "")) == {}


def _with_netdevs(*names: str) -> tuple[NodeTopology, str]:
    node = clusters.host("h100-sxm-8gpu-8cx7")
    address = str(shadows(node).nics[0].attributes[NIC_ADDRESS])
    nics = tuple(replace(nic, netdevs=names) if nic.pci_address == address else nic for nic in node.nics)
    return replace(node, nics=nics), address


def test_the_leaf_is_that_of_the_port_and_a_plane_one_of_several() -> None:
    node, address = _with_netdevs("rail0p0", "rail0p1")
    leaves = {"rail0p0": "leaf-a", "rail0p1": "leaf-b", "other": "leaf-c"}
    second = told(node, Asked(address, "rail0p1"), leaves)
    assert (second["leaf"], second["plane"]) == ("leaf-b", 1)
    assert (told(node, Asked("", "rail0p0"), leaves)["leaf"], told(node, Asked(address), leaves).get("leaf")) == (
        "leaf-a",
        None,
    )
    one, address = _with_netdevs("rail0")
    found = told(one, Asked(address, "rail0"), {"rail0": "leaf-a"})
    assert (found["leaf"], found.get("plane")) == ("leaf-a", None)


def test_a_name_that_is_too_long_for_an_attribute_is_left_out() -> None:
    node, address = _with_netdevs("rail0")
    assert "leaf" in told(node, Asked(address), {"rail0": "s" * 64})
    assert "leaf" not in told(node, Asked(address), {"rail0": "s" * 65})
