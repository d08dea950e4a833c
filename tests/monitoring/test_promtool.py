"""promtool on rules, rule unit tests and pages; and what fires within an hour of each recorded machine's page."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from monitoring import prometheus_rule
from nvtopo.aggregator import metrics
from nvtopo.aggregator.loop import Figures
from nvtopo.aggregator.watch import Subscribers
from nvtopo.sinks.metrics.series import text
from tests.cluster.machines import troubled
from tests.hosts.recorded import HOSTS
from tests.monitoring import pages, shipped

pytestmark = pytest.mark.lab

#: Machine → what fires there. Every other one is well, and nothing fires.
ILL: Final = {
    "b200-nvswitch-mgmt-nics": {"NvtopoNvlinkBitErrors"},
    "gb200-fabric-unhealthy": {"NvtopoFabricUnhealthy"},
    "gb200-insufficient-resources": {"NvtopoFabricUnhealthy", "NvtopoPeerAccessLost"},
    "gb200-fabric-not-supported": {"NvtopoFabricUnhealthy", "NvtopoPeerAccessLost"},
    "h100-needs-reset": {"NvtopoGpuMemoryRepair", "NvtopoGpuRecoveryNeeded"},
    "gb200-mixed-fabric": {"NvtopoFabricUnhealthy", "NvtopoPeerAccessLost"},
    "gb200-rails-down": {"NvtopoRdmaPortDown"},
    "h100-nics-dead": {"NvtopoRailsMissing", "NvtopoRdmaPortDown"},
    "h100-driver-mismatch": {"NvtopoProblems", "NvtopoSamplerDown"},
    "h100-fabric-registering": {"NvtopoFabricRegistering"},
    "h100-gpu-off-the-bus": {"NvtopoGpusMissing"},
    "h100-gpu-lost": {"NvtopoGpuLost", "NvtopoProblems"},
    "h100-links-training": {"NvtopoFabricRegistering"},
    "h100-no-driver": {"NvtopoProblems"},
    "h100-sxm-8gpu-8cx7": {"NvtopoNumaSpill"},
    "h100-one-link-down": {"NvtopoNvlinkDown"},
    "hgx-b200-8gpu": {"NvtopoNvlinkBitErrors"},
    "mixed-h200-a100-cards": {"NvtopoMtuMismatch", "NvtopoNvlinkDegraded", "NvtopoPcieDowngraded"},
    "t4-single-edge": {"NvtopoPcieDowngraded"},
}


def run(promtool: str, *arguments: str, page: str | None = None) -> None:
    done = subprocess.run([promtool, *arguments], input=page, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_are_clean(promtool: str) -> None:
    run(promtool, "check", "rules", *map(str, prometheus_rule.RULES))


def test_configuration_is_clean(promtool: str) -> None:
    run(promtool, "check", "config", str(shipped.MONITORING / "prometheus.yaml"))


@pytest.mark.parametrize("path", shipped.RULE_TESTS, ids=lambda path: path.stem)
def test_rules_do_what_their_unit_tests_say(path: Path, promtool: str) -> None:
    run(promtool, "test", "rules", str(path))


def test_the_recipe_of_rack_sensors_does_what_its_unit_tests_say(promtool: str) -> None:
    folder = shipped.REPOSITORY / "docs/recipes/racks"
    run(promtool, "check", "rules", str(folder / "sensors.yaml"))
    run(promtool, "test", "rules", str(folder / "sensors.test.yaml"))


def test_every_alert_fires_in_some_unit_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in shipped.RULE_TESTS)
    assert set(re.findall(r'alertname="(\w+)"', tests)) == {alert["alert"] for alert in shipped.alerts()}


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_page_is_clean(host: Path, promtool: str) -> None:
    run(promtool, "check", "metrics", page=(host / "expected" / "metrics.prom").read_text(encoding="utf-8"))


def test_the_aggregator_s_page_is_clean(promtool: str) -> None:
    run(
        promtool,
        "check",
        "metrics",
        page=text([*metrics.of_graph(troubled()), *metrics.figures(Figures(), Subscribers(lambda: None), 0.0)]),
    )


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_an_hour_of_the_machine(host: Path, promtool: str, tmp_path: Path) -> None:
    test = tmp_path / "hour.yaml"
    page = host / "expected" / "metrics.prom"
    test.write_text(json.dumps(pages.unit_test(host.name, page, ILL.get(host.name, set()))), encoding="utf-8")
    run(promtool, "test", "rules", str(test))


def test_the_ill_machines_are_there() -> None:
    assert ILL.keys() <= {host.name for host in HOSTS}
