"""A node that differs from another in one fact, whichever that is: any field of any record in it."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from hypothesis import strategies as st
from msgspec.inspect import BoolType, IntType, LiteralType, NoneType, StrType, Type, UnionType, VarTupleType

from nvtopo.model.changes.identity import name_of
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Record

_CPUS: Final = st.sampled_from(("0-3", "8", "0-1,4"))
_ADDRESSES: Final = st.sampled_from(("0000:c1:00.0", "0001:02:03.4"))
#: Text in a notation, by field; any other text is a word.
_NOTATIONS: Final[dict[str, st.SearchStrategy[str]]] = {
    "cpus": _CPUS,
    "local_cpus": _CPUS,
    "numa_nodes": _CPUS,
    "isolated_cpus": _CPUS,
    "allowed_cpus": _CPUS,
    "pci_address": _ADDRESSES,
    "data_direct": _ADDRESSES,
    "path": st.sampled_from(("pci00ff:00/00ff:00:01.0", "pci00fe:00")),
    "root": st.sampled_from(("pci00ff:00", "pci00fe:00")),
}
#: Of a bundle, which links it is of: they are drawn with the machine.
_LEFT_OUT: Final = ("links", "peers")
_WORD: Final = st.from_regex(re.compile("[a-z]{3,9}"), fullmatch=True)
_SIMPLE: Final[dict[type[Type], st.SearchStrategy[Any]]] = {
    NoneType: st.none(),
    BoolType: st.booleans(),
    IntType: st.integers(1, 60),
}


class Fact(NamedTuple):
    """One field of one record of a node."""

    field: str
    type: Type
    value: Any
    subject: str
    """What the thing that it is a fact of is called; the part of the node where it is no thing."""
    put: Callable[[Any], Any]
    """The node with another value there."""


def facts(node: NodeTopology) -> list[Fact]:
    """Every fact of a node that is one value, those of records in records included."""
    return list(_of_record(node, "node", lambda record: record))


def another(fact: Fact) -> st.SearchStrategy[Any]:
    """Values that the field could have as well."""
    return _values(fact.field, fact.type).filter(lambda value: value != fact.value)


def _of_record(record: Record, subject: str, put: Callable[[Any], Any]) -> Iterator[Fact]:
    kinds = {field.name: field.type for field in _fields(type(record))}
    for name in record.__struct_fields__:
        value = getattr(record, name)

        def put_here(new: Any, name: str = name) -> Any:
            return put(msgspec.structs.replace(record, **{name: new}))

        if isinstance(value, Record):
            yield from _of_record(value, name if subject == "node" else subject, put_here)
        elif isinstance(value, tuple) and any(isinstance(item, Record) for item in value):
            yield from _of_items(value, subject, put_here)
        elif name not in _LEFT_OUT and _is_value(kinds[name]):
            yield Fact(name, kinds[name], value, subject, put_here)


def _of_items(items: tuple[Record, ...], subject: str, put: Callable[[Any], Any]) -> Iterator[Fact]:
    for position, item in enumerate(items):

        def put_here(new: Any, position: int = position) -> Any:
            return put((*items[:position], new, *items[position + 1 :]))

        yield from _of_record(item, name_of(item) if subject == "node" else subject, put_here)


def _fields(kind: type[Record]) -> tuple[Any, ...]:
    found = msgspec.inspect.type_info(kind)
    assert isinstance(found, msgspec.inspect.StructType)
    return found.fields


def _is_value(kind: Type) -> bool:
    if isinstance(kind, UnionType):
        return any(_is_value(one) for one in kind.types if not isinstance(one, NoneType))
    if isinstance(kind, VarTupleType):
        return isinstance(kind.item_type, StrType)
    return isinstance(kind, (BoolType, IntType, StrType, LiteralType))


def _values(field: str, kind: Type) -> st.SearchStrategy[Any]:
    if isinstance(kind, UnionType):
        return st.one_of(*(_values(field, one) for one in kind.types))
    if isinstance(kind, VarTupleType):
        return st.lists(_values(field, kind.item_type), min_size=1, max_size=3, unique=True).map(tuple)
    if isinstance(kind, LiteralType):
        return st.sampled_from(kind.values)
    return _NOTATIONS.get(field, _WORD) if isinstance(kind, StrType) else _SIMPLE[type(kind)]
