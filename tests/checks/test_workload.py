"""What a policy says its machines are for, and which findings matter more there."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from nvtopo import cli
from nvtopo.checks.table import CHECKS
from nvtopo.checks.workload import MATTERS
from nvtopo.errors import ParseError
from nvtopo.findings.expectation import WORKLOADS, expectations_in
from tests.hosts.recorded import FIXTURES

CAPTURE = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "capture.json"


def test_every_workload_is_in_the_table_and_names_checks_that_there_are() -> None:
    assert tuple(MATTERS) == WORKLOADS
    assert frozenset().union(*MATTERS.values()) <= {one.check.id for one in CHECKS}


@pytest.mark.parametrize(("workload", "severity"), [("real-time", "warning"), ("batch", "info"), (None, "info")])
def test_a_setting_that_disturbs_is_a_warning_for_real_time(
    tmp_path: Path, workload: str | None, severity: str
) -> None:
    capture = json.loads(CAPTURE.read_text(encoding="utf-8"))
    capture["host"]["numaBalancing"] = 1
    (tmp_path / "capture.json").write_text(json.dumps(capture), encoding="utf-8")
    shape = {"match": {"gpu": "NVIDIA H100 80GB HBM3"}, "expect": {"gpus": 8}}
    shape |= {} if workload is None else {"workload": workload}
    (tmp_path / "policy.json").write_text(json.dumps({"shapes": {"h100": shape}}), encoding="utf-8")
    words = ["doctor", "--from", str(tmp_path / "capture.json"), "--policy", str(tmp_path / "policy.json")]
    done = CliRunner().invoke(cli.main, [*words, "--format", "json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert [one["severity"] for one in found["findings"] if one["id"] == "numa-balancing-on"] == [severity]
    assert (found["verdict"], done.exit_code) == ("ready", 0)


def test_a_workload_that_there_is_not_is_refused_in_one_line() -> None:
    with pytest.raises(ParseError, match="workload") as refused:
        expectations_in(b'{"shapes": {"a": {"match": {}, "expect": {}, "workload": "quick"}}}', "policy")
    assert "\n" not in str(refused.value)
