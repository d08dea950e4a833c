"""What nvidia-smi would print on a recorded machine, made by the grammar of its output; no tool's own text."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import cpu_affinity, derive
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.document import derived
from nvtopo.sources.capture import parse_capture
from tests.hosts.recorded import FIXTURES

Json = dict[str, Any]
Texts = dict[str, str]
"""Arguments → what the program prints."""

TOPO: Final = "topo -m"
QUERY: Final = "-q -x"
STATES: Final = "nvlink -s"
ENDS: Final = "nvlink -R"
HIDDEN: Final = "FFFFFFFF:FF:FF.0"
_LEGEND: Final = "\nLegend:\n\n  X    = Self\n  SYS  = far\n  PIX  = near\n  NV#  = bonded links\n\nNIC Legend:\n\n"
_STATES: Final = ("Not Supported", "Not Started", "In Progress", "Completed")


@cache
def snapshot_of(host: str) -> Snapshot:
    """The capture of a recorded machine."""
    return parse_capture((FIXTURES / "hosts" / host / "capture.json").read_bytes(), host)


def model_of(host: str) -> Json:
    """What its driver answers."""
    found: Json = json.loads((FIXTURES / "hosts" / host / "nvml.json").read_text(encoding="utf-8"))
    return found


def texts_of(host: str) -> Texts:
    """All four."""
    node, model = assemble(snapshot_of(host)), model_of(host)
    return {
        TOPO: topo(node),
        QUERY: query(model),
        STATES: "".join(_states(model)),
        ENDS: "".join(_ends(model)),
    }


def write_program(path: Path, texts: Mapping[str, str | bytes], last: str = "exit 2") -> Path:
    """A program that prints these texts; ``last`` is what it does with other arguments."""
    cases = []
    for number, (arguments, text) in enumerate(texts.items()):
        content = path.with_name(f"{path.name}-{number}")
        content.write_bytes(text if isinstance(text, bytes) else text.encode())
        cases.append(f'"{arguments}") exec cat "{content}" ;;\n')
    path.write_text(f'#!/bin/sh\ncase "$*" in\n{"".join(cases)}*) {last} ;;\nesac\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def topo(node: NodeTopology) -> str:
    """``topo -m``: RDMA devices are its NICs."""
    nics = [nic for nic in node.nics if nic.ports]
    devices: list[Gpu | Nic] = [*node.gpus, *nics]
    labels = [*(gpu.key for gpu in node.gpus), *(f"NIC{number}" for number in range(len(nics)))]
    header = "\t".join(["", *labels, "CPU Affinity", "NUMA Affinity", "GPU NUMA ID"])
    links = {frozenset((pair.a, pair.b)): pair.link or "SYS" for pair in derived.of(derive(node)).gpu_pairs}
    distances = Distances(node)

    def cell(one: Gpu | Nic, other: Gpu | Nic) -> str:
        if one is other:
            return " X "
        if isinstance(one, Gpu) and isinstance(other, Gpu):
            return links[frozenset((one.key, other.key))]
        level = distances.level(one, other)
        return "SYS" if level is None or node.host.architecture == "aarch64" else level.name

    rows = [
        "\t".join([label, *(cell(one, other) for other in devices), _tail(node, one)])
        for label, one in zip(labels, devices, strict=True)
    ]
    legend = "".join(f"  NIC{number}: {nic.name}\n" for number, nic in enumerate(nics))
    return "\n".join([f"\x1b[4m{header}\x1b[0m", *rows, _LEGEND + legend])


def _tail(node: NodeTopology, device: Gpu | Nic) -> str:
    if isinstance(device, Nic):
        return "\t\t\t"
    numa = "N/A" if device.numa_node is None else device.numa_node
    memory = "N/A" if device.memory_numa_node is None else device.memory_numa_node
    return f"{cpu_affinity(node, device)}\t{numa}\t\t{memory}"


def query(model: Json) -> str:
    """``-q -x``, with whole MiB and without what has no answer."""
    system = model.get("system", {})
    cuda = system.get("cuda", 0)
    gpus = [gpu for gpu in model["gpus"] if gpu.get("enumerated", True)]
    body = "".join(_gpu(gpu) for gpu in gpus)
    return (
        '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>\n'
        f"<driver_version>{system.get('driver')}</driver_version>\n"
        f"<cuda_version>{cuda // 1000}.{cuda % 1000 // 10}</cuda_version>\n"
        f"<attached_gpus>{len(gpus)}</attached_gpus>\n{body}</nvidia_smi_log>\n"
    )


def _gpu(gpu: Json) -> str:
    address = smi_address(gpu["path"][-1])
    if gpu.get("lost"):
        return f'<gpu id="{address}"><product_name>GPU is lost</product_name><uuid>GPU is lost</uuid></gpu>\n'
    pcie, mig, memory = gpu.get("pcie", {}), gpu.get("mig"), gpu.get("memory", {})
    mode = "N/A" if mig is None else "Enabled" if mig.get("current") else "Disabled"
    return (
        f'<gpu id="{address}"><product_name>{escape(gpu.get("name", ""))}</product_name><uuid>{gpu["uuid"]}</uuid>'
        f"<serial>{gpu.get('serial', 'N/A')}</serial><minor_number>{gpu.get('minor', 'N/A')}</minor_number>"
        f"<vbios_version>{gpu.get('vbios', 'N/A')}</vbios_version>"
        f"<mig_mode><current_mig>{mode}</current_mig></mig_mode>"
        f"<gpu_module_id>{gpu.get('moduleId', 'N/A')}</gpu_module_id>{_fabric(gpu)}{_platform(gpu)}"
        f"<pci><pci_bus_id>{address}</pci_bus_id><pci_gpu_link_info><pcie_gen>"
        f"<max_link_gen>{pcie.get('maxGeneration', 'N/A')}</max_link_gen>"
        f"<current_link_gen>{pcie.get('generation', 'N/A')}</current_link_gen></pcie_gen>"
        f"<link_widths><max_link_width>{_lanes(pcie, 'maxWidth')}</max_link_width>"
        f"<current_link_width>{_lanes(pcie, 'width')}</current_link_width></link_widths></pci_gpu_link_info></pci>"
        f"<fb_memory_usage><total>{memory.get('total', 0) >> 20} MiB</total></fb_memory_usage>"
        "<processes><process_info><pid>4711</pid><process_name>/home/somebody/train</process_name></process_info>"
        "</processes></gpu>\n"
    )


def _lanes(pcie: Json, name: str) -> str:
    return f"{pcie[name]}x" if name in pcie else "N/A"


def _fabric(gpu: Json) -> str:
    fabric = gpu.get("fabric")
    if fabric is None:
        return "<fabric><state>N/A</state><status>N/A</status></fabric>"
    completed = fabric["state"] == 3
    status = "Success" if not fabric.get("status") else "Unknown Error"
    summary = {1: "Healthy", 2: "Unhealthy", 3: "Limited Capacity"}.get(fabric.get("healthSummary", 0), "N/A")
    return (
        f"<fabric><state>{_STATES[fabric['state']]}</state><status>{status if completed else 'N/A'}</status>"
        f"<cliqueId>{fabric.get('cliqueId') if completed else 'N/A'}</cliqueId>"
        f"<clusterUuid>{fabric.get('clusterUuid') if completed else 'N/A'}</clusterUuid>"
        f"<health><summary>{summary}</summary></health></fabric>"
    )


def _platform(gpu: Json) -> str:
    platform = gpu.get("platform")
    if platform is None:
        return ""
    chassis = platform.get("chassisSerial")
    return (
        f"<platformInfo><chassis_serial_number>{chassis or 'N/A'}</chassis_serial_number>"
        f"<slot_number>{platform.get('slot', 0)}</slot_number><tray_index>{platform.get('tray', 0)}</tray_index>"
        f"<host_id>{platform.get('host', 'N/A')}</host_id><module_id>{platform.get('module', 'N/A')}</module_id>"
        f"<gpu_fabric_guid>{'0x' + platform['ibGuid'] if platform.get('ibGuid') else 'N/A'}</gpu_fabric_guid>"
        "</platformInfo>"
    )


def _heads(model: Json) -> Iterator[tuple[str, Json, Sequence[Json]]]:
    gpus = [gpu for gpu in model["gpus"] if gpu.get("enumerated", True)]
    for index, gpu in enumerate(gpus):
        if not gpu.get("lost"):
            yield f"GPU {index}: {gpu.get('name', '')} (UUID: {gpu['uuid']})\n", gpu, gpu.get("links", ())


def _states(model: Json) -> Iterator[str]:
    for head, gpu, links in _heads(model):
        yield head
        if gpu.get("mig", {}).get("current"):
            yield "\t NVLink is not supported in MIG mode\n"
            continue
        for number, link in enumerate(links):
            speed = link.get("speed", gpu.get("nvlink", {}).get("speed", 0))
            yield f"\t Link {number}: " + (f"{speed / 1000:g} GB/s\n" if link.get("state", 1) == 1 else "<inactive>\n")


def _ends(model: Json) -> Iterator[str]:
    for head, gpu, links in _heads(model):
        yield head
        shared = gpu.get("nvlink", {})
        up = [link for link in links if link.get("state", 1) == 1]
        for number, link in enumerate([] if gpu.get("mig", {}).get("current") else up):
            bdf = link.get("bdf", shared.get("bdf"))
            end = HIDDEN if bdf == "hidden" else smi_address(bdf) if bdf else None
            if end is not None:
                yield f"\t Link {number}: Remote Device {end}: Link {link.get('port', 0)}\n"


def smi_address(address: str) -> str:
    """As nvidia-smi spells it: ``00000000:53:00.0``."""
    domain, _, rest = address.partition(":")
    return f"{int(domain, 16):08X}:{rest.upper()}"
