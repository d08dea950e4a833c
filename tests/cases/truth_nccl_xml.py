"""Compares a node read from an NCCL topology XML with its truth file, whose GPUs are named by bus id and rank."""

from typing import Any

from nvtopo.model.records.node import Gpu, NodeTopology
from nvtopo.sinks.document.derived import DerivedDocument

Truth = dict[str, Any]


def differences(node: NodeTopology, derived: DerivedDocument, truth: Truth) -> list[str]:
    """What is not as the truth file says, one line each."""
    if "nvlinks_per_gpu" not in truth:
        return _short_differences(node, derived, truth)
    got, want = found(node, derived), wanted(truth)
    return [f"{key}: want {want[key]}, got {got[key]}" for key in want if want[key] != got[key]]


def _short_differences(node: NodeTopology, derived: DerivedDocument, truth: Truth) -> list[str]:
    """Of a truth file that says less, and calls GPUs by their index and NICs by their name."""
    want = {gpu: (near["level"], sorted(near["nics"])) for gpu, near in truth["nearest_nic"].items()}
    got = {gpu: (near.nccl_level, sorted(near.nics)) for gpu, near in derived.nearest_nics.items()}
    lines = [] if want == got else [f"nearest: want {want}, got {got}"]
    return lines if len(node.gpus) == truth["gpus"] else [*lines, f"gpus: want {truth['gpus']}, got {len(node.gpus)}"]


def wanted(truth: Truth) -> dict[str, Any]:
    return {
        "gpus": truth["gpus"],
        "nics": truth["nics"],
        "numa": {_bus(name): numa for name, numa in truth["numa"].items()},
        "links": {_bus(name): links for name, links in truth["nvlinks_per_gpu"].items()},
        "targets": {
            _bus(name): {target: count for target, count in targets if not target.startswith("fff")}
            for name, targets in truth["nvlink_targets"].items()
        },
        "nearest": {
            _bus(name): (near["level"], sorted(nic.split()[0] for nic in near["nics"]))
            for name, near in truth["nearest_nic"].items()
        },
        "names": sorted(
            {nic.split()[-1].split(",")[0] for near in truth["nearest_nic"].values() for nic in near["nics"]}
        ),
        "c2c": truth["c2c"],
    }


def found(node: NodeTopology, derived: DerivedDocument) -> dict[str, Any]:
    address = {nic.name: nic.pci_address for nic in node.nics}
    near = {gpu.pci_address: derived.nearest_nics[gpu.key] for gpu in node.gpus}
    return {
        "gpus": len(node.gpus),
        "nics": len(node.nics),
        "numa": {gpu.pci_address: str(gpu.numa_node) for gpu in node.gpus},
        "links": {gpu.pci_address: sum(bundle.count for bundle in gpu.nvlinks) for gpu in node.gpus},
        "targets": {gpu.pci_address: _targets(gpu) for gpu in node.gpus if gpu.nvlinks},
        "nearest": {
            gpu: (nearest.nccl_level, sorted(str(address[nic]) for nic in nearest.nics))
            for gpu, nearest in near.items()
        },
        "names": sorted({nic for nearest in near.values() for nic in nearest.nics}),
        "c2c": any(gpu.c2c_links for gpu in node.gpus),
    }


def _bus(name: str) -> str:
    return name.split(maxsplit=1)[0]


def _targets(gpu: Gpu) -> dict[str, int]:
    from nvtopo.model.formats.cpulist import parse_cpulist

    ends: dict[str, int] = {}
    for bundle in gpu.nvlinks:
        for address, links in bundle.peers.items():
            ends[address] = ends.get(address, 0) + len(parse_cpulist(links))
    return ends
