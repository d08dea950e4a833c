"""The rules and dashboards as they are shipped, as data."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from monitoring import prometheus_rule
from monitoring.dashboards.__main__ import FOLDER
from tests import yaml_text

Json = dict[str, Any]

MONITORING: Final = prometheus_rule.HERE
REPOSITORY: Final = MONITORING.parent
RULE_TESTS: Final = tuple(sorted((MONITORING / "tests").glob("*.yaml")))
DASHBOARDS: Final = tuple(sorted(FOLDER.glob("*.json")))


class Query(NamedTuple):
    """A query of a dashboard and where it is."""

    board: str
    panel: str
    letter: str
    expr: str


def rules(path: Path) -> Iterator[Json]:
    """The rules of one file."""
    for group in yaml_text.read(path.read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def all_rules() -> list[Json]:
    """The rules of all files."""
    return [rule for path in prometheus_rule.RULES for rule in rules(path)]


def alerts() -> list[Json]:
    """The rules that alert."""
    return [rule for rule in all_rules() if "alert" in rule]


def dashboard(path: Path) -> Json:
    """One dashboard."""
    document: Json = json.loads(path.read_text(encoding="utf-8"))
    return document


def queries() -> Iterator[Query]:
    """Every query of every dashboard."""
    for path in DASHBOARDS:
        for panel in dashboard(path)["panels"]:
            for target in panel.get("targets", ()):
                yield Query(path.stem, panel["title"], target["refId"], target["expr"])
