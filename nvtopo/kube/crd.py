"""The CustomResourceDefinitions, derived from the records: ``python -m nvtopo.kube.crd > daemonset/crd.yaml``.

``python -m nvtopo.kube.crd allocations`` is the one of ``daemonset/components/allocations``.

A structural schema (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/)
knows no ``$ref``, no union and no null, and every value has a ``type``. So references are written out, an optional
field is one that may be absent (our records never write null), and defaults stay with the records: filled in by the
API server they would make an object unlike the one that was applied.

What ``kubectl explain`` prints are the docstrings: of the records, which msgspec knows, and of their fields, which
only the source has.
"""

import ast
import inspect
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec.inspect import DictType, StructType, Type, UnionType, VarTupleType

from nvtopo.errors import UsageError
from nvtopo.kube import allocations, v1alpha1
from nvtopo.kube.v1alpha1 import GROUP, VERSION
from nvtopo.kube.v1alpha1_status import Status
from nvtopo.model.formats import limits
from nvtopo.model.records import soundness
from nvtopo.model.records.allocation import Allocation
from nvtopo.model.records.node import Gpu, Nic
from nvtopo.model.records.record import Record
from nvtopo.model.records.spec import GpuCommon, NicCommon, Spec

Schema = dict[str, Any]
_Column = tuple[str, str, str, int]

_REF: Final = "#/$defs/"
#: What only JSON Schema has. The rest of what msgspec writes means the same in a structural schema.
_DROPPED: Final = (
    "title",
    "description",
    "default",
    "anyOf",
    "properties",
    "items",
    "additionalProperties",
    "required",
    "propertyNames",
)
_NULL: Final = {"type": "null"}
#: What a plain value may be where it has no type: no list and no object with anything in it, and no long text.
_PLAIN: Final = {"maxLength": limits.LONGEST_REASON, "maxItems": 0, "maxProperties": 0}

#: Records whose fields are some of another's and mean the same.
_ALIKE: Final[Mapping[type[msgspec.Struct], tuple[type[Record], ...]]] = {GpuCommon: (Gpu,), NicCommon: (Nic,)}

#: Column, JSONPath, type, priority: those above 0 are printed with ``-o wide`` only.
_COLUMNS: Final = (
    ("GPUs", ".status.gpus", "integer", 0),
    ("GPU", ".spec.gpus[0].name", "string", 0),
    ("NVLink", ".spec..nvlinks[0].version", "string", 0),
    ("NICs", ".status.nics", "integer", 0),
    ("Domain", ".status.domain", "string", 0),
    ("Driver", ".spec.host.driverVersion", "string", 0),
    ("Ready", '.status.conditions[?(@.type=="Ready")].status', "string", 0),
    ("Message", '.status.conditions[?(@.type=="Ready")].message', "string", 1),
    ("Problem", ".spec.problems[0].reason", "string", 1),
    ("Product", ".spec.host.product", "string", 1),
    ("Architecture", ".spec.host.architecture", "string", 1),
    ("Kernel", ".spec.host.kernel", "string", 1),
    ("Age", ".metadata.creationTimestamp", "date", 0),
)


#: The same, of a NodeAllocation; of a list the API server would print the first alone.
_ALLOCATION_COLUMNS: Final = (
    ("Unknown", ".spec.unknown", "string", 0),
    ("Age", ".metadata.creationTimestamp", "date", 0),
)


def crd() -> dict[str, Any]:
    """The definition of a NodeTopology, ready for the API server."""
    names = _names(v1alpha1.KIND, v1alpha1.PLURAL, v1alpha1.SINGULAR, v1alpha1.SHORT_NAME)
    return _definition(names, _COLUMNS, object_schema())


def allocation_crd() -> dict[str, Any]:
    """The definition of a NodeAllocation."""
    names = _names(allocations.KIND, allocations.PLURAL, allocations.SINGULAR, allocations.SHORT_NAME)
    description = "Which containers hold which GPUs and NICs of the node of this name."
    schema = _object_schema(description, {"spec": structural_schema(Allocation)})
    definition = _definition(names, _ALLOCATION_COLUMNS, schema)
    del definition["spec"]["versions"][0]["subresources"]
    return definition


def object_schema() -> Schema:
    """The schema of a whole NodeTopology."""
    return _object_schema(
        "What the GPUs, NICs and links of the node of this name really are.",
        {"spec": structural_schema(Spec), "status": structural_schema(Status)},
    )


def _object_schema(description: str, parts: Mapping[str, Schema]) -> Schema:
    plain = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return {"description": description, "type": "object", "properties": {**plain, **parts}, "required": ["spec"]}


def _names(kind: str, plural: str, singular: str, short: str) -> dict[str, Any]:
    return {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": singular, "shortNames": [short]}


def _definition(names: Mapping[str, Any], columns: Iterable[_Column], schema: Schema) -> dict[str, Any]:
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in columns],
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Cluster", "names": {**names}, "versions": [version]},
    }


def structural_schema(record: type[msgspec.Struct]) -> Schema:
    """The schema of a record and of all that it holds, written out."""
    (root,), components = msgspec.json.schema_components([record])
    classes = {found.__name__: found for found in _records(msgspec.inspect.type_info(record))}
    for name, component in components.items():
        _describe(component, classes[name])
    return _structural(root, components)


def _column(name: str, path: str, kind: str, priority: int) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path}
    return column | {"priority": priority} if priority else column


def _records(found: Type) -> Iterator[type[msgspec.Struct]]:
    """The record types that a type is made of."""
    match found:
        case StructType(cls=record, fields=fields):
            yield record
            inner: tuple[Type, ...] = tuple(field.type for field in fields)
        case VarTupleType(item_type=item):
            inner = (item,)
        case DictType(value_type=value):
            inner = (value,)
        case UnionType(types=types):
            inner = types
        case _:
            inner = ()
    for part in inner:
        yield from _records(part)


def _describe(component: Schema, record: type[msgspec.Struct]) -> None:
    """Adds the fields' docstrings to a record's schema."""
    bases = [base for base in reversed((*record.__mro__, *_ALIKE.get(record, ()))) if issubclass(base, Record)]
    docstrings = {name: text for base in bases for name, text in _field_docstrings(base).items()}
    for field in msgspec.structs.fields(record):
        if field.name in docstrings:
            component["properties"][field.encode_name]["description"] = docstrings[field.name]


def _field_docstrings(record: type[msgspec.Struct]) -> Mapping[str, str]:
    """Field → the string that stands below it in the source; Python itself forgets it."""
    body = next(node for node in ast.walk(ast.parse(inspect.getsource(record))) if isinstance(node, ast.ClassDef)).body
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


def _structural(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    """One value's schema. A field's own description is worth more than that of the record it holds."""
    target = _resolved(schema, components)
    description = schema.get("description", target.get("description"))
    result = {"description": description.replace("``", "`")} if description else {}
    result |= {key: value for key, value in target.items() if key not in _DROPPED}
    if "anyOf" in target:  # a union of plain values, which a structural schema can't tell apart
        return result | {"x-kubernetes-preserve-unknown-fields": True} | _PLAIN
    if "enum" in target:
        result["type"] = "string"
    if target.get("type") == "integer":
        result["format"] = "int64"
    if rules := soundness.RULES.get(target.get("title", "")):
        result["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in rules]
    return result | _content(target, components)


def _content(target: Schema, components: Mapping[str, Schema]) -> Schema:
    """What an object or an array holds."""
    content: Schema = {}
    if "properties" in target:
        content["properties"] = {name: _structural(part, components) for name, part in target["properties"].items()}
    if target.get("required"):
        content["required"] = target["required"]
    for key in ("items", "additionalProperties"):
        if key in target:
            content[key] = _structural(target[key], components)
    return content


def _resolved(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    """Through references and ``T | None`` to what can be there."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != _NULL]
    if len(choices) == 1:
        return _resolved(choices[0], components)
    if "$ref" in schema:
        return components[schema["$ref"].removeprefix(_REF)]
    return schema


def to_yaml(document: Mapping[str, Any], made_by: str = "python -m nvtopo.kube.crd > daemonset/crd.yaml") -> str:
    """The document as people read it."""
    try:
        import yaml
    except ImportError as error:
        raise UsageError("yaml: writing the CRD needs PyYAML; pip install PyYAML") from error
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return f"# Generated: {made_by}\n{text}"


if __name__ == "__main__":
    if sys.argv[1:] == ["allocations"]:
        sys.stdout.write(to_yaml(allocation_crd(), "make golden"))
    else:
        sys.stdout.write(to_yaml(crd()))
