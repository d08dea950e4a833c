"""IMEX on a node whose NVLink domain has several nodes. A node without a daemon is no fault: jobs may bring theirs."""

from collections.abc import Iterator
from typing import Final

from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.records.facts import ImexFacts


def _facts(machine: Machine) -> ImexFacts | None:
    return machine.snapshot.imex if machine.snapshot is not None else None


def _channels(machine: Machine) -> Iterator[CheckResult]:
    if machine.derived.nvlink_domain is None:
        return
    facts = _facts(machine)
    if facts is None or facts.channels is None:
        yield Unknown(NODE, "the kernel's list of devices is not shown")
    elif facts.channels:
        yield Fits()
    else:
        yield Found(NODE, "its NVLink domain has several nodes, and the driver has registered no IMEX channels")


def _daemons(machine: Machine) -> Iterator[CheckResult]:
    """The DRA driver starts a daemon in a pod for each domain of a job; then the host's own must not run."""
    if machine.derived.nvlink_domain is None:
        return
    facts = _facts(machine)
    if facts is None or facts.daemons is None:
        yield Unknown(NODE, "the host's processes can't be seen")
        return
    listed = f"/etc/nvidia-imex/nodes_config.cfg lists {facts.nodes} nodes"
    if facts.nodes and not facts.daemons:
        yield Found(NODE, f"{listed}, and no nvidia-imex runs")
    elif facts.daemons > 1 and facts.nodes:
        yield Found(NODE, f"{listed}, and {facts.daemons} nvidia-imex run: the host's own and a pod's")
    else:
        yield Fits()


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "imex-channels-missing",
            "warning",
            "gpu-fabric",
            "IMEX channels of the driver",
            "Look at `modinfo -p nvidia` and at NVreg_ImexChannelCount: 0 turns IMEX off.",
        ),
        "/proc/devices",
        "the input is not a capture",
        _channels,
    ),
    NodeCheck(
        Check(
            "imex-daemon-amiss",
            "warning",
            "gpu-fabric",
            "one IMEX daemon if the host lists its peers, and none of the host if the DRA driver runs its own",
            "`systemctl enable --now nvidia-imex`; with ComputeDomains of the DRA driver `systemctl disable --now` it.",
        ),
        "/etc/nvidia-imex/nodes_config.cfg, /proc/*/comm",
        "the host's processes can't be seen: a container without hostPID, or the input is not a capture",
        _daemons,
    ),
)
