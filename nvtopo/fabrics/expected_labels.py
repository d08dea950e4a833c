"""CoreWeave's labels of neighbours: which switch and port each interface should be on, and which it is on."""

import re
from collections.abc import Mapping
from typing import Final

from nvtopo.cluster.claims import Cable, Reading, SwitchPort
from nvtopo.fabrics import checks

SOURCE: Final = "labels/coreweave-neighbors"
_LABEL: Final = re.compile(
    r"(?:ib|backend)\.coreweave\.cloud/neighbors\.(?P<when>expected|current)\.(?P<nic>[\w-]+)\.(?P<what>device|port-id)"
)


def knows(label: str) -> bool:
    """Whether it is one of them."""
    return _LABEL.fullmatch(label) is not None


def read(nodes: Mapping[str, Mapping[str, str]]) -> Reading | None:
    """What the labels say, node → labels; None where there are none."""
    ports: list[SwitchPort] = []
    cables: list[Cable] = []
    findings = []
    for node, labels in sorted(nodes.items()):
        said: dict[tuple[str, str], dict[str, str]] = {}
        for label, value in labels.items():
            if match := _LABEL.fullmatch(label):
                said.setdefault((match["nic"], match["when"]), {})[match["what"]] = value
        for nic in sorted({nic for nic, _ in said}):
            want, have = said.get((nic, "expected"), {}), said.get((nic, "current"), {})
            switch, port = have.get("device", ""), have.get("port-id", "")
            if switch:
                ports.append(SwitchPort(node, None, None, nic, switch, port, SOURCE))
            if not want.get("device") or want == have:
                continue
            there = f"{want['device']} {want.get('port-id', '')}".strip()
            here = f"{switch} {port}".strip()
            check = checks.CABLE_MISPLACED if switch else checks.CABLE_MISSING
            words = f"is on {here}, should be on {there}" if switch else f"has no neighbour, should have {there}"
            findings.append(checks.cabling(check, (node,), f"{node} {nic}", f"{node}: {nic} {words}"))
            if switch != want["device"]:
                a, b = sorted((node, want["device"]))
                cables.append(Cable(a, b, SOURCE, present=False))
    if not ports and not findings:
        return None
    return Reading(ports=tuple(ports), cables=tuple(cables), findings=tuple(findings))
