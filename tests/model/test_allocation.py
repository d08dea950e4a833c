"""Who holds which devices, and what a pod got against what it could have."""

from collections.abc import Collection

from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.allocation import MOST_CONTAINERS, Allocation, Held
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from nvtopo.model.samples import audit
from nvtopo.model.samples.allocation import Container, Device, allocation

UUIDS = [f"GPU-{digit * 8}-2222-3333-4444-555555555555" for digit in "0123"]
NODE = NodeTopology(
    gpus=tuple(Gpu(index=index, uuid=uuid) for index, uuid in enumerate(UUIDS)),
    nics=(Nic(name="mlx5_0", pci_address=PciAddress("0000:1a:00.0"), netdevs=("eth1",)),),
)
MINORS = {index + 10: index for index in range(4)}
PAIRS = ((0, 1), (2, 3))


def held_by(*devices: Device, name: str = "worker") -> Held:
    (found,) = allocation([Container("jobs", "train-0", name, devices)], NODE, MINORS).containers
    return found


def test_gpus_are_known_by_uuid_by_share_and_by_the_minor_number_of_a_claim() -> None:
    found = held_by(
        Device("nvidia.com/gpu", UUIDS[2]),
        Device("nvidia.com/gpu.shared", f"{UUIDS[1]}::3"),
        Device("gpu.nvidia.com", "gpu-10", claimed=True),
    )
    assert (found.gpus, found.unidentified) == ((0, 1, 2), ())


def test_a_gpu_that_can_t_be_told_makes_the_node_unknown_and_not_free() -> None:
    mig = Container("jobs", "a", "worker", (Device("nvidia.com/mig-1g.10gb", "MIG-6666"),))
    gone = Container("jobs", "b", "worker", (Device("gpu.nvidia.com", "gpu-99", claimed=True),))
    for one, name in ((mig, "MIG-6666"), (gone, "gpu.nvidia.com/gpu-99")):
        found = allocation([one], NODE, MINORS)
        assert found.containers[0].unidentified == (name,)
        assert found.gpus is None
    assert Allocation(containers=(), unknown="no kubelet").gpus is None
    assert Allocation(containers=()).gpus == frozenset()


def test_nics_are_known_by_address_and_name_and_other_devices_by_their_resource() -> None:
    for id_ in ("0000:1a:00.0", "pci-0000-1a-00-0", "mlx5_0", "eth1"):
        assert held_by(Device("dra.net", id_, claimed=True)).nics == ("mlx5_0",)
    found = held_by(Device("rdma/ib", "7"), Device("rdma/ib", "8"), Device("example.com/fpga", "0"))
    assert (found.gpus, found.nics, found.resources) == ((), (), ("example.com/fpga", "rdma/ib"))


def test_a_claim_of_another_driver_is_no_gpu_whatever_its_device_is_called() -> None:
    assert held_by(Device("topo.nvtopo.io", "gpu-10", claimed=True)).gpus == ()


def test_containers_are_in_order_and_one_without_devices_is_left_out() -> None:
    device = (Device("nvidia.com/gpu", UUIDS[0]),)
    given = [Container("b", "x", "y", device), Container("a", "z", "y", device), Container("a", "a", "y", ())]
    found = allocation(given, NODE, MINORS)
    assert [(one.namespace, one.pod) for one in found.containers] == [("a", "z"), ("b", "x")]


def test_more_containers_than_are_read_are_not_known() -> None:
    given = [Container("a", f"p{number}", "c", (Device("r", "0"),)) for number in range(MOST_CONTAINERS + 1)]
    found = allocation(given, NODE, MINORS)
    assert (found.containers, found.gpus) == ((), None)
    assert found.unknown.startswith(f"{MOST_CONTAINERS + 1} containers hold devices")


def held(pod: str, *gpus: int, nics: tuple[str, ...] = (), unidentified: tuple[str, ...] = ()) -> Held:
    return Held(namespace="jobs", pod=pod, container="c", gpus=gpus, nics=nics, unidentified=unidentified)


def audited(
    *containers: Held, groups: audit.Groups | None = PAIRS, nearest: dict[int, Collection[str]] | None = None
) -> dict[str, audit.PodAudit]:
    found = audit.pods(Allocation(containers=containers), range(4), groups, nearest or {})
    return {one.pod: one for one in found}


def test_two_gpus_of_two_groups_while_one_group_has_room_are_split() -> None:
    one = audited(held("a", 1, 2))["a"]
    assert (one.groups, one.fewest_groups, one.split) == (2, 1, True)


def test_what_others_hold_is_no_room() -> None:
    one = audited(held("a", 1, 2), held("b", 0), held("c", 3))["a"]
    assert (one.groups, one.fewest_groups, one.split) == (2, 2, False)


def test_a_gpu_that_is_shared_with_others_is_still_its_own_room() -> None:
    one = audited(held("a", 0, 1), held("b", 0))["a"]
    assert (one.groups, one.fewest_groups) == (1, 1)


def test_a_pod_s_containers_count_together() -> None:
    first = held("a", 0)
    second = Held(namespace="jobs", pod="a", container="d", gpus=(2,))
    assert audited(first, second)["a"].groups == 2


def test_a_gpu_without_nvlink_is_a_group_of_its_own() -> None:
    one = audited(held("a", 0, 1), groups=((2, 3),))["a"]
    assert (one.groups, one.fewest_groups) == (2, 1)
    assert audited(held("a", 0), groups=())["a"].groups == 1


def test_unknown_groups_and_gpus_have_no_count() -> None:
    assert audited(held("a", 0, 1), groups=None)["a"].split is None
    own = audited(held("a", 0, unidentified=("MIG-1",)))["a"]
    assert (own.groups, own.fewest_groups) == (None, None)
    of_another = audited(held("a", 0, 2), held("b", unidentified=("MIG-1",)))["a"]
    assert (of_another.groups, of_another.fewest_groups, of_another.split) == (2, None, None)


def test_gpus_that_none_of_its_nics_is_nearest_to() -> None:
    nearest: dict[int, Collection[str]] = {0: ("mlx5_0",), 1: ("mlx5_1",)}
    assert audited(held("a", 0, 1, nics=("mlx5_0",)), nearest=nearest)["a"].far_gpus == (1,)
    assert audited(held("a", 0, 1), nearest=nearest)["a"].far_gpus is None
