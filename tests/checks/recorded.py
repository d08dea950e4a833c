"""The machines of ``fixtures/hosts`` as doctor is given them."""

from functools import cache
from typing import Final

from nvtopo.checks.check import Machine
from nvtopo.checks.report import NodeReport, of_node
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.capture import parse_capture
from tests.hosts.recorded import HOSTS

NAMES: Final = tuple(host.name for host in HOSTS)


@cache
def snapshot_of(name: str) -> Snapshot:
    (host,) = (host for host in HOSTS if host.name == name)
    return parse_capture((host / "capture.json").read_bytes(), name)


def machine_of(snapshot: Snapshot) -> Machine:
    return Machine(assemble(snapshot), snapshot)


@cache
def report_of(name: str) -> NodeReport:
    return of_node(machine_of(snapshot_of(name)))
