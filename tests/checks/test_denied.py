"""Each file of a reading is denied, on all devices and on one: no check that needs it passes, and none fails."""

import errno
import re
from collections.abc import Iterator
from typing import Final

import pytest
from msgspec.structs import replace

from nvtopo.checks import cluster, denied, plan, policy
from nvtopo.checks.check import Machine as Checked
from nvtopo.checks.report import NodeReport, of_node
from nvtopo.checks.rows import row
from nvtopo.checks.table import CHECKS
from nvtopo.findings import of_health
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.features import features
from nvtopo.model.records.expected import Expected, FirmwareExpectation, VersionExpectation
from nvtopo.model.records.record import Problem
from nvtopo.sources import reading
from nvtopo.sources.machine import Machine, NvmlReading
from nvtopo.sources.sysfs import SysfsRoot
from tests.hosts.recorded import FIXTURES, machine_of
from tests.machines import everything
from tests.nvml.walk import Fault, Reader, with_fault

pytestmark = pytest.mark.slow

NO_PERMISSION: Final = 4
#: Label ``ready`` → doctor's verdict.
VERDICTS: Final = {"true": "ready", "false": "not-ready", None: "cannot-know"}
HOST: Final = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7"
#: They need netlink, verbs or the kubelet's socket, which no recording has, or GPUs in an NVLink domain, or an IOMMU.
NOT_TRIED: Final = frozenset(
    {
        "ats-off",
        "function-hint-differs",
        "gpu-hint-differs",
        "imex-channels-missing",
        "imex-daemon-amiss",
        "pfc-not-reached",
        "rdma-mtu-below-netdev",
    }
)
#: Checks of which one source is enough.
_ONE: Final = {check.check.id for check in CHECKS if check.one_is_enough}


class Answered:
    """The driver's answer, asked once."""

    deadline_seconds = 0.0

    def __init__(self, answer: NvmlReading) -> None:
        self._answer = answer

    def begin(self) -> None:
        """Nothing to start."""

    def finish(self) -> NvmlReading:
        """The answer."""
        return self._answer

    def cancel(self) -> None:
        """Nothing to wait for."""


class Noted(SysfsRoot):
    """A root that notes what is read."""

    def _fail(self, path: str) -> None:
        seen.add(path)
        super()._fail(path)


seen: set[str] = set()


class Recorded:
    """The machine in files, read again and again with some of them denied."""

    def __init__(self, machine: Machine) -> None:
        machine.nvml.begin()
        self._nvml = Answered(machine.nvml.finish())
        self._root, self._failures = machine.root._root, machine.root._failures
        self.machines: list[Checked] = []
        self.well = self._report(Noted(self._root, self._failures))
        kinds: dict[str, list[str]] = {}
        for path in sorted(seen):
            kinds.setdefault(kind(path), []).append(path)
        self.tries = [
            (f"{name} x {len(some)}", *self._denied(some))
            for name, paths in kinds.items()
            for some in ((paths, paths[:1]) if len(paths) > 1 else (paths,))
        ]

    def _denied(self, paths: list[str]) -> tuple[NodeReport, tuple[Problem, ...]]:
        root = SysfsRoot(self._root, self._failures | dict.fromkeys(paths, errno.EACCES))
        snapshot = reading.read(Machine(root=root, nvml=self._nvml), reading.all_sources())
        machine = Checked(assemble(snapshot), snapshot)
        self.machines.append(machine)
        return of_node(machine), denied.of_node(machine)

    def _report(self, root: SysfsRoot) -> NodeReport:
        snapshot = reading.read(Machine(root=root, nvml=self._nvml), reading.all_sources())
        return of_node(Checked(assemble(snapshot), snapshot))


def kind(path: str) -> str:
    """The path without the names of devices and processes."""
    named = re.sub(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]|(?<=/class/net/)[^/]+", "*", path)
    return re.sub(r"\d+", "0", named)


@pytest.fixture(scope="module")
def machine() -> Iterator[Recorded]:
    text = everything.text((HOST / "sys.txt").read_text(encoding="utf-8"))
    with machine_of(text, HOST / "nvml.json") as made:
        yield Recorded(made)


def reads() -> dict[str, str]:
    """Check → what it says that it reads."""
    return {check.check.id: check.reads for check in CHECKS} | {
        code: of_health.reads(code) for code in of_health.codes()
    }


def test_no_check_passes_for_the_lack_of_what_it_reads(machine: Recorded) -> None:
    said = reads()
    lies = [
        (name, check)
        for name, report, refused in machine.tries
        for check, outcome in report.checks.items()
        if outcome in ("passed", _silent(machine, check))
        and check not in _ONE
        and list(denied.unknown(said[check], refused))
    ]
    assert lies == []


def test_nothing_is_wrong_because_it_may_not_be_read(machine: Recorded) -> None:
    well = {one.id for one in machine.well.findings}
    alarms = [(name, {one.id for one in report.findings} - well) for name, report, _ in machine.tries]
    assert [(name, found) for name, found in alarms if found] == []
    assert not [name for name, report, _ in machine.tries if report.verdict == "not-ready"]


def _silent(machine: Recorded, check: str) -> str:
    """What would hide that it is not known: "not for this node", of a check that is."""
    return "not-applicable" if machine.well.checks[check] in ("passed", "failed") else ""


def test_a_fleet_a_plan_and_a_policy_bear_it(machine: Recorded) -> None:
    due = Expected(
        gpus=8,
        rails=8,
        mtu_bytes=9000,
        versions=VersionExpectation(nic_firmware=(FirmwareExpectation(model="15b3:1021", version="1"),)),
    )
    for one in machine.machines:
        cluster.compared({"a": row(one), "b": row(one)})
        plan.of({"a": one})
        policy.unread(Checked(replace(one.node, expected=due), one.snapshot))
        labels = features(one.node, one.derived)
        assert VERDICTS[labels.get("nvtopo.io/ready")] == of_node(one).verdict


def test_each_check_of_files_is_tried(machine: Recorded) -> None:
    """Those that the recorded machine can't pass are named here: they have no file, or need a Node or a policy."""
    known = {check for check, outcome in machine.well.checks.items() if outcome in ("passed", "failed")}
    files = {check for check, what in reads().items() if "/" in what}
    policy = {code for code in of_health.codes() if of_health.needs_expectation(code)}
    nodes = {check.check.id for check in CHECKS if "(--nodes)" in check.reads}
    assert files - known - policy - nodes == NOT_TRIED


def test_no_check_passes_for_the_lack_of_a_call_of_the_driver() -> None:
    said, lies = reads(), []
    with Reader(HOST) as driver:
        driver.snapshot(driver.model)
        for call in driver.calls():
            snapshot = driver.snapshot(with_fault(driver.model, Fault(call, NO_PERMISSION)))
            report = of_node(Checked(assemble(snapshot), snapshot))
            lies += [
                (call, check)
                for check, outcome in report.checks.items()
                if outcome == "passed" and check not in _ONE and call.partition("_v")[0] in said[check]
            ]
            assert report.verdict == "not-ready"
    assert lies == []
