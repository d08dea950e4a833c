"""The SARIF of a report against the published schema of SARIF 2.1.0."""

import json
from pathlib import Path
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from nvtopo.checks.fleet import of_fleet
from nvtopo.reports import sarif
from tests import npm_packages
from tests.checks.recorded import NAMES, report_of
from tests.checks.test_reports import FLEET
from tests.checks.test_reports import _hostile as hostile

pytestmark = pytest.mark.lab

_PINS: Final = Path(__file__).with_name("schema")
_FILE: Final = "@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads((npm_packages.installed(_PINS, "sarif-schema") / _FILE).read_text(encoding="utf-8"))


def complaints(schema: Any, document: Any) -> list[str]:
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [error.message for error in validator.iter_errors(document)]


def test_every_machine_s_report_is_sarif(schema: Any) -> None:
    fleet = of_fleet({name: report_of(name) for name in NAMES}, FLEET.nodes["h100-one-link-down"].findings)
    assert complaints(schema, msgspec.json.decode(sarif.render(fleet))) == []
    assert complaints(schema, msgspec.json.decode(sarif.render(of_fleet({})))) == []


@pytest.mark.parametrize("evil", ["</td><script>alert(1)</script>", "\x1b[2J\x00", ""])
def test_a_report_with_hostile_names_is_too(schema: Any, evil: str) -> None:
    assert complaints(schema, msgspec.json.decode(sarif.render(hostile(evil)))) == []


def test_the_schema_refuses_what_is_none(schema: Any) -> None:
    document = msgspec.json.decode(sarif.render(FLEET))
    document["runs"][0]["results"][0]["level"] = "fatal"
    assert complaints(schema, document)
