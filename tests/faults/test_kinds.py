"""Every kind of fault of a node, in one table: labels, condition, page and alerts say the same of it, and no more."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvtopo.aggregator.status import status_of
from nvtopo.cluster.nodes import readable
from nvtopo.model.conclusions.features import PREFIX, features
from nvtopo.sinks.document import derived as derived_document
from tests.faults.kinds import KINDS, Kind
from tests.faults.whole_pass import Passed, passed
from tests.monitoring import pages, shipped
from tests.monitoring.promql import uses
from tests.monitoring.test_promtool import run

pytestmark = pytest.mark.slow

_REASON = re.compile(r'^nvtopo_node_health_reasons\{reason="([^"]+)"\} (\d+)$', re.MULTILINE)
_RULED = {use.name for rule in shipped.all_rules() for use in uses(rule["expr"])}
_READY = re.compile(r"^nvtopo_node_ready (\d)$", re.MULTILINE)


@pytest.fixture(scope="module", params=KINDS)
def fault(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kind, Passed]:
    kind = KINDS[request.param]
    return kind, passed(kind, tmp_path_factory.mktemp("machine"))


def test_the_labels(fault: tuple[Kind, Passed]) -> None:
    kind, found = fault
    labels = features(found.observation.topology, found.observation.derived)
    wanted = {"ready": kind.ready} | dict(kind.labels)
    assert {name: labels.get(PREFIX + name) for name in wanted} == wanted


def test_the_condition_and_what_it_says(fault: tuple[Kind, Passed]) -> None:
    kind, found = fault
    (condition,) = status_of(readable("node-a", found.observation.topology)).conditions
    assert (condition.status, condition.reason) == kind.condition
    assert bool(condition.message) is (kind.condition[0] != "True")


def test_the_page(fault: tuple[Kind, Passed]) -> None:
    kind, found = fault
    ready = {"true": ["1"], "false": ["0"], None: []}[kind.ready]
    assert _READY.findall(found.page) == ready
    reasons = {name: int(count) for name, count in _REASON.findall(found.page)}
    assert reasons == dict(kind.reasons)


def test_the_document(fault: tuple[Kind, Passed]) -> None:
    kind, found = fault
    health = derived_document.of(found.observation.derived).health
    assert {reason.code for reason in health.reasons} == set(kind.reasons)


@pytest.mark.lab
def test_the_alerts(fault: tuple[Kind, Passed], tmp_path: Path) -> None:
    kind, found = fault
    page = tmp_path / "page.prom"
    page.write_text("".join(_ruled(found.page)), encoding="utf-8")
    test = tmp_path / "hour.json"
    test.write_text(json.dumps(pages.unit_test("node-a", page, kind.alerts)), encoding="utf-8")
    promtool = shutil.which("promtool")
    assert promtool is not None, "apt-get install -y prometheus"
    run(promtool, "test", "rules", str(test))


def _ruled(page: str) -> Iterator[str]:
    """The lines of series that some rule names: promtool takes its time over each."""
    for line in page.splitlines(keepends=True):
        name = line.split()[2] if line.startswith("#") else re.split(r"[{ ]", line)[0]
        if name in _RULED:
            yield line


def test_the_alerts_that_are_named_exist() -> None:
    named = {name for kind in KINDS.values() for name in kind.alerts}
    assert named <= {alert["alert"] for alert in shipped.alerts()}
