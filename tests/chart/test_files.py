"""What lies in `daemonset/` for helm, read without helm."""

import json
from collections.abc import Iterator
from typing import Any, Final

import yaml

import nvtopo
from tests import golden
from tests.daemonset.shipped import COMPONENTS, DAEMONSET, Json

VALUES: Final[Json] = yaml.safe_load((DAEMONSET / "values.yaml").read_text())
SCHEMA: Final[Json] = json.loads((DAEMONSET / "values.schema.json").read_text())
_HEAD: Final = "| value | default | what it is |\n|---|---|---|\n"


def test_every_component_is_a_value_and_off() -> None:
    assert VALUES["components"] == dict.fromkeys(COMPONENTS, False)
    assert SCHEMA["properties"]["components"]["properties"].keys() == set(COMPONENTS)


def test_chart_has_the_version_of_the_program() -> None:
    chart = yaml.safe_load((DAEMONSET / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == nvtopo.__version__


def test_every_value_is_in_the_schema_and_every_schema_s_is_a_value() -> None:
    assert {name for name, _ in _leaves(VALUES)} | {"global"} == set(_described(SCHEMA))


def test_readme_has_every_value() -> None:
    """`make golden` writes the table from the values and their schema."""
    readme = DAEMONSET / "README.md"
    before, head, rest = readme.read_text().partition(_HEAD)
    rows = "".join(f"| `{name}` | `{json.dumps(default)}` | {_of(name)} |\n" for name, default in _leaves(VALUES))
    golden.check(before + head + rows + rest[rest.index("\n\n") + 1 :], readme)


def _leaves(values: Json, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _described(schema: Json, above: str = "") -> Iterator[str]:
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            yield from _described(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _of(name: str) -> str:
    """What the schema says of a value."""
    schema = SCHEMA
    for part in name.split("."):
        schema = schema["properties"][part]
    description: str = schema["description"]
    return description
