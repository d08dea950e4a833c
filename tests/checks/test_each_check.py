"""Each check of a node: a machine on which it fails, one on which it passes, one on which it can't know."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest
from msgspec.structs import replace

from nvtopo.checks.check import Machine, Network, NodeLabels
from nvtopo.checks.report import NodeReport, of_node
from nvtopo.checks.table import CHECKS
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.unread import SOURCE_HANGS
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.facts import (
    CdiSpec,
    DeviceHint,
    DeviceHints,
    GpuFacts,
    GpuUpkeep,
    ImexFacts,
    IoPathFacts,
    KubeletFacts,
    MemoryFacts,
    NetDevice,
    NetQos,
    NetworkMount,
    NicInterrupts,
    NumaMemory,
    NvLinkErrors,
    PciDevice,
    PodMemory,
    QosFacts,
    RdmaDevice,
    RdmaPort,
    RuntimeFacts,
)
from nvtopo.model.records.record import Problem
from nvtopo.model.records.snapshot import Snapshot
from tests.checks.recorded import machine_of, snapshot_of

Mutation = Callable[[Snapshot], Snapshot]
_RAIL: Final = "mlx5_3"
_PORT: Final = "mlx5_3/1"


def gpus(change: Callable[[GpuFacts], GpuFacts], *indices: int) -> Mutation:
    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.nvml is not None
        changed = tuple(change(gpu) if not indices or gpu.index in indices else gpu for gpu in snapshot.nvml.gpus)
        return replace(snapshot, nvml=replace(snapshot.nvml, gpus=changed))

    return mutate


def upkeep(*indices: int, **facts: Any) -> Mutation:
    """Of these GPUs; of the others all is well, and so it is without facts."""
    well = GpuUpkeep(persistence=True, ecc=True, ecc_pending=True, uncorrected_errors=0, links=())

    def changed(gpu: GpuFacts) -> GpuFacts:
        return replace(gpu, upkeep=replace(well, **facts) if gpu.index in indices else well)

    return gpus(changed)


def slow_link(rate: int | None) -> Mutation:
    """Link 5 of GPU 2."""

    def changed(gpu: GpuFacts) -> GpuFacts:
        links = tuple(replace(link, bytes_per_second=rate) if link.link == 5 else link for link in gpu.nvlinks)
        return replace(gpu, nvlinks=links)

    return gpus(changed, 2)


def functions(change: Callable[[PciDevice], PciDevice], wanted: Callable[[PciDevice], bool]) -> Mutation:
    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.pci is not None
        changed = tuple(change(device) if wanted(device) else device for device in snapshot.pci.devices)
        return replace(snapshot, pci=replace(snapshot.pci, devices=changed))

    return mutate


def rdma(change: Callable[[RdmaDevice], RdmaDevice], *names: str) -> Mutation:
    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.rdma is not None
        changed = tuple(change(one) if not names or one.name in names else one for one in snapshot.rdma.devices)
        return replace(snapshot, rdma=replace(snapshot.rdma, devices=changed))

    return mutate


def ports(change: Callable[[RdmaPort], RdmaPort], *names: str) -> Mutation:
    return rdma(lambda device: replace(device, ports=tuple(map(change, device.ports))), *names)


def mtu(value: int | None, *names: str) -> Mutation:
    """Of the netdevs of these RDMA devices."""

    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.net is not None
        assert snapshot.rdma is not None
        netdevs = {netdev for one in snapshot.rdma.devices if not names or one.name in names for netdev in one.netdevs}
        changed = tuple(replace(one, mtu_bytes=value) if one.name in netdevs else one for one in snapshot.net.devices)
        return replace(snapshot, net=replace(snapshot.net, devices=changed))

    return mutate


def host(**facts: Any) -> Mutation:
    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.host is not None
        return replace(snapshot, host=replace(snapshot.host, **facts))

    return mutate


def numa(**facts: Any) -> Mutation:
    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.numa is not None
        return replace(snapshot, numa=replace(snapshot.numa, **facts))

    return mutate


def hugepages(*counts: int) -> Mutation:
    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.numa is not None
        nodes = tuple(
            replace(node, hugepages={"2048kB": count}) for node, count in zip(snapshot.numa.nodes, counts, strict=True)
        )
        return replace(snapshot, numa=replace(snapshot.numa, nodes=nodes))

    return mutate


def numa_memory(index: int, bytes_: int | None) -> Mutation:
    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.numa is not None
        nodes = tuple(
            replace(node, memory_bytes=bytes_) if node.index == index else node for node in snapshot.numa.nodes
        )
        return replace(snapshot, numa=replace(snapshot.numa, nodes=nodes))

    return mutate


def memory(*allocatable: int, reserved: int = 3 << 30, due: int | None = 3 << 30) -> Mutation:
    """What a memory manager with the policy Static leaves on each NUMA node."""
    nodes = tuple(
        NumaMemory(index=index, total_bytes=1 << 40, reserved_bytes=(1 << 40) - left, allocatable_bytes=left)
        for index, left in enumerate(allocatable)
    )
    facts = MemoryFacts(nodes=nodes, reserved_bytes={"0": reserved}, due_bytes=due)
    return together(kubelet(memory_manager_policy="Static"), lambda snapshot: replace(snapshot, memory=facts))


def hints(*of_gpu0: int, function: str = "0000:53:00.0", node: int = 0) -> Mutation:
    """What the device plugins state: of GPU 0, and of one PCI function. Of the other GPUs it is right."""

    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.nvml is not None
        gpus = tuple(
            DeviceHint(
                resource="nvidia.com/gpu", id=gpu.uuid, numa_nodes=(gpu.index // 4,) if gpu.index else tuple(of_gpu0)
            )
            for gpu in snapshot.nvml.gpus
        )
        other = DeviceHint(resource="example.com/vf", id=function, numa_nodes=(node,))
        return replace(snapshot, hints=DeviceHints(devices=(*gpus, other)))

    return mutate


def kubelet(**facts: Any) -> Mutation:
    return lambda snapshot: replace(snapshot, kubelet=KubeletFacts(**facts))


def flow_control(*names: str, **facts: Any) -> Mutation:
    """What is shown of the netdevs of these RDMA devices; of the others, and where nothing is given, all is well."""
    well = NetQos(
        netdev="", pfc=8, trusts_dscp=True, buffers_bytes=(20000,) * 3 + (60000,) * 5, ecn_notify=8, ecn_react=8
    )

    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.rdma is not None
        found = [
            replace(well, netdev=netdev, **(facts if not names or one.name in names else {}))
            for one in snapshot.rdma.devices
            for netdev in one.netdevs
        ]
        return replace(snapshot, qos=QosFacts(devices=tuple(found)))

    return mutate


def iopath(**facts: Any) -> Mutation:
    return lambda snapshot: replace(snapshot, iopath=IoPathFacts(**facts))


def pods(*refused: int | None) -> Mutation:
    """Pods with a GPU, and how often each was refused memory."""
    made = tuple(
        PodMemory(uid=f"pod-{index}", resources=("nvidia.com/gpu",), limit_bytes=1 << 30, refused=count)
        for index, count in enumerate(refused)
    )
    return lambda snapshot: replace(snapshot, memory=MemoryFacts(pods=made))


def overlay(
    mtu_bytes: int | None, route: str | None = "enp42s0f0np0", name: str = "flannel.1", **facts: Any
) -> Mutation:
    """A tunnel of the pod network on the device of the default route, whose MTU is 9000."""

    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.net is not None
        made = NetDevice(name=name, index=98, mtu_bytes=mtu_bytes, **({"kind": "vxlan"} | facts))
        devices = (*snapshot.net.devices, made)
        return replace(snapshot, net=replace(snapshot.net, devices=devices, default_route=route))

    return mutate


def mounted(netdev: str | None) -> Mutation:
    return iopath(mounts=(NetworkMount(path="/data", kind="nfs4", netdev=netdev),))


def without_netdev(name: str) -> Mutation:
    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.net is not None
        kept = tuple(device for device in snapshot.net.devices if device.name != name)
        return replace(snapshot, net=replace(snapshot.net, devices=kept))

    return mutate


def _with_networks(capacity: str | None, allocatable: str | None = None) -> NodeLabels:
    """A Node beside two networks: one that gives out virtual functions, one on a network device."""
    networks = (
        Network("jobs/vf", "example.com/vf", "sriov"),
        Network("jobs/macvlan", None, "macvlan", "enp84s0np0", 4000),
    )
    if capacity is None:
        return NodeLabels({}, networks=networks)
    offered = {"example.com/vf": allocatable or capacity}
    return NodeLabels({}, offered, {"example.com/vf": capacity}, networks)


def network(name: str, *lower: str, kind: str = "bond") -> Mutation:
    """One more network device, on top of these."""

    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.net is not None
        made = NetDevice(name=name, index=99, kind=kind, lower=lower)
        return replace(snapshot, net=replace(snapshot.net, devices=(*snapshot.net.devices, made)))

    return mutate


def interrupts(cpus: str, count: int) -> Mutation:
    """Of rail 0, which is on NUMA node 0."""
    return iopath(interrupts=(NicInterrupts(netdev="enp84s0np0", count=count, cpus=cpus),))


def containers(**facts: Any) -> Mutation:
    """What is shown of the container runtime, where it is another than usual."""
    usual = RuntimeFacts(
        runtimes=("containerd",),
        locked_memory_unlimited=True,
        configured=("/etc/containerd/config.toml",),
        nvidia_runtime=True,
        cdi=(_cdi(*map(str, range(8))),),
        rdma_limits=(),
        cgroup_version=2,
    )
    return lambda snapshot: replace(snapshot, runtime=replace(usual, **facts))


def _cdi(*devices: str, missing: tuple[str, ...] = ()) -> CdiSpec:
    paths = tuple(f"/dev/nvidia{number}" for number in range(8))
    return CdiSpec(
        file="/etc/cdi/nvidia.yaml",
        kind="nvidia.com/gpu",
        devices=(*devices, "all"),
        paths=paths,
        missing_paths=missing,
    )


def imex(**facts: Any) -> Mutation:
    return lambda snapshot: replace(snapshot, imex=ImexFacts(**facts))


def in_a_rack(snapshot: Snapshot) -> Snapshot:
    """Its GPUs are in an NVLink domain of several nodes, as those of a tray are."""
    facts = snapshot_of("gb200-nvl72-tray").nvml
    assert facts is not None
    return gpus(lambda gpu: replace(gpu, fabric=facts.gpus[0].fabric))(snapshot)


def without(name: str) -> Mutation:
    return lambda snapshot: replace(snapshot, **{name: None})


def together(*mutations: Mutation) -> Mutation:
    def mutate(snapshot: Snapshot) -> Snapshot:
        for one in mutations:
            snapshot = one(snapshot)
        return snapshot

    return mutate


def unread(source: str, subject: str) -> Mutation:
    problem = Problem(source=source, subject=subject, reason="Permission denied")
    return lambda snapshot: replace(snapshot, problems=(*snapshot.problems, problem))


def virtual(count: int, *names: str, driver: str = "mlx5_core") -> Mutation:
    """Virtual functions of these RDMA devices, or of all that are rails."""

    def mutate(snapshot: Snapshot) -> Snapshot:
        assert snapshot.rdma is not None
        assert snapshot.pci is not None
        wanted = names or tuple(f"mlx5_{number}" for number in range(8))
        parents = {device.name: device.pci_address for device in snapshot.rdma.devices}
        made = [
            PciDevice(
                address=PciAddress(f"{parent[:-1]}{number}"),
                path="",
                class_code="0x020000",
                vendor="0x15b3",
                device="0x101e",
                driver=driver,
                physfn=parent,
            )
            for name in wanted
            if (parent := parents[name]) is not None
            for number in range(2, 2 + count)
        ]
        return replace(snapshot, pci=replace(snapshot.pci, devices=(*snapshot.pci.devices, *made)))

    return mutate


def hangs(source: str) -> Mutation:
    problem = Problem(source=source, subject=source, reason=SOURCE_HANGS)
    return lambda snapshot: replace(snapshot, problems=(*snapshot.problems, problem))


def _bridge(device: PciDevice) -> bool:
    return device.class_code.startswith("0x0604")


def _nic(device: PciDevice) -> bool:
    return device.class_code.startswith("0x02")


def _gpu(device: PciDevice) -> bool:
    return device.class_code.startswith("0x0302")


def rail_address() -> PciAddress:
    facts = snapshot_of("h100-sxm-8gpu-8cx7").rdma
    assert facts is not None
    (address,) = (device.pci_address for device in facts.devices if device.name == _RAIL)
    assert address is not None
    return address


def _is_rail(device: PciDevice) -> bool:
    return device.address == rail_address()


def _nvme(device: PciDevice) -> bool:
    return device.class_code.startswith("0x0108")


#: What a machine with permissions and an idle kubelet shows.
_ALL_KNOWN: Final = together(
    functions(lambda device: replace(device, acs=0), _bridge),
    functions(lambda device: replace(device, ats=True, relaxed_ordering=True), _nic),
    ports(lambda port: replace(port, active_mtu_bytes=4096)),
    host(gpu_modules=("gdrdrv", "nvidia", "nvidia_fs", "nvidia_uvm"), numa_balancing=0, governors=("performance",) * 8),
    numa(allowed_cpus="0-220", isolated_cpus="5"),
    hugepages(512, 512),
    kubelet(
        cpu_manager_policy="static",
        asked_cpu_manager_policy="static",
        topology_manager_policy="restricted",
        asked_topology_manager_policy="restricted",
        reserved_cpus="0-1,56-57",
    ),
    flow_control(),
    upkeep(),
    containers(),
    imex(channels=True, daemons=0),
)


def good() -> Snapshot:
    return _ALL_KNOWN(snapshot_of("h100-sxm-8gpu-8cx7"))


def _same(snapshot: Snapshot) -> Snapshot:
    return snapshot


class Row(NamedTuple):
    fails: Mutation
    unknown: Mutation
    subject: str = "node"
    """Of the finding."""
    passes: Mutation = _same
    from_resource: bool = False
    """It can't know of a node that is read from its resource, without a capture."""
    labels: tuple[NodeLabels, NodeLabels, NodeLabels] | None = None
    """Labels of the Node with which it fails, passes and can't know."""


_TRANSLATES: Final = functions(lambda device: replace(device, iommu_type="DMA"), lambda one: bool(one.iommu_type))

ROWS: Final[dict[str, Row]] = {
    "gpu-products-differ": Row(
        gpus(lambda gpu: replace(gpu, name="NVIDIA A100"), 0), gpus(lambda gpu: replace(gpu, name=""), 0)
    ),
    "mig-modes-differ": Row(gpus(lambda gpu: replace(gpu, mig=True), 1), gpus(lambda gpu: replace(gpu, mig=None), 1)),
    "gpu-vbios-differs": Row(
        gpus(lambda gpu: replace(gpu, vbios="96.00.00.00.00"), 4), gpus(lambda gpu: replace(gpu, vbios=None)), "GPU4"
    ),
    "gpu-memory-differs": Row(
        gpus(lambda gpu: replace(gpu, memory_bytes=1 << 36), 7),
        gpus(lambda gpu: replace(gpu, memory_bytes=None)),
        "GPU7",
    ),
    "persistence-mode-off": Row(upkeep(3, persistence=False), gpus(lambda gpu: replace(gpu, upkeep=None)), "GPU3"),
    "ecc-modes-differ": Row(upkeep(3, ecc=False), upkeep(3, ecc=None), "GPU3"),
    "gpu-ecc-errors": Row(
        upkeep(3, uncorrected_errors=2),
        upkeep(3, uncorrected_errors=None, refused={"uncorrectedErrors": "Insufficient Permissions"}),
        "GPU3",
    ),
    "nvlink-errors": Row(
        upkeep(3, links=(NvLinkErrors(link=11, effective_bit_error_ratio=3e-11),)), upkeep(3, links=None), "GPU3"
    ),
    "nvlink-slow": Row(slow_link(20_000_000_000), slow_link(None), "GPU2"),
    "gpu-nic-far": Row(
        functions(
            lambda device: replace(device, path="pci0000:f0", numa_node=1),
            lambda device: device.address == "0000:53:00.0",
        ),
        functions(lambda device: replace(device, path="", numa_node=None), _gpu),
        "GPU0",
    ),
    "acs-redirect": Row(
        functions(lambda device: replace(device, acs=0x1D), _bridge),
        functions(lambda device: replace(device, acs=None), _bridge),
        "GPU0",
    ),
    "iommu-translates": Row(
        _TRANSLATES,
        lambda snapshot: replace(
            snapshot,
            pci=snapshot.pci
            and replace(
                snapshot.pci, devices=tuple(one for one in snapshot.pci.devices if one.address != "0000:53:00.0")
            ),
        ),
    ),
    "ats-off": Row(
        together(_TRANSLATES, functions(lambda device: replace(device, ats=False), _is_rail)),
        together(_TRANSLATES, functions(lambda device: replace(device, ats=None), _is_rail)),
        _RAIL,
        _TRANSLATES,
    ),
    "relaxed-ordering-off": Row(
        functions(lambda device: replace(device, relaxed_ordering=False), _is_rail),
        functions(lambda device: replace(device, relaxed_ordering=None), _is_rail),
        _RAIL,
    ),
    "imex-channels-missing": Row(
        together(in_a_rack, imex(channels=False)), together(in_a_rack, without("imex")), passes=in_a_rack
    ),
    "imex-daemon-amiss": Row(
        together(in_a_rack, imex(channels=True, daemons=0, nodes=18)),
        together(in_a_rack, imex(channels=True, nodes=18)),
        passes=in_a_rack,
    ),
    "rail-pfc-differs": Row(flow_control(_RAIL, pfc=24), flow_control(_RAIL, pfc=None), _RAIL),
    "rail-trust-differs": Row(flow_control(_RAIL, trusts_dscp=False), flow_control(_RAIL, trusts_dscp=None), _RAIL),
    "rail-ecn-differs": Row(flow_control(_RAIL, ecn_react=0), flow_control(_RAIL, ecn_react=None), _RAIL),
    "pfc-buffer-missing": Row(
        flow_control(_RAIL, buffers_bytes=(20000,) * 3 + (0,) * 5), flow_control(_RAIL, buffers_bytes=()), _RAIL
    ),
    "pfc-not-reached": Row(
        flow_control(_RAIL, trusts_dscp=False),
        flow_control(_RAIL, trusts_dscp=None),
        _RAIL,
        together(flow_control(_RAIL, trusts_dscp=False), network("vlan100", "enp135s0np0", kind="vlan")),
    ),
    "roce-uncontrolled": Row(
        flow_control(_RAIL, pfc=0, ecn_react=0), flow_control(_RAIL, pfc=0, ecn_react=None), _RAIL
    ),
    "locked-memory-limited": Row(
        containers(locked_memory_unlimited=False, locked_memory_bytes=8 << 20),
        containers(locked_memory_unlimited=None),
    ),
    "rdma-cgroup-limited": Row(
        containers(rdma_limits=("mlx5_0 hca_handle=2 hca_object=max",)), containers(rdma_limits=None)
    ),
    "container-gpus-unset": Row(containers(nvidia_runtime=False, cdi=()), containers(nvidia_runtime=None, cdi=())),
    "cdi-gpus-differ": Row(containers(cdi=(_cdi(*map(str, range(7))),)), without("runtime"), "/etc/cdi/nvidia.yaml"),
    "cdi-devices-missing": Row(
        containers(cdi=(_cdi("0", missing=("/dev/nvidia7",)),)), without("runtime"), "/etc/cdi/nvidia.yaml"
    ),
    "cgroup-v1": Row(containers(cgroup_version=1), containers(cgroup_version=None)),
    "node-labels-differ": Row(
        _same,
        _same,
        "nvtopo.io/ready",
        labels=(
            NodeLabels({"nvtopo.io/ready": "false", "nvtopo.io/gpu.count": "8"}),
            NodeLabels({"nvtopo.io/ready": "true", "nvtopo.io/gpu.count": "8"}),
            NodeLabels(None),
        ),
    ),
    "gfd-labels-differ": Row(
        in_a_rack,
        in_a_rack,
        "nvidia.com/gpu.clique",
        in_a_rack,
        labels=(
            NodeLabels({"nvidia.com/gpu.clique": "another.2", "nvidia.com/gpu.count": "8"}),
            NodeLabels({"nvidia.com/gpu.count": "8", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3-SHARED"}),
            NodeLabels({"kubernetes.io/hostname": "a"}),
        ),
    ),
    "sriov-vfs-differ": Row(virtual(3, _RAIL), together(virtual(3), hangs("pci")), _RAIL, virtual(3)),
    "sriov-vfs-without-driver": Row(virtual(3, driver=""), virtual(3), _RAIL, virtual(3), from_resource=True),
    "gpudirect-rdma-missing": Row(host(nvidia_open=False, peermem=False), together(without("host"), hangs("host"))),
    "node-gpus-missing": Row(
        _same,
        _same,
        labels=(
            NodeLabels({}, {"nvidia.com/gpu": "7"}),
            NodeLabels({}, {"nvidia.com/gpu": "32"}),
            NodeLabels({}, {"cpu": "224"}),
        ),
    ),
    "rail-mtus-differ": Row(mtu(1500, _RAIL), mtu(None), _RAIL),
    "rail-mtu-small": Row(mtu(1500, _RAIL), mtu(None), _RAIL),
    "rdma-mtu-below-netdev": Row(
        ports(lambda port: replace(port, active_mtu_bytes=1024), _RAIL),
        ports(lambda port: replace(port, active_mtu_bytes=None), _RAIL),
        _PORT,
    ),
    "rail-models-differ": Row(
        functions(lambda device: replace(device, device="0x101b"), _is_rail),
        functions(lambda device: replace(device, device=""), _nic),
        _RAIL,
    ),
    "rail-firmware-differs": Row(
        rdma(lambda device: replace(device, firmware="28.40.0001"), _RAIL),
        rdma(lambda device: replace(device, firmware="")),
    ),
    "rail-rate-low": Row(
        ports(lambda port: replace(port, rate_bytes_per_second=25_000_000_000), _RAIL),
        ports(lambda port: replace(port, rate_bytes_per_second=None), _RAIL),
        _PORT,
    ),
    "roce-gid-missing": Row(
        ports(lambda port: replace(port, gids=port.gids[:3]), _RAIL), unread("rdma", f"{_RAIL}/1/gids"), _PORT
    ),
    "roce-gid-indices-differ": Row(
        ports(lambda port: replace(port, gids=tuple(replace(gid, index=gid.index + 4) for gid in port.gids)), _RAIL),
        together(unread("rdma", f"{_RAIL}/1/gids"), ports(lambda port: replace(port, gids=()), _RAIL)),
    ),
    "rail-hidden": Row(
        together(
            functions(lambda device: replace(device, driver="vfio-pci"), _is_rail),
            lambda snapshot: replace(
                snapshot,
                rdma=snapshot.rdma
                and replace(snapshot.rdma, devices=tuple(one for one in snapshot.rdma.devices if one.name != _RAIL)),
                net=snapshot.net
                and replace(
                    snapshot.net,
                    devices=tuple(one for one in snapshot.net.devices if one.pci_address != rail_address()),
                ),
            ),
        ),
        hangs("pci"),
        rail_address(),
    ),
    "gpu-numa-missing": Row(
        functions(lambda device: replace(device, numa_node=None), lambda device: device.address == "0000:53:00.0"),
        together(host(hypervisor=True), functions(lambda device: replace(device, numa_node=None), _gpu)),
        "GPU0",
    ),
    "numa-balancing-on": Row(host(numa_balancing=1), host(numa_balancing=None)),
    "cpu-governor": Row(host(governors=("powersave", "performance")), host(governors=())),
    "gpu-cpus-isolated": Row(numa(isolated_cpus="56-111,168-223"), without("numa"), "NUMA node 1"),
    "hugepages-uneven": Row(hugepages(512, 0), without("numa")),
    "gpu-cpus-forbidden": Row(
        numa(allowed_cpus="0-3"),
        functions(lambda device: replace(device, numa_node=None, local_cpus=""), _gpu),
        "GPU4",
    ),
    "gds-module-missing": Row(
        iopath(cufile=True, nvidia_fs=False), iopath(cufile=True), passes=iopath(cufile=True, nvidia_fs=True)
    ),
    "mount-on-rail": Row(mounted("enp84s0np0"), mounted(None), "/data (nfs4)", passes=mounted("enp42s0f0np0")),
    "gdrcopy-module-missing": Row(
        iopath(gdrcopy=True, gdrdrv=False), iopath(gdrcopy=True), passes=iopath(gdrcopy=True, gdrdrv=True)
    ),
    "mount-far": Row(
        mounted("enp42s0f0np0"),
        mounted(None),
        "/data (nfs4)",
        together(mounted("bond0"), network("bond0", "enp42s0f0np0", "enp152s0np0")),
    ),
    "nic-interrupts-far": Row(interrupts("56-63", 16), interrupts("", 0), "mlx5_0", passes=interrupts("0-7", 16)),
    "nic-interrupts-isolated": Row(interrupts("4-7", 16), interrupts("", 0), "mlx5_0", passes=interrupts("6-7", 16)),
    "driver-versions-differ": Row(host(nvidia_module="570.10.01"), host(nvidia_module="")),
    "nouveau-loaded": Row(host(gpu_modules=("nouveau",)), host(gpu_modules=())),
    "nvme-far": Row(
        functions(lambda device: replace(device, numa_node=0), _nvme),
        functions(lambda device: replace(device, numa_node=None), _nvme),
        "NUMA node 1",
    ),
    "kubelet-policy-not-in-force": Row(
        kubelet(cpu_manager_policy="none", asked_cpu_manager_policy="static"),
        kubelet(asked_cpu_manager_policy="static"),
    ),
    "topology-policy-refuses": Row(kubelet(topology_manager_policy="single-numa-node"), kubelet()),
    "topology-hint-missing": Row(
        functions(lambda device: replace(device, numa_node=None), lambda device: device.address == "0000:53:00.0"),
        kubelet(),
        "GPU0",
    ),
    "gpu-cpus-reserved": Row(
        kubelet(cpu_manager_policy="static", reserved_cpus="0,56-111,168-223"),
        kubelet(cpu_manager_policy="static"),
        "NUMA node 1",
    ),
    "reserved-cpus-isolated": Row(
        kubelet(cpu_manager_policy="static", reserved_cpus="0-5"), kubelet(cpu_manager_policy="static")
    ),
    "network-resource-short": Row(
        _same, _same, "example.com/vf", labels=(_with_networks("8", "6"), _with_networks("8"), _with_networks(None))
    ),
    "network-functions-differ": Row(
        virtual(1),
        without("pci"),
        passes=virtual(1),
        labels=(_with_networks("9"), _with_networks("8"), _with_networks("8")),
    ),
    "network-device-missing": Row(
        without_netdev("enp84s0np0"), without("net"), "jobs/macvlan", labels=(_with_networks("8"),) * 3
    ),
    "network-mtu-large": Row(
        mtu(1500, "mlx5_0"), mtu(None, "mlx5_0"), "jobs/macvlan", labels=(_with_networks("8"),) * 3
    ),
    "overlay-mtu-large": Row(overlay(9000), overlay(8950, None), "flannel.1", overlay(8950)),
    "pod-memory-refused": Row(pods(0, 3), pods(0, None), "pod pod-1", pods(0, 0)),
    "numa-memory-missing": Row(numa_memory(1, 0), numa_memory(1, None), "NUMA node 1"),
    "numa-memory-reserved": Row(
        memory(1 << 39, 0),
        together(memory(1 << 39, 1 << 39), without("memory")),
        "NUMA node 1",
        memory(1 << 39, 1 << 39),
    ),
    "reserved-memory-sum": Row(memory(1, 1, due=4 << 30), memory(1, 1, due=None), passes=memory(1, 1)),
    "gpu-hint-differs": Row(hints(), _same, "GPU0", hints(0)),
    "function-hint-differs": Row(hints(0, node=1), _same, "example.com/vf 0000:53:00.0", hints(0)),
    "topology-not-aligned": Row(kubelet(cpu_manager_policy="none", topology_manager_policy="none"), kubelet()),
}


def report(mutation: Mutation, labels: NodeLabels | None = None) -> NodeReport:
    snapshot = mutation(good())
    return of_node(Machine(assemble(snapshot), snapshot, labels=labels))


def labels_of(row: Row) -> tuple[NodeLabels | None, NodeLabels | None, NodeLabels | None]:
    return row.labels or (None, None, None)


def test_the_table_has_every_check() -> None:
    assert sorted(ROWS) == sorted(one.check.id for one in CHECKS)


@pytest.mark.parametrize("name", ROWS)
def test_it_passes(name: str) -> None:
    assert report(ROWS[name].passes, labels_of(ROWS[name])[1]).checks[name] == "passed"


@pytest.mark.parametrize("name", ROWS)
def test_it_fails_and_says_of_what(name: str) -> None:
    found = report(ROWS[name].fails, labels_of(ROWS[name])[0])
    assert found.checks[name] == "failed"
    assert ROWS[name].subject in {finding.subject for finding in found.findings if finding.id == name}


@pytest.mark.parametrize("name", ROWS)
def test_it_cannot_know(name: str) -> None:
    row = ROWS[name]
    hidden = report(row.unknown, labels_of(row)[2])
    found = of_node(Machine(assemble(row.unknown(good())))) if row.from_resource else hidden
    assert found.checks[name] == "unknown"
    assert [one.reason for one in found.unknown if one.id == name]


@pytest.mark.parametrize("name", ROWS)
def test_no_check_beside_health_decides_readiness(name: str) -> None:
    for mutation in (ROWS[name].fails, ROWS[name].passes, ROWS[name].unknown):
        machine = machine_of(mutation(good()))
        verdict = {True: "ready", False: "not-ready", None: "cannot-know"}[machine.derived.health.ready]
        assert of_node(machine).verdict == verdict


@pytest.mark.parametrize(("policy", "severity"), [("static", "info"), ("none", "warning"), (None, "warning")])
def test_isolated_cpus_are_for_guaranteed_pods_of_the_static_cpu_manager(policy: str | None, severity: str) -> None:
    found = report(together(ROWS["gpu-cpus-isolated"].fails, kubelet(cpu_manager_policy=policy)))
    assert [one.severity for one in found.findings if one.id == "gpu-cpus-isolated"] == [severity]


@pytest.mark.parametrize("policy", ["none", "static"])
def test_only_the_static_cpu_manager_keeps_pods_from_reserved_cpus(policy: str) -> None:
    found = report(kubelet(cpu_manager_policy=policy, reserved_cpus="" if policy == "static" else None))
    expected = {"static": "passed", "none": "not-applicable"}[policy]
    assert {found.checks[name] for name in ("gpu-cpus-reserved", "reserved-cpus-isolated")} == {expected}


_VXLAN: Final = {"kind": "vxlan", "lower": ("enp84s0np0",)}


@pytest.mark.parametrize(
    ("name", "mtu_bytes", "facts", "outcome"),
    [
        ("tunl0", 8980, {"kind": ""}, "passed"),
        ("tunl0", 9000, {"kind": ""}, "failed"),
        ("tunl0", 9000, {"kind": "", "operstate": "down"}, "not-applicable"),
        ("flannel-v6.1", 8950, {}, "unknown"),
        ("vxlan.calico", 8950, {}, "passed"),
        ("wireguard.cali", 8941, {"kind": "wireguard"}, "failed"),
        ("cilium_vxlan", 9000, {}, "unknown"),
        ("genev_sys_6081", 65000, {"kind": "geneve"}, "unknown"),
        ("vx7", 9000, _VXLAN, "failed"),
        ("vx7", 8950, _VXLAN, "passed"),
    ],
)
def test_tunnels_need_room_for_their_headers(name: str, mtu_bytes: int, facts: dict[str, Any], outcome: str) -> None:
    assert report(overlay(mtu_bytes, name=name, **facts)).checks["overlay-mtu-large"] == outcome


def _beside(tunnel: str, pods: str, mtu_bytes: int, route: str | None = "enp42s0f0np0") -> Mutation:
    """A tunnel whose packets name their other end, and the device that has the MTU of the pods."""
    return together(overlay(65000, name=tunnel, kind="geneve"), overlay(mtu_bytes, route, name=pods, kind=""))


@pytest.mark.parametrize(
    ("tunnel", "pods", "most"),
    [
        ("cilium_vxlan", "cilium_host", 9000),
        ("cilium_geneve", "cilium_host", 9000),
        ("genev_sys_6081", "ovn-k8s-mp0", 8942),
        ("genev_sys_6081", "ovn0", 8942),
        ("genev_sys_6081", "antrea-gw0", 8950),
        ("vxlan_sys_4789", "antrea-gw0", 8950),
        ("vxlan_sys_4789", "tun0", 8950),
    ],
)
def test_pods_have_the_mtu_of_a_device_beside_the_tunnel(tunnel: str, pods: str, most: int) -> None:
    name = "overlay-mtu-large"
    assert report(_beside(tunnel, pods, most)).checks[name] == "passed"
    too_large = report(_beside(tunnel, pods, most + 1))
    assert [one.subject for one in too_large.findings if one.id == name] == [pods]
    assert report(_beside(tunnel, pods, most, None)).checks[name] == "unknown"
    assert report(overlay(65000, name=tunnel)).checks[name] == "unknown"


def test_a_device_of_pods_without_a_tunnel_is_no_overlay() -> None:
    assert report(overlay(9000, name="cilium_host", kind="")).checks["overlay-mtu-large"] == "not-applicable"


def test_an_input_that_does_not_show_nics_leaves_the_rails_open() -> None:
    snapshot = good()
    machine = Machine(replace(assemble(snapshot), unseen=("nics",)), snapshot)
    assert of_node(machine).checks["rail-mtus-differ"] == "unknown"


def test_a_rail_of_ethernet_whose_netdev_is_elsewhere_is_not_compared_in_silence() -> None:
    moved = together(without_netdev("enp84s0np0"), rdma(lambda device: replace(device, netdevs=()), "mlx5_0"))
    assert report(moved).checks["rail-mtus-differ"] == "unknown"


def test_pods_that_a_checkpoint_hides_are_not_known_to_have_memory_enough() -> None:
    hidden = together(pods(0), unread("memory", "/var/lib/kubelet/dra_manager_state"))
    assert report(hidden).checks["pod-memory-refused"] == "unknown"
    refused = together(pods(1), unread("memory", "/var/lib/kubelet/dra_manager_state"))
    assert report(refused).checks["pod-memory-refused"] == "failed"
