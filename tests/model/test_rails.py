import pytest
from msgspec.structs import replace

from nvtopo.model.assemble import assemble
from nvtopo.model.derive import derive
from nvtopo.model.facts import NetDevice, NetFacts, PciDevice, PcieLink, PciFacts, RdmaDevice
from nvtopo.model.snapshot import Snapshot
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
    assert derive(assemble(snapshot)).nearest_nics["GPU0"].acs_redirect is redirected


def test_acs_on_another_path_does_not_matter() -> None:
    functions = (gpu_function(0), gpu_function(1))
    snapshot = bridges(machine(gpu(0), gpu(1), functions=functions, hcas=(hca(0, switch=0),)), {"0000:b1:00.0": 0x1D})
    assert derive(assemble(snapshot)).nearest_nics["GPU0"].acs_redirect is False


def test_a_nic_with_fewer_lanes_than_both_ends_have_is_below_its_best() -> None:
    device, function = hca(0, switch=0)
    full = PcieLink(generation=5, width=16, max_generation=5, max_width=16)
    port = PciDevice(address=function.path.rpartition("/")[2], link=full)  # type: ignore[arg-type]
    for width, below in ((8, ("mlx5_0",)), (16, ())):
        narrow = replace(function, link=replace(full, width=width))
        snapshot = machine(gpu(0), functions=(gpu_function(0), port), hcas=((device, narrow),))
        assert derive(assemble(snapshot)).pcie_below_best == below


@pytest.mark.parametrize(
    ("open_module", "peermem", "says"), [(True, True, "dma-buf"), (False, True, "peermem"), (False, False, "none")]
)
def test_how_a_nic_could_reach_gpu_memory(open_module: bool, peermem: bool, says: str) -> None:
    snapshot = machine(gpu(0), hcas=(hca(0, switch=0),))
    assert snapshot.host
    host = replace(snapshot.host, nvidia_open=open_module, peermem=peermem)
    assert derive(assemble(replace(snapshot, host=host))).gpudirect == says
    assert derive(assemble(replace(machine(gpu(0)), host=host))).gpudirect is None
