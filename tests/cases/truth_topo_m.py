"""Compares a node read from ``topo -m`` with its truth file."""

from typing import Any

from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.document.derived import DerivedDocument

Truth = dict[str, Any]


def differences(node: NodeTopology, derived: DerivedDocument, truth: Truth) -> list[str]:
    """What is not as the truth file says, one line each."""
    got, want = found(node, derived, truth), wanted(truth)
    return [f"{key}: want {want[key]}, got {got[key]}" for key in want if want[key] != got[key]]


def wanted(truth: Truth) -> dict[str, Any]:
    """What the truth file says; a short one says less."""
    verdict = truth.get("verdict", {})
    hidden = verdict.get("nvlink") == "unknown"
    gpus = _gpus(truth)
    want = {
        "gpus": truth["gpus"],
        "nics": truth["nics"],
        "groups": None if hidden else truth["nvlink_groups"],
        "nearest": {gpu: (near["level"], sorted(near["nics"])) for gpu, near in truth["nearest_nic"].items()},
        "degraded": verdict.get("degraded", []),
        "complete": False if hidden or verdict.get("incomplete") else None,
    }
    if "nvlink_fully_connected_within_group" in truth:
        want["full"] = None if hidden else truth["nvlink_fully_connected_within_group"]
    if "pair_kinds" in truth:
        want["kinds"] = {kind: count for kind, count in truth["pair_kinds"].items() if kind != "None"}
    for key, field in (("numa", "numa"), ("cpus", "cpu_affinity"), ("memory", "gpu_numa_id")):
        if field in truth:
            want[key] = {gpu: _absent(truth[field].get(gpu)) for gpu in gpus}
    return want


def found(node: NodeTopology, derived: DerivedDocument, truth: Truth) -> dict[str, Any]:
    groups = derived.nvlink_groups
    verdict = truth.get("verdict", {})
    hidden = verdict.get("nvlink") == "unknown"
    return {
        "gpus": len(node.gpus),
        "nics": len(node.nics),
        "groups": None if groups is None else [[f"GPU{index}" for index in group] for group in groups],
        "full": all(derived.nvlink_full_mesh) if derived.nvlink_full_mesh else None,
        "kinds": _kinds(node, derived),
        "nearest": {
            gpu: (near.level, sorted(near.nics)) for gpu, near in derived.nearest_nics.items() if near.level is not None
        },
        "numa": {gpu: "" if numa is None else str(numa) for gpu, numa in derived.numa.items()},
        "cpus": derived.cpu_affinity,
        "memory": {gpu.key: "" if gpu.memory_numa_node is None else str(gpu.memory_numa_node) for gpu in node.gpus},
        "degraded": [f"GPU{index}" for index in derived.nvlink_degraded],
        "complete": derived.complete if hidden or verdict.get("incomplete") else None,
    }


def _gpus(truth: Truth) -> list[str]:
    """The truth files give no list of GPUs; a GPU whose row is cut is in none of their tables."""
    tables = ("numa", "cpu_affinity", "gpu_numa_id", "nearest_nic")
    named = {gpu for table in tables for gpu in truth.get(table, {})}
    return sorted({*named, *(f"GPU{index}" for index in range(truth["gpus"]))} if len(named) < truth["gpus"] else named)


def _absent(value: str | None) -> str:
    return "" if value in (None, "N/A") else str(value)


def _kinds(node: NodeTopology, derived: DerivedDocument) -> dict[str, int]:
    """Pairs by kind as the upper triangle of the matrix has them: a one-sided NVLink as the lesser GPU's row says."""
    one_sided = {(f"GPU{pair.a}", f"GPU{pair.b}"): pair for pair in node.pairs if pair.nvlink_short is not None}
    kinds: dict[str, int] = {}
    for pair in derived.gpu_pairs:
        if pair.link is None:
            continue
        sided = one_sided.get((pair.a, pair.b))
        kind = pair.link
        if sided is not None and sided.nvlink_short == sided.b:
            reasons = [problem.reason for problem in node.problems if problem.subject == f"{pair.a}, {pair.b}"]
            kind = next((reason.split(f"{pair.a}'s row says ")[1].split(",")[0] for reason in reasons), kind)
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds
