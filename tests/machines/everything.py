"""A machine that shows all that a check can read: what ``fixtures/hosts/h100-sxm-8gpu-8cx7`` has, and the rest."""

import json
import re
from collections.abc import Iterator
from typing import Final

_RAILS: Final = {"54:00": 0, "65:00": 0, "76:00": 0, "87:00": 0, "98:00": 1, "a9:00": 1, "ba:00": 1, "cb:00": 1}
#: PCI Express at 0x40, with relaxed ordering in its device control; ATS, enabled, where extended capabilities begin.
_CONFIG: Final = (
    bytes(0x34)
    + b"\x40"
    + bytes(11)
    + b"\x10\x00"
    + bytes(6)
    + b"\x10\x00"
    + bytes(0xB6)
    + b"\x0f\x00\x01\x00\x00\x00\x00\x80"
    + bytes(8)
)
_HOST: Final = """
/sys/devices/system/cpu/cpufreq/policy0/scaling_governor = performance
/sys/devices/system/cpu/isolated = 5
/sys/fs/cgroup/cpuset.cpus.effective = 0-220
/sys/fs/cgroup/kubepods.slice/rdma.max = mlx5_0 hca_handle=max hca_object=max
/sys/module/gdrdrv/initstate = live
/sys/module/nvidia_fs/initstate = live
/sys/module/nvidia_uvm/initstate = live
/proc/modules = nvidia_fs 1 0 - Live 0x0\\ngdrdrv 1 0 - Live 0x0
/proc/1/mounts = 10.1.0.1:/data /data nfs4 rw,addr=10.1.0.1 0 0
/proc/devices = 511 nvidia-caps-imex-channels
/proc/2001/comm = kubelet
/proc/2001/cmdline =x {command}
/var/lib/kubelet/config.yaml = cpuManagerPolicy: static\\ntopologyManagerPolicy: restricted\\n{reserved}
/var/lib/kubelet/cpu_manager_state = {{"policyName": "static", "defaultCpuSet": "0-223"}}
/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint = {checkpoint}
{pod}/memory.max = max
{pod}/memory.events = low 0\\nhigh 0\\nmax 0\\noom 0\\noom_kill 0
/sys/class/net/flannel.1 -> ../../devices/virtual/net/flannel.1
{tunnel}/ifindex = 90
{tunnel}/mtu = 8950
{tunnel}/operstate = unknown
{tunnel}/uevent = DEVTYPE=vxlan
/etc/cufile.json = {{}}
/dev/gdrdrv =
/proc/net/route = {columns}\\n{storage} 0000010A 00000000 0001 0 0 0 0000FFFF 0 0 0{default}
"""
_POD: Final = "725ed1ac-7daa-45c3-87bb-ad7ae492482c"
_CHECKPOINT: Final = json.dumps(
    {"Data": {"PodDeviceEntries": [{"PodUID": _POD, "ResourceName": "nvidia.com/gpu"}]}, "Checksum": 1}
)
_CLAIMS: Final = json.dumps({"Data": json.dumps({"kind": "DRACheckpoint", "ClaimInfoStateList": []}), "Checksum": 1})
_COMMAND: Final = b"/usr/bin/kubelet\0--config=/var/lib/kubelet/config.yaml\0"
_REPLACED: Final = ("/sys/devices/system/cpu/isolated ", "/proc/1/mounts ", "/proc/net/route ", "/proc/modules ")


def text(recorded: str) -> str:
    """The machine of the recording, and all that it lacks."""
    kept = "".join(line for line in recorded.splitlines(keepends=True) if not line.startswith(_REPLACED))
    kept = re.sub(r"nr_hugepages = 0", "nr_hugepages = 512", kept)
    return kept + "".join(f"{line}\n" for line in _lines(kept))


def _lines(recorded: str) -> Iterator[str]:
    functions = re.findall(r"(?m)^(/sys/devices/pci\S+)/class = 0x(\d{4})", recorded)
    nics = [path for path, code in functions if code == "0200"]
    (storage,) = re.findall(rf"(?m)^{nics[0]}/net/([^/]+)/mtu", recorded)
    yield from (
        _HOST.format(
            command=_COMMAND.hex(),
            storage=storage,
            tunnel="/sys/devices/virtual/net/flannel.1",
            checkpoint=_CHECKPOINT,
            pod=f"/sys/fs/cgroup/kubepods.slice/kubepods-pod{_POD.replace('-', '_')}.slice",
            default=f"\\n{storage} 00000000 0100000A 0003 0 0 0 00000000 0 0 0",
            reserved="reservedSystemCPUs: 0-1,56-57",
            columns="Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT",
        )
        .replace("\\\\", "\\")
        .strip()
        .splitlines()
    )
    yield "/var/lib/kubelet/dra_manager_state = " + _CLAIMS.replace("\\", "\\\\")
    for path, code in functions:
        if code in ("0604", "0200", "0302"):
            yield f"{path}/config =x {(_CONFIG if code != '0604' else bytes(272)).hex()}"
    rails = [path for path in nics if path.rpartition("/")[2][5:10] in _RAILS]
    for number, path in enumerate(rails):
        yield from _of_rail(recorded, path, number)


def _of_rail(recorded: str, path: str, number: int) -> Iterator[str]:
    (netdev,) = re.findall(rf"(?m)^{path}/net/([^/]+)/mtu", recorded)
    for side in ("np", "rp"):
        yield from (f"{path}/net/{netdev}/ecn/roce_{side}/enable/{bit} = {int(bit == 3)}" for bit in range(8))
    yield f"{path}/msi_irqs/{100 + number}/"
    yield f"/proc/irq/{100 + number}/effective_affinity_list = {'0-4' if number < 4 else '56-60'}"
    address = path.rpartition("/")[2]
    virtual = f"{path.rpartition('/')[0]}/{address[:-1]}2"
    group = 500 + number
    yield f"/sys/bus/pci/devices/{virtual.rpartition('/')[2]} -> ../../..{virtual.removeprefix('/sys')}"
    for name, value in (("class", "0x020000"), ("vendor", "0x15b3"), ("device", "0x101e"), ("numa_node", "0")):
        yield f"{virtual}/{name} = {value}"
    yield f"{virtual}/physfn -> ../{address}"
    yield f"{virtual}/driver -> ../../../../../../bus/pci/drivers/mlx5_core"
    yield f"{virtual}/iommu_group -> ../../../../../../kernel/iommu_groups/{group}"
    yield f"/sys/kernel/iommu_groups/{group}/type = identity"
