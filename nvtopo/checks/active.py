"""What active tests of the network found, beside what the ports promise."""

from collections.abc import Iterator
from typing import Final

from nvtopo.checks.check import NotKnown, Outcome
from nvtopo.checks.fleet import added
from nvtopo.checks.report import NodeReport
from nvtopo.findings.finding import Check, Finding
from nvtopo.model.samples.probed import PathMtu, Probed, RdmaLoop

PATH_MTU: Final = Check(
    "path-mtu-small",
    "warning",
    "network-fabric",
    "packets of the network device's whole MTU answered by the other host",
    "Set one MTU on both hosts and on all switch ports and overlays between; what is larger gets lost in silence.",
)
RDMA_LOOP: Final = Check(
    "rdma-loop-failed",
    "warning",
    "network-fabric",
    "RDMA messages that come back as they were sent",
    "Look at the GID index, both ends' RDMA MTU (`ibv_devinfo`), locked memory (`ulimit -l`) and the port's state.",
)
CHECKS: Final = (PATH_MTU, RDMA_LOOP)


def with_probed(report: NodeReport, probed: Probed) -> NodeReport:
    """The report on the node that was tested. No such test decides whether a node is ready."""
    answers = {PATH_MTU: tuple(map(_path, probed.paths)), RDMA_LOOP: tuple(map(_loop, probed.loops))}
    outcomes = {check.id: _outcome(given) for check, given in answers.items() if given}
    every = [one for given in answers.values() for one in given]
    findings = [one for one in every if isinstance(one, Finding)]
    return added(report, findings, [one for one in every if isinstance(one, NotKnown)], outcomes)


def _path(path: PathMtu) -> Finding | NotKnown | None:
    way = f"{path.netdev or 'the route'} to {path.host}"
    if path.problem:
        return _unknown(PATH_MTU, way, path.problem)
    if path.passed_bytes is None:
        return _unknown(PATH_MTU, way, "no packet was answered, not even a small one: the host is down or drops ICMP")
    if path.mtu_bytes is None:
        return _unknown(PATH_MTU, way, f"the device's MTU is not known; {path.passed_bytes} bytes were answered")
    if path.passed_bytes < path.mtu_bytes:
        evidence = f"packets of {path.passed_bytes} bytes are answered, of {path.mtu_bytes} (the device's MTU) not"
        return PATH_MTU.finding(way, evidence)
    return None


def _loop(loop: RdmaLoop) -> Finding | NotKnown | None:
    if loop.passed is None:
        return _unknown(RDMA_LOOP, loop.subject, loop.said)
    return None if loop.passed else RDMA_LOOP.finding(loop.subject, f"ibv_rc_pingpong: {loop.said}")


def _unknown(check: Check, subject: str, reason: str) -> NotKnown:
    remedy = "See that the other end is up and answers, and that the program is installed; then try again."
    return NotKnown(id=check.id, domain=check.domain, subject=subject, reason=reason, remedy=remedy)


def _outcome(given: tuple[Finding | NotKnown | None, ...]) -> Outcome:
    kinds = {type(one) for one in given}
    return "failed" if Finding in kinds else "unknown" if NotKnown in kinds else "passed"


def announced(probed: Probed) -> Iterator[str]:
    """What was found of each, in a line."""
    for path in probed.paths:
        said = path.problem or ("no answer" if path.passed_bytes is None else f"{path.passed_bytes} bytes answered")
        yield f"{path.netdev or 'the route'} to {path.host}: {said}"
    for loop in probed.loops:
        words = {True: "passed", False: "failed", None: "not tried"}[loop.passed]
        yield f"{loop.subject}: {words}{': ' if loop.said else ''}{loop.said}"
