"""Compares a node with a right answer that was stated by hand, or counted in the file with nothing but a search."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.features import features
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.document.derived import DerivedDocument

FOUND: Final[dict[str, Callable[[NodeTopology, DerivedDocument], Any]]] = {
    "gpus": lambda node, _: len(node.gpus),
    "names": lambda node, _: [gpu.name for gpu in node.gpus],
    "uuids": lambda node, _: [gpu.uuid for gpu in node.gpus],
    "gpu addresses": lambda node, _: [gpu.pci_address for gpu in node.gpus],
    "gpu numa": lambda node, _: {gpu.index: gpu.numa_node for gpu in node.gpus},
    "numa": lambda node, _: len(node.numa),
    "groups": lambda _, derived: derived.nvlink_groups,
    "domain": lambda _, derived: derived.nvlink_domain,
    "links": lambda node, _: {gpu.index: sum(bundle.count for bundle in gpu.nvlinks) for gpu in node.gpus},
    "rates": lambda node, _: sorted({b.bytes_per_second for gpu in node.gpus for b in gpu.nvlinks}),
    "remotes": lambda node, _: dict(
        sum((Counter({b.remote: b.count}) for gpu in node.gpus for b in gpu.nvlinks), Counter())
    ),
    "nics": lambda node, _: {nic.name: nic.pci_address for nic in node.nics},
    "nic names": lambda node, _: sorted(nic.name for nic in node.nics),
    "ports": lambda node, _: dict(
        Counter((p.state, p.link_layer, p.rate_bytes_per_second) for nic in node.nics for p in nic.ports)
    ),
    "states": lambda node, _: dict(Counter(port.state for nic in node.nics for port in nic.ports)),
    "levels": lambda node, _: {
        nic.name: level.name if (level := Distances(node).level(node.gpus[0], nic)) else None for nic in node.nics
    },
    "nvswitches": lambda node, _: len(node.nvswitches),
    "roots": lambda node, _: [root.root for root in node.pci],
    "functions": lambda node, _: sum(root.functions for root in node.pci),
    "complete": lambda _, derived: derived.complete,
    "ready": lambda _, derived: derived.health.ready,
    "fabric": lambda _, derived: derived.fabric,
    "driver": lambda node, _: node.host.driver_version,
    "cpus": lambda _, derived: derived.cpu_affinity,
    "pairs": lambda _, derived: [pair.link for pair in derived.gpu_pairs],
    "bandwidths": lambda _, derived: sorted({pair.bytes_per_second for pair in derived.gpu_pairs}, key=str),
    "nearest": lambda _, derived: {gpu: (near.level, near.nics) for gpu, near in derived.nearest_nics.items()},
    "netdevs": lambda node, _: {nic.name: nic.netdevs for nic in node.nics},
    "port states": lambda node, _: {nic.name: [port.state for port in nic.ports] for nic in node.nics},
    "gid indices": lambda node, _: {nic.name: [port.gid_index for port in nic.ports] for nic in node.nics},
    "links by state": lambda node, _: {
        gpu.index: dict(sum((Counter({b.state: b.count}) for b in gpu.nvlinks), Counter())) for gpu in node.gpus
    },
    "ends": lambda node, _: {
        gpu.index: (address, links) for gpu in node.gpus for b in gpu.nvlinks for address, links in b.peers.items()
    },
    "allowed": lambda node, _: node.host.allowed_cpus,
}


def differences(node: NodeTopology, derived: DerivedDocument, expected: dict[str, Any]) -> list[str]:
    """What is not as expected, one line each."""
    lines = []
    for key, want in expected.items():
        if key == "says":
            got: Any = want if any(want in problem.reason for problem in derived.problems) else derived.problems
        elif key == "reasons":
            got = want if any(want == reason.code for reason in derived.health.reasons) else derived.health.reasons
        elif key == "labels":
            found = features(node, derive(node))
            got = {name: found.get(f"nvtopo.io/{name}") for name in want}
        elif key == "address of":
            got = {nic.name: nic.pci_address for nic in node.nics if nic.name in want}
        else:
            got = FOUND[key](node, derived)
        if got != want:
            lines.append(f"{key}: want {want}, got {got}")
    return lines


def counted(kind: str, content: bytes) -> dict[str, Any]:
    """What a plain search counts in the file, for the kinds where that is an answer."""
    text = content.decode("utf-8", "replace")
    if kind == "smi_xml":
        return {
            "names": re.findall(r"<product_name>([^<]*)</product_name>", text),
            "uuids": re.findall(r"<uuid>(GPU-[^<]*)</uuid>", text),
            "gpu addresses": [_sysfs(address) for address in re.findall(r'<gpu id="([^"]*)"', text)],
        }
    if kind == "smi_q" and "NVSMI LOG" in text:
        return {
            "names": re.findall(r"Product Name +: (.*)", text),
            "uuids": re.findall(r"GPU UUID +: (.*)", text),
            "gpu addresses": [_sysfs(address) for address in re.findall(r"(?m)^GPU ([0-9A-F:.]{10,20})", text)],
        }
    if kind == "ib_tools":
        return {"nic names": sorted(set(re.findall(r"(?:CA|device) '([^']*)'", text)))}
    return {}


def _sysfs(address: str) -> str:
    domain, rest = address.lower().split(":", 1)
    return f"{int(domain, 16):04x}:{rest}"
