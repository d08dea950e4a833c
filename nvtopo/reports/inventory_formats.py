"""An inventory as CSV, JSON, and CycloneDX's bill of hardware."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from nvtopo import __version__
from nvtopo.model.formats.printable import printable
from nvtopo.reports.inventory import Item

FORMATS: Final = ("csv", "json", "cyclonedx")
_COLUMNS: Final = Item.__struct_fields__
#: With these a spreadsheet takes a cell for a formula, and a node must not put one there.
_FORMULA: Final = ("=", "+", "-", "@")
_FIRMWARE: Final = {"gpu": "VBIOS", "nic": "NIC firmware"}


def render(form: str, items: Sequence[Item]) -> str | bytes:
    """The items of some nodes in one of the formats."""
    if form == "csv":
        return _csv(items)
    document = {"items": items} if form == "json" else _cyclonedx(items)
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _csv(items: Iterable[Item]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([_cell(getattr(item, name)) for name in _COLUMNS] for item in items)
    return file.getvalue()


def _cell(value: str) -> str:
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cyclonedx(items: Iterable[Item]) -> dict[str, Any]:
    """Without a serial number and a time, so that equal machines give equal bytes."""
    nodes: dict[str, list[Item]] = {}
    for item in items:
        nodes.setdefault(item.node, []).append(item)
    hosts = [_host(name, parts) for name, parts in nodes.items()]
    tool = {"type": "application", "name": "nvtopo", "version": __version__}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"tools": {"components": [tool]}},
        "components": hosts,
    }


def _host(name: str, parts: Sequence[Item]) -> dict[str, Any]:
    first = next((item for item in parts if item.kind == "host"), Item(node=name, kind="host", name=name))
    inner = [_component(item) for item in parts if item.kind != "host"]
    return _component(first) | ({"components": inner} if inner else {})


def _component(item: Item) -> dict[str, Any]:
    properties = {
        "kind": item.kind,
        "called": item.name,
        "pciBusID": item.address,
        "serial": item.serial,
        "place": item.place,
        "detail": item.detail,
    }
    made: dict[str, Any] = {
        "type": "device",
        "bom-ref": f"{item.node}/{item.kind}/{item.name}",
        "name": (item.node if item.kind == "host" else item.model) or item.kind,
        "properties": [{"name": f"nvtopo:{key}", "value": value} for key, value in properties.items() if value],
    }
    if item.kind == "host" and item.model:
        made["description"] = item.model
    if item.vendor:
        made["manufacturer"] = {"name": item.vendor}
    if item.firmware:
        made["components"] = [
            {"type": "firmware", "name": _FIRMWARE.get(item.kind, "firmware"), "version": item.firmware}
        ]
    return made
