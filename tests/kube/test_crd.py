"""The CRD is the one that is generated, is structural, and takes what our records write."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import nvtopo
from nvtopo.kube import allocations
from nvtopo.kube import crd as generated
from nvtopo.kube.crd import allocation_crd, crd, to_yaml
from nvtopo.kube.v1alpha1 import spec_document
from nvtopo.kube.v1alpha1_status import Condition, Status, status_document
from nvtopo.model.formats import limits
from nvtopo.model.records.allocation import Allocation, Held
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.spec import compact
from tests.kube.machines import hgx, small

DAEMONSET = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
_TYPES: dict[str, type] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
}
#: What a structural schema may say and ours does; the API server drops or refuses the rest.
_KEYWORDS = {
    *("type", "format", "description", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern"),
    *("maxItems", "maxProperties"),
    *("properties", "required", "items", "additionalProperties", "x-kubernetes-preserve-unknown-fields"),
    "x-kubernetes-validations",
}


#: Made once: no test changes it.
object_schema = cache(generated.object_schema)


def faults(schema: dict[str, Any], value: Any, at: str = "$") -> list[str]:
    """Where a value is not what a structural schema says, unknown fields included."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    kind: str = schema["type"]
    found: Any = value  # typed by the schema, not for mypy
    if not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
        return [f"{at}: not {kind}: {found!r}"]
    match kind:
        case "object":
            return _object_faults(schema, found, at)
        case "array":
            many = [f"{at}: {len(found)} items"] if len(found) > schema.get("maxItems", 1 << 30) else []
            return many + [
                fault for i, part in enumerate(found) for fault in faults(schema["items"], part, f"{at}[{i}]")
            ]
        case "string":
            fine = len(found) <= schema.get("maxLength", 1 << 30) and found in schema.get("enum", [found])
            fine = fine and re.search(schema.get("pattern", ""), found) is not None
        case _:
            fine = schema.get("minimum", found) <= found <= schema.get("maximum", found)
    return [] if fine else [f"{at}: {found!r}"]


def _object_faults(schema: dict[str, Any], value: dict[str, Any], at: str) -> list[str]:
    found = [f"{at}: {len(value)} keys"] if len(value) > schema.get("maxProperties", 1 << 30) else []
    found += [f"{at}: no {name}" for name in schema.get("required", ()) if name not in value]
    for name, part in value.items():
        part_schema = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
        if at == "$.metadata":
            continue
        found += [f"{at}: unknown {name}"] if part_schema is None else faults(part_schema, part, f"{at}.{name}")
    return found


def parts(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A schema and all schemas in it."""
    inner = [*schema.get("properties", {}).values()]
    inner += [schema[key] for key in ("items", "additionalProperties") if key in schema]
    return [schema, *(part for one in inner for part in parts(one))]


def test_the_committed_file_is_the_generated_one() -> None:
    assert (DAEMONSET / "crd.yaml").read_text() == to_yaml(crd()), "python -m nvtopo.kube.crd > daemonset/crd.yaml"


def test_the_committed_file_of_allocations_is_the_generated_one() -> None:
    committed = (DAEMONSET / "components" / "allocations" / "crd.yaml").read_text()
    assert committed == to_yaml(allocation_crd(), "make golden"), "make golden"


def test_the_schema_of_an_allocation_takes_what_is_written_and_bounds_all_of_it() -> None:
    schema = allocation_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"]
    assert all(set(part) <= _KEYWORDS for part in parts(spec))
    assert all("maxLength" in part for part in parts(spec) if part["type"] == "string")
    assert all("maxItems" in part for part in parts(spec) if part["type"] == "array")
    assert all(part.get("description") for _, part in _fields(spec["properties"]))
    held = Held(
        namespace="a", pod="b", container="c", gpus=(0,), unidentified=("MIG-1",), nics=("n",), resources=("r",)
    )
    document = allocations.document("node", Allocation(containers=(held,), unknown="why"), "uid")
    assert faults(schema, msgspec.json.decode(document)) == []


def test_the_kustomization_lists_the_files_beside_it() -> None:
    listed = yaml.safe_load((DAEMONSET / "kustomization.yaml").read_text())["resources"]
    assert {"crd.yaml", "rbac.yaml"} <= set(listed)
    assert [name for name in listed if not (DAEMONSET / name).exists()] == []


def test_the_schema_is_structural() -> None:
    for part in parts(object_schema()):
        assert "type" in part or part.get("x-kubernetes-preserve-unknown-fields")
        assert set(part) <= _KEYWORDS
        if part.get("type") == "integer":
            assert part["format"] == "int64"
        if "enum" in part:
            assert part["type"] == "string"
            assert None not in part["enum"]


def test_everything_has_a_limit() -> None:
    """No text, list or map of any size: what is not bounded here, one node can fill."""
    lacking = {"string": ("maxLength", "enum"), "array": ("maxItems",), "integer": ("maximum",)}
    properties = object_schema()["properties"]
    for part in parts(properties["spec"]) + parts(properties["status"]):
        assert not part.get("x-kubernetes-preserve-unknown-fields") or part["maxLength"]
        wanted = lacking.get(part.get("type", ""), ())
        assert not wanted or any(keyword in part for keyword in wanted), part
        assert "additionalProperties" not in part or "maxProperties" in part, part


def test_docstrings_of_fields_and_records_are_explained() -> None:
    gpu = object_schema()["properties"]["spec"]["properties"]["gpus"]["items"]
    assert gpu["description"] == "One GPU."
    assert gpu["properties"]["numaNode"]["description"].startswith("The NUMA node of its PCIe function")
    assert gpu["properties"]["link"]["description"].startswith("Its PCIe link, without the current generation")


def test_every_field_is_explained() -> None:
    """`kubectl explain ntopo.spec --recursive`, field by field; the API server itself explains kind and metadata."""
    properties = object_schema()["properties"]
    parts = {name: properties[name] for name in ("spec", "status")}
    assert [name for name, part in _fields(parts) if not part.get("description")] == []


def _fields(properties: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, part in properties.items():
        yield f"{above}{name}", part
        inner = part.get("items", part.get("additionalProperties", part))
        yield from _fields(inner.get("properties", {}), f"{above}{name}.")


def test_bounds_come_from_the_model() -> None:
    gpu = object_schema()["properties"]["spec"]["properties"]["gpus"]["items"]
    assert gpu["properties"]["memoryBytes"]["maximum"] == limits.HIGHEST_BYTES
    assert gpu["properties"]["uuid"]["maxLength"] == 256
    assert gpu["required"] == ["index", "uuid"]
    assert gpu["properties"]["fabric"]["properties"]["state"]["enum"] == [
        "completed",
        "in-progress",
        "not-started",
        "not-supported",
    ]


@pytest.mark.parametrize("topology", [NodeTopology(), small(), hgx()], ids=["empty", "small", "hgx"])
def test_what_an_agent_applies_fits(topology: NodeTopology) -> None:
    assert faults(object_schema(), msgspec.json.decode(spec_document("node-a", topology, "uid"))) == []


def test_what_the_aggregator_applies_fits() -> None:
    condition = Condition(
        type="Ready",
        status="False",
        reason="Drift",
        message="A link is down.",
        last_transition_time="2027-01-01T00:00:00Z",
    )
    document = msgspec.json.decode(status_document("node-a", Status(domain="cluster.1", conditions=(condition,))))
    assert faults(object_schema()["properties"]["status"], document["status"]) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"gpus": [{"index": "0", "uuid": "u"}]},
        {"gpus": [{"index": -1, "uuid": "u"}]},
        {"gpus": [{"index": 0}]},
        {"gpus": [{"index": 0, "uuid": "u" * 257}]},
        {"gpus": [{"index": 0, "uuid": "u", "fabric": {"state": "unheard-of"}}]},
        {"surprise": 1},
        {"gpus": [{"index": 0, "uuid": "u", "nvlinks": [{"links": "0-1048576"}]}]},
        {"gpus": [{"index": 0, "uuid": "u", "nvlinks": [{"links": "0", "peers": {"0000:01:00.0": "x"}}]}]},
        {"gpus": [{"index": n, "uuid": "u"} for n in range(65)]},
        {"numa": [{"index": 0, "cpus": "0-99999"}]},
    ],
)
def test_the_validator_of_these_tests_finds_faults(spec: dict[str, Any]) -> None:
    assert faults(object_schema(), {"spec": spec}) != []


def test_an_eight_gpu_node_stays_small() -> None:
    assert len(msgspec.json.encode(compact(hgx()))) < 6 * 1024
