"""A node in one to three lines, and its problems, one line each."""

from collections.abc import Iterator

from nvtopo.model.conclusions import presence
from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.formats.cpulist import format_cpulist
from nvtopo.model.formats.printable import printable
from nvtopo.model.records.node import NodeTopology


def summary(node: NodeTopology, derived: Derived) -> str:
    """What the machine is, in one to three lines."""
    machine = printable(" ".join(part for part in (node.host.vendor, node.host.product) if part)) or "Machine"
    lines = [f"{machine}: {', '.join((_gpus(node), *_others(node)))}"]
    if node.gpus:
        lines.append(f"NVLink: {_training(node) or _nvlinks(derived)}")
        if derived.fabric != "NotApplicable":
            domain = f", domain {printable(derived.nvlink_domain)}" if derived.nvlink_domain else ""
            lines.append(f"Fabric: {derived.fabric}{domain}")
    return "\n".join(lines)


def problems(derived: Derived, said: frozenset[tuple[str, str]] = frozenset()) -> str:
    """What could not be read, one line each, but for problems whose subject and reason are ``said`` elsewhere."""
    lines = [
        printable(f"  {problem.source}: {problem.subject}: {problem.reason}")
        for problem in derived.problems
        if (problem.subject, problem.reason) not in said
    ]
    return "\n".join(("Could not be read:", *lines)) if lines else ""


def _gpus(node: NodeTopology) -> str:
    if node.gpus:
        names = sorted({gpu.name for gpu in node.gpus})
        part = ", of more that the input does not show" if "gpus" in node.unseen else ""
        driver = f", driver {node.host.driver_version}" if node.host.driver_version else ""
        return f"{len(node.gpus)} x {printable(' / '.join(names)) or 'GPU'}{printable(driver)}{part}"
    if "gpus" in node.unseen:
        return "GPUs: not shown by the input"
    if node.host.driver_version:
        return f"no GPU, NVIDIA driver {printable(node.host.driver_version)}"
    why = next((one.reason for one in node.problems if (one.source, one.subject) == ("nvml", "driver")), None)
    return "no NVIDIA driver" if why is None else f"no GPU answers: {printable(why)}"


def _others(node: NodeTopology) -> Iterator[str]:
    """The GPUs that are there and are not read."""
    silent = len(presence.of_state(node, "silent"))
    if silent and node.gpus:
        yield f"{_count(silent, 'GPU')} more without an answer"
    for driver, count in presence.holders(node).items():
        yield f"{_count(count, 'GPU')} held by {driver}"
    for vendor, count in presence.vendors(node).items():
        yield f"{_count(count, f'{vendor} GPU')}, not read"
    if missing := presence.gone(node):
        there = presence.accounted(node)
        yield f"{there} of {_count(there + missing, 'GPU')} on the bus"
    modules = presence.missing_modules(node)
    if modules:
        yield f"no GPU in module {format_cpulist(modules)}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _training(node: NodeTopology) -> str:
    """A note on the GPUs whose NVLinks are still training; empty if there are none."""
    training = [gpu.index for gpu in node.gpus if gpu.nvlink_training]
    return f"not known yet: soon after boot, links of GPUs {format_cpulist(training)} still train" if training else ""


def _nvlinks(derived: Derived) -> str:
    if derived.nvlink_groups is None:
        return "not known: hidden by MIG mode, or not shown by the input"
    if not derived.nvlink_groups:
        return "no usable link between GPUs"
    assert derived.nvlink_full_mesh is not None
    groups = (
        f"{{{','.join(map(str, group))}}} {'full mesh' if mesh else 'partly connected'}"
        for group, mesh in zip(derived.nvlink_groups, derived.nvlink_full_mesh, strict=True)
    )
    # "GPU3" before the matrix would be read back as a header.
    noun = "GPU" if len(derived.nvlink_degraded) == 1 else "GPUs"
    degraded = f"; degraded: {noun} {format_cpulist(derived.nvlink_degraded)}" if derived.nvlink_degraded else ""
    return ", ".join(groups) + degraded
