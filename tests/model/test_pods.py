from nvtopo.model.records.facts import NumaNode
from nvtopo.model.records.node import Gpu
from nvtopo.model.samples.pods import GpuContainer, NumaPlacement, numa_placement

ONE, OTHER = (f"GPU-{digit * 8}-2222-3333-4444-555555555555" for digit in "12")
NUMA = (NumaNode(index=0, cpus="0-3"), NumaNode(index=1, cpus="4-7"), NumaNode(index=2))
MEMORY = {"anon": {0: 300, 1: 100}, "shmem": {0: 0, 1: 100}, "file": {0: 0, 1: 10_000}}


def container(
    *devices: str, nodes: tuple[int, ...] = (), memory: dict[str, dict[int, int]] | None = None, cpus: str = ""
) -> GpuContainer:
    return GpuContainer(
        namespace="jobs",
        pod="train-0",
        container="worker",
        devices=devices,
        numa_nodes=nodes,
        memory_bytes=MEMORY if memory is None else memory,
        cpus=cpus,
    )


def gpu(index: int, uuid: str, numa_node: int | None, memory_numa_node: int | None = None) -> Gpu:
    return Gpu(index=index, uuid=uuid, numa_node=numa_node, memory_numa_node=memory_numa_node)


def concluded(container: GpuContainer, *gpus: Gpu) -> NumaPlacement:
    return numa_placement(container, gpus, {gpu.index + 10: gpu.index for gpu in gpus}, NUMA)


def test_what_is_not_near_the_gpu_is_remote_and_page_cache_does_not_count() -> None:
    assert concluded(container(ONE, cpus="2-5"), gpu(3, ONE, 0), gpu(4, OTHER, 1)) == NumaPlacement(
        gpus=(3,), local_nodes=(0,), cpus={0: 2, 1: 2}, remote_memory_ratio=200 / 500
    )


def test_a_node_near_any_of_its_gpus_is_local() -> None:
    found = concluded(container(ONE, OTHER), gpu(3, ONE, 0), gpu(4, OTHER, 1))
    assert (found.gpus, found.local_nodes, found.remote_memory_ratio) == ((3, 4), (0, 1), 0)


def test_a_grace_gpu_s_own_memory_is_local() -> None:
    found = concluded(container(ONE, memory={"anon": {0: 1, 2: 3}}), gpu(0, ONE, 0, memory_numa_node=2))
    assert (found.local_nodes, found.remote_memory_ratio) == ((0, 2), 0)


def test_a_gpu_that_is_near_no_node_leaves_it_to_the_device_plugin_else_unknown() -> None:
    assert concluded(container(ONE), gpu(0, ONE, None)).local_nodes is None
    assert concluded(container(ONE), gpu(0, ONE, None)).remote_memory_ratio is None
    found = concluded(container(ONE, nodes=(1,)), gpu(0, ONE, None))
    assert (found.local_nodes, found.remote_memory_ratio) == ((1,), 300 / 500)


def test_one_gpu_that_is_not_known_makes_the_others_no_answer() -> None:
    assert concluded(container(ONE, "MIG-6666"), gpu(0, ONE, 0)).local_nodes is None


def test_shares_and_claims_name_their_gpu_and_a_mig_device_by_its_uuid_does_not() -> None:
    both = gpu(0, ONE, 0), gpu(1, OTHER, 1)
    assert concluded(container(f"{ONE}::2"), *both).gpus == (0,)
    assert concluded(container("gpu.nvidia.com/gpu-11"), *both).gpus == (1,)
    assert concluded(container("gpu.nvidia.com/gpu-11-mig-9-0-4"), *both).gpus == (1,)
    assert concluded(container("gpu.nvidia.com/gpu-vfio-1"), *both).gpus == ()
    assert concluded(container("MIG-6666"), *both).gpus == ()


def test_a_container_without_memory_of_its_own_has_no_ratio() -> None:
    assert concluded(container(ONE, memory={"file": {1: 7}}), gpu(0, ONE, 0)).remote_memory_ratio is None
