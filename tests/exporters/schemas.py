"""The consumers' own schemas of what is exported, read where they lie and never copied."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]
import pytest

import nvtopo
from tests import yaml_text

FOLDER: Final = Path(nvtopo.__file__).resolve().parents[2] / "shared" / "consumers"
Kind = tuple[str, str]
"""apiVersion and kind."""


def folder() -> Path:
    """Where they lie; without them the test is skipped."""
    if not FOLDER.is_dir():
        pytest.skip(f"no schemas of consumers at {FOLDER.parent.name}/{FOLDER.name}")
    return FOLDER


@cache
def schemas() -> Mapping[Kind, Mapping[str, Any]]:
    """Kind → its schema, in which no unknown key is allowed."""
    found: dict[Kind, Mapping[str, Any]] = {}
    for file in sorted(folder().glob("*.yaml")):
        for document in yaml_text.read_all(file.read_text(encoding="utf-8")):
            if document and document["kind"] == "CustomResourceDefinition":
                spec = document["spec"]
                for version in spec["versions"]:
                    schema = _strict(version["schema"]["openAPIV3Schema"])
                    schema["properties"] |= {"metadata": {"type": "object"}}
                    found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


def complaints(found: Mapping[str, Any]) -> list[str]:
    """What the consumer's schema says against an object; nothing of a kind that it has no schema of."""
    schema = schemas().get((found["apiVersion"], found["kind"]))
    if schema is None:
        return []
    return [
        f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(found)
    ]


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(one) for key, one in schema.items()}
    if "properties" in found and "additionalProperties" not in found:
        found["additionalProperties"] = bool(found.get("x-kubernetes-preserve-unknown-fields"))
    if found.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
    return found
