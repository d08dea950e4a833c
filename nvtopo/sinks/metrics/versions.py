"""Which driver, firmware and kernel a node runs, as ``_info`` series: a silent change of one explains many a graph."""

from collections.abc import Iterator

from nvtopo.model.snapshot import Snapshot
from nvtopo.sinks.metrics.series import GPU, Family, declared, facts, info

DRIVER = info(
    "nvtopo_driver_info",
    "The NVIDIA driver.",
    ("version", "kernel_module", "nvml", "cuda"),
    source="nvmlSystemGetDriverVersion, /proc/driver/nvidia/version, nvmlSystemGetNVMLVersion, …CudaDriverVersion",
    absent="the driver does not answer",
)
KERNEL = info(
    "nvtopo_kernel_info",
    "The kernel.",
    ("release", "architecture"),
    source="/proc/sys/kernel/osrelease, uname -m",
    absent="the host could not be read",
)
VBIOS = info(
    "nvtopo_gpu_vbios_info",
    "A GPU's firmware.",
    (*GPU, "version"),
    source="nvmlDeviceGetVbiosVersion",
    absent="the driver does not say",
)
FIRMWARE = info(
    "nvtopo_rdma_firmware_info",
    "An RDMA device's firmware.",
    ("device", "version"),
    source="/sys/class/infiniband/<device>/fw_ver",
    absent="the device does not say",
)
SERIES = declared(globals())


def families(snapshot: Snapshot) -> Iterator[Family]:
    """The versions of one node."""
    host, nvml, rdma = snapshot.host, snapshot.nvml, snapshot.rdma
    if nvml is not None and nvml.driver_version:
        module = host.nvidia_module if host else ""
        yield facts(DRIVER, [(nvml.driver_version, module, nvml.nvml_version, nvml.cuda_version)])
    if host is not None and host.kernel:
        yield facts(KERNEL, [(host.kernel, host.architecture)])
    yield facts(VBIOS, ((str(gpu.index), gpu.uuid, gpu.vbios) for gpu in (nvml.gpus if nvml else ()) if gpu.vbios))
    yield facts(
        FIRMWARE, ((device.name, device.firmware) for device in (rdma.devices if rdma else ()) if device.firmware)
    )
