from msgspec.structs import replace

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.conclusions.locality import Locality
from nvtopo.model.records import node as node_module
from nvtopo.model.records.facts import NvmlFacts, PcieLink, RdmaFacts
from nvtopo.model.records.snapshot import Snapshot
from tests.model.machines import address, gpu, gpu_function, hca, machine


def test_an_empty_snapshot_is_a_node_that_claims_nothing() -> None:
    node = assemble(Snapshot(capture=1))
    assert node_module.encode(node) == b'{"host":{}}'
    assert features(node, derive(node)) == {"nvtopo.io/gpu.count": "0", "nvtopo.io/nic.count": "0"}


def test_the_order_in_which_a_source_finds_things_does_not_matter() -> None:
    snapshot = machine(gpu(0), gpu(1), hcas=(hca(0, switch=0), hca(1, switch=1)))
    assert snapshot.pci
    assert snapshot.rdma
    shuffled = replace(
        snapshot,
        pci=replace(snapshot.pci, devices=snapshot.pci.devices[::-1]),
        rdma=RdmaFacts(devices=snapshot.rdma.devices[::-1]),
        nvml=NvmlFacts(driver_version="580.0", gpus=(gpu(1), gpu(0))),
    )
    assert node_module.encode(assemble(shuffled)) == node_module.encode(assemble(snapshot))


def test_an_idle_gpu_is_the_same_gpu() -> None:
    busy = replace(gpu(0), link=PcieLink(generation=5, width=16, max_generation=5, max_width=16))
    idle = replace(gpu(0), link=PcieLink(generation=1, width=16, max_generation=5, max_width=16))
    assert node_module.digest(assemble(machine(busy))) == node_module.digest(assemble(machine(idle)))


def test_the_nearest_nic_is_the_one_on_the_gpu_s_own_switch() -> None:
    derived = derive(assemble(machine(gpu(0), gpu(1), hcas=(hca(0, switch=0), hca(1, switch=1)))))
    near = derived.nearest_nics[1]
    assert (near.level, near.nccl_level, near.nics) == (Locality.PIX, Locality.PIX, ("mlx5_1",))


def test_a_gpu_on_the_bus_that_the_driver_does_not_answer_for_is_a_problem() -> None:
    node = assemble(machine(gpu(0), functions=(gpu_function(0), gpu_function(1))))
    assert [(problem.source, problem.subject) for problem in node.problems] == [("nvml", address(0x11))]
    assert features(node, derive(node))["nvtopo.io/ready"] == "false"


def test_gpus_without_a_driver_are_not_zero_gpus() -> None:
    node = assemble(replace(machine(functions=(gpu_function(0),)), nvml=None))
    assert "no NVIDIA driver library" in node.problems[0].reason
    assert "nvtopo.io/gpu.count" not in features(node, derive(node))


def test_a_device_without_a_numa_node_is_near_nothing_and_far_from_nothing() -> None:
    functions = (gpu_function(0, numa_node=None),)
    derived = derive(assemble(machine(gpu(0), functions=functions, hcas=(hca(0, switch=5, numa_node=1),))))
    near = derived.nearest_nics[0]
    assert (near.level, near.nics) == (None, ())


def test_one_numa_node_is_everybody_s() -> None:
    functions = (gpu_function(0, numa_node=None),)
    snapshot = machine(gpu(0), functions=functions, hcas=(hca(0, switch=5, numa_node=1),), nodes=1)
    assert derive(assemble(snapshot)).nearest_nics[0].level == Locality.NODE


def test_labels_are_legal() -> None:
    snapshot = machine(gpu(0), gpu(1), hcas=(hca(0, switch=0), hca(1, switch=1)))
    node = assemble(snapshot)
    for name, value in features(node, derive(node)).items():
        assert len(value) <= 63, name
        assert value[0].isalnum(), name
        assert value[-1].isalnum(), name
