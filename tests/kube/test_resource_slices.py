"""ResourceSlices as drivers write them: what of them is read."""

from typing import Any

import msgspec
import pytest

from nvtopo.cluster.slices import Device
from nvtopo.errors import ParseError
from nvtopo.kube import resource_slices


def read(*devices: dict[str, Any], driver: str = "gpu.nvidia.com") -> tuple[Device, ...]:
    pool = {"name": "p", "generation": 3, "resourceSliceCount": 2}
    spec = {"driver": driver, "nodeName": "n0", "pool": pool, "devices": list(devices)}
    document = {"metadata": {"name": "s", "resourceVersion": "7"}, "spec": spec}
    found = resource_slices.read(msgspec.Raw(msgspec.json.encode(document)))
    assert (found.name, found.version) == ("s", "7")
    assert found.value[:5] == (driver, "n0", "p", 3, 2)
    return found.value.devices


def test_the_standard_attributes_and_nvidia_s_own() -> None:
    attributes = {
        "uuid": {"string": "GPU-1"},
        "resource.kubernetes.io/pciBusID": {"string": "0000:1B:00.0"},
        "resource.kubernetes.io/pcieRoot": {"string": "pci0000:10"},
        "resource.kubernetes.io/numaNode": {"int": 1},
        "driverVersion": {"version": "580.65.6"},
        "shared": {"bool": False},
    }
    taint = {"key": "gpu.nvidia.com/xid", "value": "79", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"}
    assert read({"name": "gpu-0", "attributes": attributes, "taints": [taint]}) == (
        Device(
            "gpu-0",
            bus_id="0000:1b:00.0",
            root="pci0000:10",
            numa=1,
            uuid="GPU-1",
            taints=("gpu.nvidia.com/xid=79:NoSchedule",),
        ),
    )


def test_attributes_of_a_driver_s_own_count_where_no_standard_one_is() -> None:
    own = {"pciAddress": {"string": "0000:41:00.0"}, "dra.net/numaNode": {"int": -1}, "pcieRoot": {"string": "pci0"}}
    (found,) = read({"name": "nic-0", "attributes": own}, driver="dra.net")
    assert (found.bus_id, found.numa, found.root, found.own_root) == ("0000:41:00.0", -1, None, True)


def test_a_list_attribute_is_not_read_and_costs_nothing() -> None:
    numa = {"resource.kubernetes.io/numaNode": {"ints": [0, 1]}}
    assert read({"name": "gpu-0", "attributes": numa}, {"name": "gpu-1"}) == (Device("gpu-0"), Device("gpu-1"))


def test_what_is_no_slice_is_refused() -> None:
    for document in ({"metadata": {"name": "s"}}, {"metadata": {"name": "s"}, "spec": {"driver": 1}}):
        with pytest.raises(ParseError):
            resource_slices.read(msgspec.Raw(msgspec.json.encode(document)))
