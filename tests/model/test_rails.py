import pytest
from msgspec.structs import replace

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.conclusions.hierarchy import functions_of, link_of
from nvtopo.model.conclusions.pcie import narrowed
from nvtopo.model.formats.address import PciAddress, parse_pci_address
from nvtopo.model.records.facts import NetDevice, NetFacts, PciDevice, PcieLink, PciFacts, RdmaDevice
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.text.words import pcie
from tests.model.machines import gpu, gpu_function, hca, machine

Hca = tuple[RdmaDevice, PciDevice]


def with_rate(device: Hca, rate: int, link_layer: str = "InfiniBand") -> Hca:
    rdma, function = device
    port = replace(rdma.ports[0], rate_bytes_per_second=rate, link_layer=link_layer)
    return replace(rdma, ports=(port,)), function


def test_nics_on_a_gpu_s_switch_are_the_rails_in_the_order_of_their_numbers() -> None:
    hcas = tuple(hca(index, switch=index % 2) for index in (10, 2, 1))
    derived = derive(assemble(machine(gpu(0), gpu(1), hcas=(*hcas, hca(7, switch=5)))))
    assert derived.rails == {"mlx5_1": 0, "mlx5_2": 1, "mlx5_10": 2}
    assert derived.nic_roles["mlx5_7"] == "storage"


def test_where_no_nic_is_near_the_fastest_are_the_rails_and_infiniband_comes_first() -> None:
    far = [hca(index, switch=5, numa_node=1) for index in range(4)]
    hcas = (
        with_rate(far[0], 50_000_000_000),
        with_rate(far[1], 50_000_000_000),
        with_rate(far[2], 50_000_000_000, "Ethernet"),
        with_rate(far[3], 25_000_000_000),
    )
    roles = derive(assemble(machine(gpu(0), hcas=hcas))).nic_roles
    assert roles == {"mlx5_0": "compute", "mlx5_1": "compute", "mlx5_2": "storage", "mlx5_3": "storage"}


@pytest.mark.parametrize(("name", "master"), [("eth0", None), ("eth0", "bond0")])
def test_the_nic_with_the_default_route_is_the_front(name: str, master: str | None) -> None:
    device, function = hca(0, switch=0)
    netdev = NetDevice(name=name, index=2, pci_address=function.address, master=master)
    net = NetFacts(devices=(netdev,), default_route=master or name)
    snapshot = replace(machine(gpu(0), hcas=((device, function), hca(1, switch=0))), net=net)
    assert derive(assemble(snapshot)).nic_roles == {"mlx5_0": "front", "mlx5_1": "compute"}


def test_a_node_without_gpus_has_no_roles_to_give() -> None:
    snapshot = replace(machine(functions=(), hcas=(hca(0, switch=0),)), nvml=None)
    assert derive(assemble(snapshot)).nic_roles == {}


def bridges(snapshot: Snapshot, words: dict[str, int | None]) -> Snapshot:
    """The machine with its bridges, each with an ACS control word."""
    assert snapshot.pci
    above = {name for device in snapshot.pci.devices for name in device.path.split("/")[1:]}
    made = tuple(
        PciDevice(address=name, class_code="0x060400", acs=words.get(name, 0))  # type: ignore[arg-type]
        for name in sorted(above)
    )
    return replace(snapshot, pci=PciFacts(devices=snapshot.pci.devices + made))


@pytest.mark.parametrize(
    ("words", "redirected"),
    [({}, False), ({"0000:b0:01.0": 0x1D}, True), ({"0000:b0:01.0": 1}, False), ({"0000:b0:01.0": None}, None)],
)
def test_acs_on_the_path_between_a_gpu_and_its_nic(words: dict[str, int | None], redirected: bool | None) -> None:
    snapshot = bridges(machine(gpu(0), hcas=(hca(0, switch=0),)), words)
    assert derive(assemble(snapshot)).nearest_nics[0].acs_redirect is redirected


def test_acs_on_another_path_does_not_matter() -> None:
    functions = (gpu_function(0), gpu_function(1))
    snapshot = bridges(machine(gpu(0), gpu(1), functions=functions, hcas=(hca(0, switch=0),)), {"0000:b1:00.0": 0x1D})
    assert derive(assemble(snapshot)).nearest_nics[0].acs_redirect is False


def test_a_nic_with_fewer_lanes_than_both_ends_have_is_below_its_best() -> None:
    device, function = hca(0, switch=0)
    full = PcieLink(generation=5, width=16, max_generation=5, max_width=16)
    port = PciDevice(address=function.path.rpartition("/")[2], link=full)  # type: ignore[arg-type]
    for width, below in ((8, ("mlx5_0",)), (16, ())):
        narrow = replace(function, link=replace(full, width=width))
        snapshot = machine(gpu(0), functions=(gpu_function(0), port), hcas=((device, narrow),))
        assert derive(assemble(snapshot)).nics_below_best == below


def test_an_x16_card_in_a_slot_of_eight_lanes_lacks_none() -> None:
    device, function = hca(0, switch=0)
    card = PcieLink(generation=5, width=8, max_generation=5, max_width=16)
    for lanes, said in ((8, "Gen5 x8"), (16, "Gen5 x8 of x16"), (None, "Gen5 x8")):
        slot = None if lanes is None else PcieLink(generation=5, width=8, max_generation=5, max_width=lanes)
        port = PciDevice(address=function.path.rpartition("/")[2], link=slot)  # type: ignore[arg-type]
        hcas = ((device, replace(function, link=card)),)
        snapshot = machine(gpu(0), functions=(gpu_function(0), port), hcas=hcas)
        node = assemble(snapshot)
        drawn = link_of(node.nics[0], functions_of(snapshot))
        assert pcie(drawn, steady=False) == said
        assert narrowed(drawn) is (derive(node).nics_below_best == ("mlx5_0",)) is (lanes == 16)


@pytest.mark.parametrize(
    ("open_module", "peermem", "says"), [(True, True, "dma-buf"), (False, True, "peermem"), (False, False, "none")]
)
def test_how_a_nic_could_reach_gpu_memory(open_module: bool, peermem: bool, says: str) -> None:
    snapshot = machine(gpu(0), hcas=(hca(0, switch=0),))
    assert snapshot.host
    host = replace(snapshot.host, nvidia_open=open_module, peermem=peermem)
    assert derive(assemble(replace(snapshot, host=host))).gpudirect == says
    assert derive(assemble(replace(machine(gpu(0)), host=host))).gpudirect is None


def grace(*hcas: Hca) -> Snapshot:
    """Two GPUs on each of two NUMA nodes, and no NIC on a switch of theirs, as on GB200."""
    functions = tuple(gpu_function(index, numa_node=index // 2) for index in range(4))
    return machine(*(gpu(index) for index in range(4)), functions=functions, hcas=hcas)


def connectx7(index: int, numa_node: int, *, state: str = "ACTIVE", rate: int = 50_000_000_000) -> Hca:
    rdma, function = hca(index, switch=5 + index, numa_node=numa_node)
    port = replace(rdma.ports[0], state=state, rate_bytes_per_second=rate, link_layer="InfiniBand")
    return replace(rdma, ports=(port,)), replace(function, vendor="0x15b3", device="0x1021", path=own_root(index))


def own_root(index: int) -> str:
    """A root bus of its own: no NIC shares a switch with a GPU."""
    return f"pci000{index}:00/000{index}:00:00.0"


FOUR_RAILS = tuple(connectx7(index, numa_node=index // 2) for index in range(4))
BLUEFIELD = with_rate(hca(8, switch=14), 25_000_000_000, "Ethernet")
BLUEFIELD = (BLUEFIELD[0], replace(BLUEFIELD[1], vendor="0x15b3", device="0xa2dc", path=own_root(8)))
SLOW = 1_250_000_000


@pytest.mark.parametrize("down", [{1}, {0, 3}, {0, 1, 2, 3}])
@pytest.mark.parametrize(("state", "rate"), [("DOWN", SLOW), ("ACTIVE", 25_000_000_000)])
def test_a_rail_stays_a_rail_while_its_port_is_down_or_slow(down: set[int], state: str, rate: int) -> None:
    hcas = tuple(
        connectx7(index, index // 2, state=state, rate=rate) if index in down else FOUR_RAILS[index]
        for index in range(4)
    )
    derived = derive(assemble(grace(*hcas, BLUEFIELD)))
    assert derived.rails == {f"mlx5_{index}": index for index in range(4)}
    assert derived.nic_roles["mlx5_8"] == "storage"


def bluefield(index: int, function: int = 0, *, layer: str = "Ethernet", switch: int | None = None) -> Hca:
    """A BlueField-4, which is faster than a ConnectX-7; on a GPU's switch or on a root of its own."""
    rdma, pci = with_rate(hca(index, switch=14 if switch is None else switch), 100_000_000_000, layer)
    where = parse_pci_address(f"0000:{0x60 + index:02x}:00.{function}")
    pci = replace(
        pci, address=where, vendor="0x15b3", device="0xa2df", path=pci.path if switch is not None else own_root(8)
    )
    return replace(rdma, name=f"mlx5_{index}_{function}", pci_address=where), pci


@pytest.mark.parametrize("layer", ["Ethernet", "InfiniBand"])
@pytest.mark.parametrize("dpus", [1, 2, 4])
def test_a_dpu_is_no_rail_beside_nics_however_fast_it_is(layer: str, dpus: int) -> None:
    derived = derive(assemble(grace(*FOUR_RAILS, *(bluefield(index, layer=layer) for index in range(dpus)))))
    assert derived.rails == {f"mlx5_{index}": index for index in range(4)}


def test_a_dpu_on_a_gpu_s_switch_is_no_rail_beside_nics() -> None:
    functions = tuple(gpu_function(index) for index in range(4))
    nics = [hca(index, switch=index) for index in range(4)]
    snapshot = machine(*(gpu(index) for index in range(4)), functions=functions, hcas=(*nics, bluefield(7, switch=0)))
    derived = derive(assemble(snapshot))
    assert derived.rails == {f"mlx5_{index}": index for index in range(4)}
    assert derived.nic_roles["mlx5_7_0"] == "storage"


def test_bluefields_that_are_one_for_each_gpu_are_rails_and_a_dpu_s_second_port_is_not() -> None:
    functions = tuple(gpu_function(index) for index in range(4))
    rails = [bluefield(index, switch=index) for index in range(4)]
    front = [bluefield(9, port, switch=0) for port in (0, 1)]
    storage = connectx7(5, 0)
    snapshot = machine(*(gpu(index) for index in range(4)), functions=functions, hcas=(*rails, *front, storage))
    netdev = NetDevice(name="ens9f1np1", index=2, pci_address=front[1][1].address)
    net = NetFacts(devices=(netdev,), default_route="ens9f1np1")
    derived = derive(assemble(replace(snapshot, net=net)))
    assert derived.rails == {f"mlx5_{index}_0": index for index in range(4)}
    assert derived.nic_roles["mlx5_9_1"] == "front"


@pytest.mark.parametrize("missing", [1, 3])
def test_a_nic_that_is_missing_leaves_its_number_free(missing: int) -> None:
    left = tuple(FOUR_RAILS[index] for index in range(4) if index != missing)
    assert derive(assemble(grace(*left))).rails == {f"mlx5_{n}": n for n in range(4) if n != missing}


def eight_rails() -> tuple[Hca, ...]:
    return tuple(hca(index, switch=index) for index in range(8))


def test_on_switches_a_missing_nic_leaves_its_switch_s_number_free() -> None:
    gpus = [gpu(index) for index in range(8)]
    left = tuple(one for index, one in enumerate(eight_rails()) if index != 3)
    functions = tuple(gpu_function(index) for index in range(8))
    derived = derive(assemble(machine(*gpus, functions=functions, hcas=left)))
    assert derived.rails == {f"mlx5_{n}": n for n in range(8) if n != 3}


@pytest.mark.parametrize("silent", [{2}, {0, 7}, set(range(8))])
def test_a_gpu_that_does_not_answer_keeps_its_rail(silent: set[int]) -> None:
    functions = tuple(replace(gpu_function(index), device="0x2330") for index in range(8))
    answering = [gpu(index) for index in range(8) if index not in silent]
    derived = derive(assemble(machine(*answering, functions=functions, hcas=eight_rails())))
    assert derived.rails == {f"mlx5_{n}": n for n in range(8)}


def test_a_gpu_that_left_the_bus_takes_no_rail_with_it() -> None:
    gpus = [replace(gpu(index), module_id=index + 1) for index in range(8) if index != 4]
    functions = tuple(gpu_function(index) for index in range(8) if index != 4)
    hcas = tuple((rdma, replace(function, vendor="0x15b3", device="0x1021")) for rdma, function in eight_rails())
    own_ports = tuple(
        (rdma, replace(function, path=function.path.replace("0000:00:01.0", f"0000:00:{number:02x}.0")))
        for number, (rdma, function) in enumerate(hcas)
    )
    functions = tuple(
        replace(one, path=one.path.replace("0000:00:01.0", f"0000:00:{int(one.address[5:7], 16) - 0x10:02x}.0"))
        for one in functions
    )
    derived = derive(assemble(machine(*gpus, functions=functions, hcas=own_ports)))
    assert derived.rails == {f"mlx5_{n}": n for n in range(8)}


def test_a_nic_whose_devices_are_in_another_namespace_is_still_there() -> None:
    snapshot = grace(*FOUR_RAILS)
    assert snapshot.pci
    assert snapshot.rdma
    gone = FOUR_RAILS[1][1].address
    moved = replace(
        snapshot,
        rdma=replace(snapshot.rdma, devices=tuple(one for one in snapshot.rdma.devices if one.pci_address != gone)),
        pci=PciFacts(
            devices=tuple(
                replace(one, netdevs_elsewhere=True) if one.address == gone else one for one in snapshot.pci.devices
            )
        ),
    )
    node = assemble(moved)
    derived = derive(node)
    assert len(node.nics) == len(FOUR_RAILS)
    assert derived.rails == {"mlx5_0": 0, gone: 1, "mlx5_2": 2, "mlx5_3": 3}
    before = derive(assemble(snapshot)).nearest_nics
    assert {index: nearest.level for index, nearest in derived.nearest_nics.items()} == {
        index: nearest.level for index, nearest in before.items()
    }
    assert not derived.complete


def netdevs(*devices: NetDevice, ipv4: str | None = None, ipv6: str | None = None) -> NetFacts:
    return NetFacts(devices=devices, default_route=ipv4, default_route_ipv6=ipv6)


ETH0 = NetDevice(name="eth0", index=2, pci_address=PciAddress("0000:40:00.0"))


@pytest.mark.parametrize(
    "net",
    [
        netdevs(ETH0, ipv6="eth0"),
        netdevs(ETH0, NetDevice(name="eth0.7", index=3, kind="vlan", lower=("eth0",)), ipv4="eth0.7"),
        netdevs(ETH0, NetDevice(name="eth0.7", index=3, kind="vlan"), ipv4="eth0.7"),
        netdevs(
            replace(ETH0, master="bond0"),
            NetDevice(name="bond0", index=3, kind="bond", lower=("eth0",)),
            NetDevice(name="bond0.7", index=4, kind="vlan", lower=("bond0",)),
            NetDevice(name="br0", index=5, kind="bridge", lower=("bond0.7",)),
            ipv4="br0",
        ),
        netdevs(
            replace(ETH0, master="ovs-system"),
            NetDevice(name="ovs-system", index=3),
            NetDevice(name="br-ex", index=4),
            ipv4="br-ex",
        ),
        netdevs(
            replace(ETH0, master="bond0"),
            NetDevice(name="bond0", index=3, kind="bond", lower=("eth0",), master="ovs-system"),
            NetDevice(name="ovs-system", index=4),
            NetDevice(name="br-ex", index=5),
            ipv6="br-ex",
        ),
        netdevs(
            replace(ETH0, master="loop1"),
            *(NetDevice(name=n, index=3, lower=(m,), master=m) for n, m in (("loop1", "loop2"), ("loop2", "loop1"))),
            ipv4="loop2",
        ),
    ],
)
def test_the_front_is_found_below_vlans_bonds_bridges_and_open_vswitch(net: NetFacts) -> None:
    snapshot = replace(machine(gpu(0), hcas=(hca(0, switch=0), hca(1, switch=0))), net=net)
    assert derive(assemble(snapshot)).nic_roles == {"mlx5_0": "front", "mlx5_1": "compute"}


@pytest.mark.parametrize("silent", [0, 3])
def test_rails_agree_on_a_gid_only_where_each_has_one(silent: int) -> None:
    node = assemble(grace(*FOUR_RAILS))
    nics = tuple(
        replace(nic, ports=tuple(replace(port, gid_index=None if at == silent else 3) for port in nic.ports))
        for at, nic in enumerate(node.nics)
    )
    mixed = replace(node, nics=nics)
    assert "nvtopo.io/rdma.gid-index" not in features(mixed, derive(mixed))
    agreed = replace(node, nics=(nics[1], nics[2]))
    assert features(agreed, derive(agreed))["nvtopo.io/rdma.gid-index"] == "3"
