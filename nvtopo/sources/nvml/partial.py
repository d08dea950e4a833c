"""An answer of the NVML worker with values out of range: what is good in it is kept, GPU by GPU and field by field."""

from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo, fields

from nvtopo.model.records.facts import NvmlFacts
from nvtopo.model.records.record import Problem

_R = TypeVar("_R", bound=msgspec.Struct)
#: A line may hold more nonsense than anyone reads.
_MOST_PROBLEMS: Final = 100


def facts(said: object) -> tuple[NvmlFacts, tuple[Problem, ...]]:
    """The facts without the values that do not fit their field, with a problem for each of those."""
    problems: list[Problem] = []
    found = _record(said, NvmlFacts, "driver", problems)
    return found or NvmlFacts(), tuple(problems[:_MOST_PROBLEMS])


def _record(said: object, kind: type[_R], subject: str, problems: list[Problem]) -> _R | None:
    """The record, without the fields that do not fit; None if it can't do without one of them."""
    if not isinstance(said, Mapping):
        problems.append(_problem(subject, f"answer that is not an object: {kind.__name__}"))
        return None
    kept = {
        field.name: value
        for field in fields(kind)
        if field.encode_name in said
        for value in _value(field, said[field.encode_name], subject, problems)
    }
    lacking = [field.encode_name for field in fields(kind) if field.required and field.name not in kept]
    if lacking:
        problems.append(_problem(subject, f"answer without a usable {', '.join(lacking)}"))
        return None
    return kind(**kept)


def _value(field: FieldInfo, said: object, subject: str, problems: list[Problem]) -> Iterator[Any]:
    """The field's value; nothing, and a problem, if it does not fit."""
    try:
        yield msgspec.convert(said, field.type)
    except msgspec.ValidationError as error:
        one, many = _inner(field.type)
        if one is not None and many and isinstance(said, list):
            found = (_record(item, one, _subject(item, subject), problems) for item in said)
            yield tuple(item for item in found if item is not None)
        elif one is not None:
            found_one = _record(said, one, subject, problems)
            if found_one is not None:
                yield found_one
        else:
            problems.append(_problem(subject, f"value of {field.encode_name} that can't be: {error}"))


def _inner(kind: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """The record that a field holds, if it holds one or, as a tuple, many."""
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    many = get_origin(kind) is tuple
    candidates = [item for item in get_args(kind) or (kind,) if item not in (NoneType, Ellipsis)]
    record = next((item for item in candidates if isinstance(item, type) and issubclass(item, msgspec.Struct)), None)
    return record, many


def _subject(item: object, otherwise: str) -> str:
    """``GPU3`` and ``GPU0-GPU3`` by the numbers in an item; a link belongs to its GPU."""
    if not isinstance(item, Mapping):
        return otherwise
    if "a" in item and "b" in item:
        return f"GPU{item['a']}-GPU{item['b']}"
    return f"GPU{item['index']}" if "index" in item else otherwise


def _problem(subject: str, reason: str) -> Problem:
    return Problem(source="nvml", subject=subject, reason=reason)
