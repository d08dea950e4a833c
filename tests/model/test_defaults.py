"""A fact that nobody stated is absent: no field of a record begins as a word, a number or a yes."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import FieldInfo, fields

from nvtopo.model import records, samples
from nvtopo.model.records.record import Record

#: Numbers that begin at 0: what is counted, and none was met. Records that hold the node's own facts.
_BEGIN: Final[dict[tuple[str, str], Any]] = {
    ("NvmlFacts", "lost"): 0,
    ("Nic", "virtual_functions"): 0,
    ("Nic", "representors"): 0,
    ("PciRoot", "functions"): 0,
    ("Snapshot", "capture"): 0,
}
_EMPTY: Final[tuple[Any, ...]] = (None, "", (), {}, False)


def _kinds(kind: type[Record]) -> Iterator[type[Record]]:
    for inner in kind.__subclasses__():
        if inner.__module__.startswith(("nvtopo.model.records", "nvtopo.model.samples")):
            yield inner
        yield from _kinds(inner)


def _default(field: FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def test_what_nobody_stated_is_absent() -> None:
    for package in (records, samples):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    kinds = set(_kinds(Record))
    assert len(kinds) > 40
    for kind in kinds:
        for field in fields(kind):
            default = _default(field)
            if default is msgspec.NODEFAULT or isinstance(default, Record):
                continue
            expected = (_BEGIN.get((kind.__name__, field.name)),) if default == 0 and default is not False else _EMPTY
            assert default in expected, f"{kind.__name__}.{field.name}"
