"""What nvtopo sees inside the machine, against what QEMU was told to build and what QEMU says it built."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.vm import layout
from tests.vm.fixtures import Fresh

pytestmark = pytest.mark.vm

PLACES = layout.places()
FUNCTIONS = layout.functions()

#: The vendor that an SR-IOV virtual function has until it is enabled.
VF_NOT_ENABLED = 0xFFFF


@pytest.fixture(scope="module")
def seen(fresh: Fresh) -> dict[str, Any]:
    """Every PCI function of the snapshot, by its address."""
    return {device["address"]: device for device in fresh.snapshot["pci"]["devices"]}


def test_every_bridge_port_and_endpoint_is_where_the_layout_puts_it(seen: dict[str, Any]) -> None:
    below = {address: device["path"] for address, device in seen.items() if not device["path"].startswith("pci0000:00")}
    assert below == {place.address: place.path for place in PLACES.values()}


def test_the_numa_node_of_each_is_its_host_bridge_s(seen: dict[str, Any]) -> None:
    for place in PLACES.values():
        assert seen[place.address]["numaNode"] == place.node
        assert seen[place.address]["localCpus"] == ",".join(map(str, layout.NODES[place.node].cpus))


def test_what_is_on_the_root_bus_is_near_no_node(seen: dict[str, Any]) -> None:
    on_root = [device for device in seen.values() if device["path"] == "pci0000:00"]
    assert len(on_root) >= len(layout.BRIDGES)
    assert all("numaNode" not in device for device in on_root)


def test_functions_are_those_that_qemu_says_it_has(seen: dict[str, Any], fresh: Fresh) -> None:
    qemu = {address: identity for root in fresh.pci for address, identity in _flat(root["devices"])}
    assert {
        address: (int(device["vendor"], 0), int(device["device"], 0), int(device["class"], 0) >> 8)
        for address, device in seen.items()
    } == qemu


def _flat(devices: Any) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for device in devices:
        address = f"0000:{device['bus']:02x}:{device['slot']:02x}.{device['function']:x}"
        identity, kind = device["id"], device["class_info"]["class"]
        if identity["vendor"] != VF_NOT_ENABLED:
            yield address, (identity["vendor"], identity["device"], kind)
        yield from _flat(device.get("pci_bridge", {}).get("devices", ()))


def test_look_alikes_are_taken_for_what_they_look_like(seen: dict[str, Any]) -> None:
    for name, function in FUNCTIONS.items():
        look = layout.LOOK_OF.get(function.model)
        if look is not None:
            device = seen[PLACES[name].address]
            assert (int(device["vendor"], 0), int(device["device"], 0)) == (look.vendor, look.device)
            assert int(device["class"], 0) == look.pci_class


def test_links_are_as_wide_and_fast_as_the_devices_say(seen: dict[str, Any]) -> None:
    full = {"generation": 5, "width": 16, "maxGeneration": 5, "maxWidth": 16}
    plain = {"generation": 1, "width": 1, "maxGeneration": 1, "maxWidth": 1}
    for name, function in FUNCTIONS.items():
        # e1000e has the first version of the PCIe capability: a speed above 5 GT/s is unknown to the kernel there.
        unknown = {"generation": 5, "width": 16, "maxWidth": 16}
        expected = {"bochs-display": full, "e1000e": unknown}.get(function.model, plain)
        assert seen[PLACES[name].address]["link"] == expected


def test_ports_run_at_the_speed_of_what_is_plugged_into_them(seen: dict[str, Any]) -> None:
    assert seen[PLACES["slot0"].address]["link"]["generation"] == 5
    assert seen[PLACES["slot3"].address]["link"] == {"generation": 1, "width": 1, "maxGeneration": 5, "maxWidth": 16}
    assert seen[PLACES["root1"].address]["link"] == {"generation": 1, "width": 1, "maxGeneration": 5, "maxWidth": 16}


def test_numa_nodes_are_the_layout_s_the_one_without_cpus_included(fresh: Fresh) -> None:
    nodes = fresh.document["spec"]["numa"]
    assert [node["index"] for node in nodes] == list(range(len(layout.NODES)))
    for node, told in zip(nodes, layout.NODES, strict=True):
        assert node.get("cpus", "") == ",".join(map(str, told.cpus))
        assert tuple(node["distances"]) == told.distances
        mebibytes = node["memoryBytes"] / (1 << 20)
        assert told.memory_mib * 0.6 < mebibytes <= told.memory_mib  # the kernel keeps some for itself


def test_root_buses_are_the_host_bridges(fresh: Fresh) -> None:
    roots = {root["root"]: root.get("numaNode") for root in fresh.document["spec"]["pci"]}
    assert roots == {"pci0000:00": None} | {f"pci0000:{bridge.bus:02x}": bridge.node for bridge in layout.BRIDGES}


def test_nics_hang_where_they_were_plugged_in(fresh: Fresh) -> None:
    nics = {
        fresh.netdevs[str(function.properties["mac"])]: PLACES[name]
        for name, function in FUNCTIONS.items()
        if "mac" in function.properties
    }
    assert {nic["name"]: (nic["pciBusID"], nic["path"], nic["numaNode"]) for nic in fresh.document["spec"]["nics"]} == {
        name: (place.address, place.path, place.node) for name, place in nics.items()
    }


def test_nvmes_too(fresh: Fresh) -> None:
    (nvme,) = fresh.document["spec"]["nvmes"]
    place = PLACES["nvme0"]
    assert (nvme["pciBusID"], nvme["path"], nvme["numaNode"]) == (place.address, place.path, place.node)


def test_gpus_without_a_driver_are_a_problem_and_not_none(fresh: Fresh) -> None:
    gpus = sum(function.model == "bochs-display" for function in FUNCTIONS.values())
    (problem,) = [problem for problem in fresh.document["spec"]["problems"] if problem["source"] == "nvml"]
    assert problem["reason"] == f"{gpus} NVIDIA GPUs on the PCI bus and no NVIDIA driver library"


def test_a_kernel_without_rdma_has_none_and_nothing_is_imported_for_it(fresh: Fresh) -> None:
    assert "rdma" not in fresh.snapshot
    assert not {name for name in fresh.imported if name.startswith("pyverbs") or name.endswith("verbs")}
    assert "nvtopo.sources.rdma.devices" in fresh.imported
