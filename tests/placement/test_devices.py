"""GPUs that claims hold, and may get, from slices and claims in any order."""

from typing import Any

import pytest

from nvtopo.cluster.slice_index import SliceIndex
from nvtopo.cluster.slices import Device, Slice
from nvtopo.placement.device_claims import DeviceClaim
from nvtopo.placement.devices import Claimed, Devices
from nvtopo.placement.occupied import differing
from tests.calls import calls
from tests.cluster import machines

NODE = machines.name(1, 0)
GRAPH = machines.graph(machines.racks(1, 2))


class Follows(Devices):
    """With the slices that it reads."""

    def __init__(self) -> None:
        self.index = SliceIndex()
        super().__init__(self.index)

    def list_slices(self, slices: dict[str, Slice]) -> bool:
        return self.see_slices(self.index.replace(slices))

    def see_slice(self, name: str, now: Slice | None) -> bool:
        return self.see_slices(self.index.change(name, now))


def published(*indices: int, node: str = NODE, pool: str = "", **changes: Any) -> Slice:
    devices = tuple(Device(f"gpu-{index}", uuid=machines.gpu(1, int(node[-2:]), index).uuid) for index in indices)
    return Slice("gpu.nvidia.com", node, pool or node, 1, 1, devices)._replace(**changes)


def claim(name: str, *devices: str, pool: str = NODE, **changes: Any) -> DeviceClaim:
    gpus = tuple((pool, device) for device in devices)
    return DeviceClaim("team", name, "u", "1", gpus=gpus, allocated=bool(gpus))._replace(**changes)


def plain(found: Any) -> Any:
    """Held, unknown and published, with sets as they are written here."""
    return tuple(
        {node: set(one) if isinstance(one, frozenset) else one for node, one in part.items()} for part in found
    )


def test_what_claims_hold_is_in_use_whoever_made_them() -> None:
    devices = Follows()
    devices.list_claims((claim("a", "gpu-1", "gpu-3"),))
    devices.list_slices({"s": published(0, 1, 2, 3)})
    found = devices.claimed(GRAPH.nodes)
    assert plain(found) == ({NODE: {1, 3}}, {}, {NODE: {0, 1, 2, 3}})
    assert devices.claimed(GRAPH.nodes) is found
    assert devices.holder(NODE, 3) == ("team", "a")
    assert devices.holder(NODE, 0) is None
    assert devices.see_claim(("team", "a"), claim("a", "gpu-1", "gpu-3", leaving=True)) == (False, False)
    devices.claimed(GRAPH.nodes)
    assert devices.holder(NODE, 3) is None, "it is about to be free"
    assert devices.see_claim(("team", "b"), claim("b", "gpu-0")) == (True, False)
    assert devices.see_claim(("team", "b"), claim("b", "gpu-2")) == (True, True)
    assert devices.see_claim(("team", "b"), None) == (False, True)
    assert devices.see_claim(("team", "a"), None) == (False, True)
    assert plain(devices.claimed(GRAPH.nodes))[0] == {}


def test_a_device_that_no_slice_or_no_node_has_counts_all_the_same() -> None:
    devices = Follows()
    devices.list_claims((claim("a", "gpu-1"), claim("b", "mig-0")))
    assert plain(devices.claimed(GRAPH.nodes))[1] == {NODE: 2}
    devices.see_slice("s", published(1))
    devices.see_slice("m", Slice("gpu.nvidia.com", NODE, NODE, 1, 2, (Device("mig-0", uuid="MIG-1"),)))
    found = devices.claimed(GRAPH.nodes)
    assert plain(found)[:2] == ({NODE: {1}}, {NODE: 1})
    assert plain(devices.claimed({}))[1] == {NODE: 2}, "a node without a topology"
    assert plain(devices.claimed(GRAPH.nodes))[0] == {NODE: {1}}


def test_a_pool_may_have_another_name_than_its_node() -> None:
    devices = Follows()
    devices.list_claims((claim("a", "gpu-0", pool="pool-7"),))
    assert plain(devices.claimed(GRAPH.nodes))[1] == {"pool-7": 1}
    devices.list_slices({"s": published(0, pool="pool-7")})
    assert plain(devices.claimed(GRAPH.nodes))[:2] == ({NODE: {0}}, {})
    devices.list_claims(())
    assert plain(devices.claimed(GRAPH.nodes))[:2] == ({}, {})


def test_a_pool_stays_with_its_node_while_its_driver_is_away() -> None:
    devices = Follows()
    devices.list_claims((claim("a", "gpu-0", pool="pool-7"),))
    devices.list_slices({"s": published(0, pool="pool-7")})
    devices.list_slices({})
    assert plain(devices.claimed(GRAPH.nodes))[1] == {NODE: 1}
    devices.list_claims(())
    assert plain(devices.claimed(GRAPH.nodes))[1] == {}


def test_no_node_takes_another_s_pool_from_it() -> None:
    devices = Follows()
    other = machines.name(1, 1)
    devices.list_claims((claim("a", "gpu-0"),))
    devices.list_slices({"s": published(0), "t": published(0, node=other, pool=NODE)})
    held = plain(devices.claimed(GRAPH.nodes))[0]
    assert held[NODE] == {0}
    devices.see_slice("s", published(0, 1))
    devices.see_slice("t", None)
    assert plain(devices.claimed(GRAPH.nodes))[:2] == ({NODE: {0}}, {})


@pytest.mark.parametrize("claims", [10, 1000])
def test_a_slice_of_an_odd_pool_is_not_compared_with_all_claims(claims: int) -> None:
    devices = Follows()
    devices.list_claims(claim(str(number), "gpu-0", pool=f"pool-{number}") for number in range(claims))
    devices.claimed(GRAPH.nodes)
    assert calls(lambda: devices.see_slice("s", published(0, pool="pool-7"))) < 100


@pytest.mark.parametrize("nodes", [4, 400])
def test_a_claim_that_changes_costs_no_look_at_other_nodes(nodes: int) -> None:
    devices = Follows()
    devices.list_claims(claim(str(number), "gpu-0", pool=f"n{number}") for number in range(nodes))
    before = devices.claimed(GRAPH.nodes)
    devices.see_claim(("team", "x"), claim("x", "gpu-1", pool="n2"))
    found: list[Claimed] = []
    assert calls(lambda: found.append(devices.claimed(GRAPH.nodes))) < 60
    assert (found[0].unknown["n2"], found[0].published) == (2, before.published)
    assert found[0].held is before.held
    assert calls(lambda: differing(before.held, {**before.held})) < 20
    devices.see_claim(("team", "x"), None)
    assert plain(devices.claimed(GRAPH.nodes)) == plain(before)


def test_a_gpu_that_no_claim_can_get_is_not_offered() -> None:
    devices = Follows()
    tainted = Device("gpu-1", uuid=machines.gpu(1, 0, 1).uuid, taints=("xid=79:NoSchedule",))
    noted = Device("gpu-2", uuid=machines.gpu(1, 0, 2).uuid, taints=("slow=1:None",))
    devices.see_slice("s", published(0)._replace(devices=(*published(0).devices, tainted, noted)))
    assert plain(devices.claimed(GRAPH.nodes))[2] == {NODE: {0, 2}}
    devices.see_slice("old", published(3, generation=0))
    assert plain(devices.claimed(GRAPH.nodes))[2] == {NODE: {0, 2}}, "an older generation"
    devices.see_slice("s", published(0, parts=2))
    assert plain(devices.claimed(GRAPH.nodes))[2] == {}, "half a pool"
    devices.list_slices({})
    assert plain(devices.claimed(GRAPH.nodes))[2] == {}


def test_the_nodes_of_our_plugin_are_those_where_it_publishes() -> None:
    devices = Follows()
    own = Slice("topo.nvtopo.io", NODE, f"{NODE}/gpus", 1, 1)
    devices.list_slices({"a": own, "b": own._replace(node=""), "c": published(0)})
    assert devices.has_plugin(NODE)
    devices.see_slice("a", None)
    assert not devices.has_plugin(NODE)
    devices.see_slice("a", own)
    devices.list_slices({"c": published(0)})
    assert not devices.has_plugin(NODE)


def test_what_follows_is_the_same_as_what_is_read_at_once() -> None:
    one, two = Follows(), Follows()
    other = machines.name(1, 1)
    one.see_claim(("team", "a"), claim("a", "gpu-0"))
    one.see_slice("s", published(0, 1))
    one.see_slice("t", published(0, 1, node=other))
    one.see_claim(("team", "a"), claim("a", "gpu-1", pool=other))
    one.see_claim(("team", "b"), claim("b", "gpu-0"))
    one.claimed(GRAPH.nodes)
    one.see_slice("s", published(1))
    two.list_slices({"t": published(0, 1, node=other), "s": published(1)})
    two.list_claims((claim("b", "gpu-0"), claim("a", "gpu-1", pool=other)))
    assert one.claimed(GRAPH.nodes) == two.claimed(GRAPH.nodes)
