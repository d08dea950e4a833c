"""The plan of measurements: what is run where, what is expected, and nothing that a shell would take for more."""

import shlex
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from nvtopo.checks import measured, plan
from nvtopo.checks.check import Machine
from nvtopo.cli import main
from nvtopo.errors import UsageError
from nvtopo.model.samples.measured import Collective, Measured
from nvtopo.reports import plan as shown
from tests.checks.recorded import machine_of, snapshot_of
from tests.checks.test_each_check import gpus, ports

ROOT = Path(__file__).resolve().parents[2]
H100 = "h100-sxm-8gpu-8cx7"


def machine(name: str = H100) -> Machine:
    return machine_of(snapshot_of(name))


def test_a_node_alone_is_measured_within_itself() -> None:
    found = plan.of({"a": machine()})
    commands = [step.commands["a"].split()[0] for step in found.steps]
    assert commands == ["all_reduce_perf", "nvbandwidth", "nvbandwidth"]
    assert found.left_off == 0


def test_what_is_expected_is_what_is_judged() -> None:
    step = plan.of({"a": machine()}).steps[0]
    assert step.least_bytes_per_second is not None
    for rate, count in ((step.least_bytes_per_second - 1, 1), (step.least_bytes_per_second + 1, 0)):
        run = Collective({"a": tuple(range(8))}, rate, 1 << 30, 0)
        assert len(measured.judged(Measured((run,)), {"a": machine()}).findings) == count


def test_each_rail_is_measured_from_each_node_to_the_next() -> None:
    found = plan.of({name: machine() for name in "abc"})
    rails = [step for step in found.steps if step.what.startswith("rail")]
    assert len(rails) == 8 * 2
    assert list(rails[0].commands) == ["a", "b"]
    assert rails[0].commands["a"] == "ib_write_bw -d mlx5_0 -i 1 -x 3 -s 65536 -q 4 -D 5 -F --report_gbits"
    assert rails[0].commands["b"] == f"{rails[0].commands['a']} a"
    assert rails[0].carries_bytes_per_second == 50_000_000_000


def test_infiniband_needs_no_gid_index() -> None:
    found = plan.of({name: machine("gb200-nvl72-tray") for name in "ab"})
    assert " -x " not in "".join(command for step in found.steps for command in step.commands.values())


def test_a_rate_that_is_not_known_promises_nothing() -> None:
    blind = machine_of(ports(lambda port: replace(port, rate_bytes_per_second=None))(snapshot_of(H100)))
    rails = [step for step in plan.of({"a": blind, "b": machine()}).steps if step.what.startswith("rail")]
    assert {step.carries_bytes_per_second for step in rails} == {None}
    assert "what to expect is not known" in shown.text(plan.of({"a": blind, "b": machine()}))


def test_gpus_in_mig_mode_and_nodes_without_gpus_are_left_alone() -> None:
    mig = machine_of(gpus(lambda gpu: replace(gpu, mig=True))(snapshot_of(H100)))
    assert plan.of({"a": mig}).steps == ()
    assert plan.of({"a": machine("laptop-no-gpu")}).steps == ()


def test_more_than_anybody_runs_is_left_off_and_counted() -> None:
    found = plan.of({f"n{number:02}": machine() for number in range(40)})
    assert len(found.steps) == 256
    assert found.left_off == 40 * 3 + 8 * 39 - 256
    assert f"{found.left_off} more are left off" in shown.text(found)


def test_a_name_is_no_command() -> None:
    text = shown.text(plan.of({"a; reboot": machine(), "b\n$(reboot)": machine()}))
    for line in text.splitlines():
        if not line.startswith("#") and line:
            words = shlex.split(line)
            assert words[0] in {"all_reduce_perf", "nvbandwidth", "ib_write_bw"}
            assert "$(" not in line.replace("'$(reboot)'", "")
            assert ";" not in line.replace("'a;'", "")


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", "--plan", *arguments], standalone_mode=False)


def test_the_command_prints_a_plan_of_a_folder_and_judges_nothing() -> None:
    result = doctor("--from", str(ROOT / "fixtures" / "clusters" / "gb200-nvl72-demo"), "--format", "json")
    document = msgspec.json.decode(result.stdout)
    assert result.return_value == 0
    assert document["leftOff"] == 0
    assert {step["what"].split()[0] for step in document["steps"]} == {"an", "copies", "rail"}


@pytest.mark.parametrize("more", [("--format", "html"), ("--server", "http://127.0.0.1:9")])
def test_what_goes_with_no_plan_is_refused(more: tuple[str, ...]) -> None:
    assert isinstance(doctor(*more).exception, UsageError)
