"""Labels of machines that no folder of ``fixtures/hosts`` can be: what only verbs know, and mixtures of it."""

import pytest
from msgspec.structs import replace

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.conclusions.locality import Locality
from nvtopo.model.records.facts import RdmaPort
from tests.model.machines import gpu, hca, machine


def port(number: int, active_mtu_bytes: int | None) -> RdmaPort:
    return RdmaPort(number=number, state="ACTIVE", link_layer="InfiniBand", active_mtu_bytes=active_mtu_bytes)


@pytest.mark.parametrize(
    ("nics", "label"),
    [
        (((4096, 1024),), "1024"),
        (((None, 2048),), "2048"),
        (((None,),), None),
        (((4096,), (4096,)), "4096"),
        (((4096,), (2048,)), None),
        (((4096, 2048), (2048,)), "2048"),
    ],
)
def test_the_mtu_is_the_smallest_of_a_nic_and_said_where_the_nics_agree(
    nics: tuple[tuple[int | None, ...], ...], label: str | None
) -> None:
    found = []
    for index, mtus in enumerate(nics):
        device, function = hca(index, switch=index)
        ports = tuple(port(number, mtu) for number, mtu in enumerate(mtus, 1))
        found.append((replace(device, ports=ports), function))
    node = assemble(machine(hcas=tuple(found)))
    assert features(node, derive(node)).get("nvtopo.io/rdma.mtu") == label


@pytest.mark.parametrize(("groups", "labels"), [(2, 2), (32, 32), (33, 0)])
def test_each_of_several_groups_has_a_label_unless_they_are_too_many(groups: int, labels: int) -> None:
    node = assemble(machine(gpu(0)))
    pairs = tuple((2 * number, 2 * number + 1) for number in range(groups))
    derived = replace(derive(node), nvlink_groups=pairs, nvlink_full_mesh=(True,) * groups)
    found = features(node, derived)
    assert sum(name.startswith("gpu.nvlink.group.G") for name in found) == labels


@pytest.mark.parametrize(
    ("levels", "label"),
    [
        ((Locality.PIX, Locality.NODE), "NODE"),
        ((Locality.PIX, Locality.PIX), "PIX"),
        ((Locality.PIX, None), None),
        ((None, None), None),
    ],
)
def test_locality_is_that_of_the_farthest_gpu_and_not_said_if_one_is_not_known(
    levels: tuple[Locality | None, ...], label: str | None
) -> None:
    node = assemble(machine(gpu(0), gpu(1), hcas=(hca(0, switch=0),)))
    derived = derive(node)
    nearest = {index: derived.nearest_nics[index]._replace(level=level) for index, level in enumerate(levels)}
    assert features(node, replace(derived, nearest_nics=nearest)).get("nvtopo.io/nic.gpu-locality") == label
