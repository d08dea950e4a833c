"""Which devices are tainted: what lasts, what stays while nobody knows, and how many at most."""

from collections.abc import Mapping, Sequence
from typing import Final

import pytest
from msgspec.structs import replace

from nvtopo.cluster.drift import Timing
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Listed, Silent, fold_all
from nvtopo.cluster.slice_index import SliceIndex
from nvtopo.cluster.slices import Device, Slice
from nvtopo.cluster.taints import Decision, DeviceTaints, Target
from nvtopo.model.records.node import Gpu, NodeTopology
from tests.cluster import machines

TIMING: Final = Timing(debounce_seconds=60, grace_seconds=600)
DRIVER: Final = "gpu.nvidia.com"
GPU_1: Final = Target(DRIVER, "n0", "gpu-1")


def tray(number: int = 0, ill: Sequence[int] = (), *, mig: bool = False) -> NodeTopology:
    """Four GPUs, of which some have links that are down."""
    node = machines.tray(1, number)

    def of(gpu: Gpu) -> Gpu:
        links = (machines.bundle("0-16"), machines.bundle("17", "inactive")) if gpu.index in ill else gpu.nvlinks
        return replace(gpu, nvlinks=links, mig=mig)

    return replace(node, gpus=tuple(map(of, node.gpus)))


def published(node: str, number: int = 0, driver: str = DRIVER, pool: str | None = None) -> Slice:
    gpus = machines.tray(1, number).gpus
    devices = tuple(Device(f"gpu-{gpu.index}", uuid=gpu.uuid) for gpu in gpus)
    return Slice(driver, node, pool or node, 1, 1, devices)


def graph(nodes: Mapping[str, NodeTopology], silent: Sequence[str] = ()) -> ClusterGraph:
    events = (Listed(nodes, {}), Silent(dict.fromkeys(silent)))
    return build(fold_all(Inventory(), events), None, {})


class Cluster:
    """The policy and what it sees."""

    def __init__(self, slices: Mapping[str, Slice], most: int = 64) -> None:
        self.slices = SliceIndex()
        self.slices.replace(slices)
        self.policy = DeviceTaints(TIMING, most=most, own_driver="topo.nvtopo.io")
        self.first = True

    def at(self, now: float, nodes: Mapping[str, NodeTopology], silent: Sequence[str] = ()) -> Decision:
        seen = graph(nodes, silent)
        for name in {*seen.nodes, "n0"}:
            self.policy.see(name, seen.nodes.get(name), self.slices, now, first=self.first)
        self.first = False
        return self.policy.decide(seen.nodes, self.slices, now)


def three(ill: Sequence[int] = ()) -> dict[str, NodeTopology]:
    return {"n0": tray(0, ill), "n1": tray(1), "n2": tray(2)}


def three_published() -> dict[str, Slice]:
    return {f"s{number}": published(f"n{number}", number) for number in range(3)}


@pytest.fixture(name="cluster")
def _cluster() -> Cluster:
    return Cluster(three_published())


def test_a_fault_that_lasts_is_tainted_and_one_that_is_away_as_long_no_more(cluster: Cluster) -> None:
    assert cluster.at(0, three(ill=[1])).taints == {}
    assert cluster.at(59, three(ill=[1])).taints == {}
    assert cluster.at(60, three(ill=[1])).taints == {GPU_1: "nvlinks-missing"}
    assert cluster.at(61, three()).taints == {GPU_1: "nvlinks-missing"}
    assert cluster.at(100, three(ill=[1])).taints == {GPU_1: "nvlinks-missing"}  # it flaps
    assert cluster.at(101, three()).taints == {GPU_1: "nvlinks-missing"}
    assert cluster.at(161, three()).taints == {}


def test_a_node_that_has_just_appeared_has_a_grace(cluster: Cluster) -> None:
    cluster.at(0, {"n1": tray(1), "n2": tray(2)})
    assert cluster.at(10, three(ill=[1])).taints == {}
    assert cluster.at(609, three(ill=[1])).taints == {}
    assert cluster.at(610, three(ill=[1])).taints == {GPU_1: "nvlinks-missing"}


def test_what_stood_before_this_process_stays_without_a_gap(cluster: Cluster) -> None:
    cluster.policy.adopt({GPU_1: "nvlinks-missing"})
    assert cluster.at(0, three(ill=[1])).taints == {GPU_1: "nvlinks-missing"}
    assert cluster.at(1, three(ill=[1, 2])).taints == {GPU_1: "nvlinks-missing"}, "another fault still has to last"


def test_what_stood_before_and_is_well_goes(cluster: Cluster) -> None:
    cluster.policy.adopt({GPU_1: "nvlinks-missing"})
    assert cluster.at(0, three()).taints == {}


def test_it_stays_while_nobody_knows(cluster: Cluster) -> None:
    cluster.policy.adopt({GPU_1: "nvlinks-missing"})
    assert cluster.at(0, three(), silent=["n0"]).taints == {GPU_1: "nvlinks-missing"}
    without = replace(tray(0), gpus=tray(0).gpus[:1])
    assert cluster.at(1, three() | {"n0": without}).taints == {GPU_1: "nvlinks-missing"}, "published and not seen"
    cluster.slices.change("s0", published("n0")._replace(devices=published("n0").devices[:1]))
    assert cluster.at(2, three() | {"n0": without}).taints == {}, "neither seen nor published"


def test_it_goes_with_its_node(cluster: Cluster) -> None:
    cluster.policy.adopt({GPU_1: "nvlinks-missing"})
    assert cluster.at(0, {"n1": tray(1), "n2": tray(2)}).taints == {}


def test_a_kubelet_that_wipes_its_slices_takes_no_taint_away(cluster: Cluster) -> None:
    cluster.at(0, three(ill=[1]))
    assert cluster.at(60, three(ill=[1])).taints
    cluster.slices.change("s0", None)
    assert cluster.at(61, three(ill=[1])).taints == {GPU_1: "nvlinks-missing"}
    renamed = published("n0")._replace(devices=(Device("gpu-9", uuid=tray().gpus[1].uuid),))
    cluster.slices.change("s0", renamed)
    assert cluster.at(62, three(ill=[1])).taints == {GPU_1._replace(device="gpu-9"): "nvlinks-missing"}


def lasting(cluster: Cluster, nodes: Mapping[str, NodeTopology]) -> Decision:
    cluster.at(0, nodes)
    return cluster.at(60, nodes)


def test_more_than_may_be_are_not_added_and_those_that_stand_stay(cluster: Cluster) -> None:
    """Three of twelve may be."""
    assert lasting(cluster, three(ill=[1])) == Decision({GPU_1: "nvlinks-missing"}, 0, 3)
    everything = {name: tray(number, ill=range(4)) for number, name in enumerate(three())}
    cluster.at(61, everything)
    assert cluster.at(121, everything) == Decision({GPU_1: "nvlinks-missing"}, 11, 3)


def test_a_limit_of_ones_own() -> None:
    assert lasting(Cluster(three_published(), most=1), three(ill=[1, 2])) == Decision({}, 2, 1)


def test_shadows_of_ours_and_parts_of_gpus_have_none() -> None:
    shadows = Cluster({"s0": published("n0", driver="topo.nvtopo.io")})
    assert lasting(shadows, three(ill=[1])).taints == {}
    whole = Cluster(three_published())
    assert lasting(whole, three() | {"n0": tray(0, ill=[1], mig=True)}).taints == {}


def test_a_node_cannot_have_a_device_of_another_nodes_pool_tainted() -> None:
    """``n0`` publishes its own GPU under the name that ``n1`` has for its."""
    cluster = Cluster({"s0": published("n0", 0, pool="n1"), "s1": published("n1", 1)})
    assert lasting(cluster, three(ill=[1])).taints == {}


def test_devices_of_an_older_generation_are_no_devices() -> None:
    old = published("n0")._replace(devices=(Device("old", uuid=tray().gpus[1].uuid),))
    cluster = Cluster({"old": old, "new": published("n0")._replace(generation=2)})
    assert lasting(cluster, three(ill=[1])).taints == {GPU_1: "nvlinks-missing"}


def test_a_device_is_also_known_by_its_address() -> None:
    node = tray(0, ill=[1])
    gpus = tuple(replace(gpu, pci_address=f"0000:0{gpu.index}:00.0") for gpu in node.gpus)
    at = published("n0")._replace(devices=(Device("gpu-x", bus_id="0000:01:00.0"),))
    cluster = Cluster({"s0": at})
    assert lasting(cluster, three() | {"n0": replace(node, gpus=gpus)}).taints == {
        GPU_1._replace(device="gpu-x"): "nvlinks-missing"
    }


def test_a_node_cannot_take_a_taint_from_another_node_by_its_pool() -> None:
    cluster = Cluster(three_published() | {"worse": published("n2", 2, pool="n0")})
    cluster.policy.adopt({GPU_1: "nvlink-down"})
    assert GPU_1 in cluster.at(0, three(ill=[1])).taints
    cluster.slices.change("worse", None)
    assert GPU_1 not in cluster.at(1000, three()).taints
