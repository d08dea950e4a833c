"""Any spec that the CRD's schema takes passes every stage: conclusions, status, documents and renderers raise nothing.

The specs are drawn from the schema itself, so a new field is among them. What the schema takes and ``expand`` refuses
contradicts itself (``soundness``), which is a reason in one line as well.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nvtopo.kube.crd import structural_schema
from nvtopo.model.formats import limits
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.spec import Spec, expand
from tests.hosts.recorded import HOSTS
from tests.properties import every_stage

pytestmark = pytest.mark.slow

#: Keys are not in a structural schema; those of ``peers`` have to be addresses.
_KEYS: Final = st.one_of(st.from_regex(limits.ADDRESS, fullmatch=True), st.text(min_size=1, max_size=8))
_FEW: Final = 4
_KNOWN: Final = ("active", "gpu", "switch", "ACTIVE", "Ethernet", "10de:2330", "nvml", "GPU0", "5.0", "PIX")


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a structural schema takes, lists and maps short."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return st.one_of(st.booleans(), st.integers(-5, 5), st.text(max_size=8))
    match schema["type"]:
        case "object":
            return _objects(schema)
        case "array":
            return st.lists(values(schema["items"]), max_size=min(_FEW, schema["maxItems"]))
        case "boolean":
            return st.booleans()
        case "integer":
            low, high = schema["minimum"], schema["maximum"]
            return st.one_of(
                st.integers(low, min(high, low + _FEW)), st.sampled_from((low, high)), st.integers(low, high)
            )
        case _:
            return _texts(schema)


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "additionalProperties" in schema:
        most = min(_FEW, schema["maxProperties"])
        return st.dictionaries(_KEYS, values(schema["additionalProperties"]), max_size=most)
    fields = {name: values(part) for name, part in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional=fields)


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True).filter(lambda text: len(text) <= schema["maxLength"])
    known = st.sampled_from(
        ("active", "gpu", "switch", "ACTIVE", "Ethernet", "10de:2330", "nvml", "GPU0", "5.0", "PIX")
    )
    return st.one_of(st.text(max_size=min(12, schema["maxLength"])), known, st.just("x" * schema["maxLength"]))


SCHEMA: Final = structural_schema(Spec)
SPECS: Final = values(SCHEMA)
MACHINES: Final = [
    json.loads((host / "expected" / "topology.json").read_text(encoding="utf-8"))["spec"] for host in HOSTS
]


def places(value: Any, schema: dict[str, Any]) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    """Each place in a value: what holds it, its key or number there, and the schema of what may be there."""
    if isinstance(value, dict):
        parts: dict[Any, dict[str, Any]] = schema.get("properties") or dict.fromkeys(
            value, schema.get("additionalProperties", {})
        )
        for name, part in parts.items():
            yield value, name, part
            if name in value and "type" in part:
                yield from places(value[name], part)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield value, number, schema["items"]
            yield from places(one, schema["items"])


def read(spec: dict[str, Any]) -> NodeTopology | str:
    """The node, or why there is none."""
    try:
        return expand(msgspec.json.decode(msgspec.json.encode(spec), type=Spec))
    except (msgspec.ValidationError, ValueError) as refused:
        return str(refused)


def numbered(spec: dict[str, Any]) -> dict[str, Any]:
    """The same, without the contradictions that chance makes most often."""
    for name, key in _KEYS_OF_DEVICES:
        for number, device in enumerate(spec.get(name, ())):
            if key in device:
                device[key] = _numbered(key, device[key], number)
    count = len(spec.get("gpus", ()))
    for pair in spec.get("pairs", ()):
        pair["a"], pair["b"] = sorted((pair["a"] % max(count, 1), pair["b"] % max(count, 1)))
    pairs = {(pair["a"], pair["b"]): pair for pair in spec.get("pairs", ()) if pair["a"] < pair["b"]}
    spec["pairs"] = list(pairs.values())
    return spec


_KEYS_OF_DEVICES: Final = (
    *(("gpus", "index"), ("gpus", "uuid"), ("gpus", "pciBusID"), ("numa", "index"), ("accelerators", "pciBusID")),
    *(("nics", "name"), ("nvmes", "name"), ("nvmes", "pciBusID")),
)


def _numbered(key: str, value: Any, number: int) -> Any:
    if key == "index":
        return number
    return f"{value[:-1]}{number}" if key == "pciBusID" else f"{value[:8]}{number}"


@settings(suppress_health_check=list(HealthCheck))
@given(SPECS)
def test_any_spec_is_read_or_refused_in_one_line(spec: dict[str, Any]) -> None:
    node = read(spec)
    if isinstance(node, NodeTopology):
        every_stage.passed(node)
    else:
        assert "\n" not in node


@settings(suppress_health_check=list(HealthCheck))
@given(SPECS.map(numbered))
def test_any_spec_passes_every_stage(spec: dict[str, Any]) -> None:
    node = read(spec)
    assume(isinstance(node, NodeTopology))  # a key of peers need not be an address
    assert isinstance(node, NodeTopology)
    every_stage.passed(node)


@settings(suppress_health_check=list(HealthCheck))
@given(st.sampled_from(MACHINES), st.data())
def test_any_value_of_a_real_machine_may_be_any_other(machine: dict[str, Any], data: st.DataObject) -> None:
    spec = copy.deepcopy(machine)
    for _ in range(data.draw(st.integers(1, 4))):
        held, key, schema = data.draw(st.sampled_from(list(places(spec, SCHEMA))))
        held[key] = data.draw(values(schema))
    node = read(spec)
    if isinstance(node, NodeTopology):
        every_stage.passed(node)
    else:
        assert "\n" not in node
