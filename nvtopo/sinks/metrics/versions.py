"""Which driver, firmware and kernel a node runs, as ``_info`` series: a silent change of one explains many a graph."""

from collections.abc import Iterator

from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.metrics.series import GPU, Family, declared, facts, info

DRIVER = info(
    "nvtopo_driver_info",
    "The versions of the NVIDIA driver, its kernel module, NVML and CUDA, as labels; the value is always 1.",
    ("version", "kernel_module", "nvml", "cuda"),
    source="nvmlSystemGetDriverVersion, /proc/driver/nvidia/version, nvmlSystemGetNVMLVersion, …CudaDriverVersion",
    absent="the driver does not answer",
)
KERNEL = info(
    "nvtopo_kernel_info",
    "The kernel's release and architecture, as labels; the value is always 1.",
    ("release", "architecture"),
    source="/proc/sys/kernel/osrelease, uname -m",
    absent="the host could not be read",
)
VBIOS = info(
    "nvtopo_gpu_vbios_info",
    "The VBIOS version of the GPU, as a label; the value is always 1.",
    (*GPU, "version"),
    source="nvmlDeviceGetVbiosVersion",
    absent="the driver does not report it",
)
FIRMWARE = info(
    "nvtopo_rdma_firmware_info",
    "The firmware version of the RDMA device, as a label; the value is always 1.",
    ("device", "version"),
    source="/sys/class/infiniband/<device>/fw_ver",
    absent="the device does not report it",
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
