"""SR-IOV: whether the rails have as many virtual functions, and whether those are where pods can get them."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from nvtopo.checks import peers
from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check


def _counts(machine: Machine) -> Iterator[CheckResult]:
    """A pod that asks for a virtual function of each rail gets none of a rail that has fewer."""
    if "pci" in {problem.source for problem in machine.node.problems if problem.subject == "pci"}:
        yield Unknown(NODE, "the PCI functions could not be read")
        return
    counts = {nic.name: nic.virtual_functions for nic in machine.rails}
    if not any(counts.values()):
        return
    if len(set(counts.values())) == 1:
        yield Fits()
    elif odd := peers.odd(counts):
        most = peers.common(counts.values())
        for name, count in odd.items():
            yield Found(name, f"has {count} virtual functions, and most rails have {most}", expected=str(most))
    else:
        yield Found(NODE, f"virtual functions of the rails: {peers.counted(counts.values())}", "info")


def _drivers(machine: Machine) -> Iterator[CheckResult]:
    """Virtual functions of one rail that no driver holds are given to nobody."""
    rails = {nic.pci_address: nic.name for nic in machine.rails if nic.virtual_functions}
    if not rails:
        return
    if not machine.functions:
        yield Unknown(NODE, "the input does not list the virtual functions")
        return
    without = [one for one in machine.functions.values() if one.physfn in rails and not one.driver]
    if any(machine.unread("pci", f"/{one.address}/driver") for one in without):
        yield Unknown(NODE, "which driver holds a virtual function could not be read")
        return
    idle = Counter(rails[one.physfn] for one in without if one.physfn is not None)
    for name in rails.values():
        if idle[name]:
            yield Found(name, f"{idle[name]} of its virtual functions have no driver")
        else:
            yield Fits()


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "sriov-vfs-differ",
            "warning",
            "network-fabric",
            "as many virtual functions on each rail",
            "Set sriov_numvfs, or the SriovNetworkNodePolicy, alike for all rails.",
        ),
        "/sys/bus/pci/devices/*/physfn",
        "the PCI functions could not be read",
        _counts,
    ),
    NodeCheck(
        Check(
            "sriov-vfs-without-driver",
            "warning",
            "network-fabric",
            "a driver for each virtual function",
            "Look at `dmesg` and at sriov_drivers_autoprobe; the device plugin offers only functions with a driver.",
        ),
        "/sys/bus/pci/devices/*/driver",
        "the input is not a capture",
        _drivers,
    ),
)
