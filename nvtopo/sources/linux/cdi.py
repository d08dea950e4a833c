"""CDI specs: files by which a container runtime gives devices to containers, JSON or YAML."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from nvtopo.errors import ParseError
from nvtopo.model.formats import limits
from nvtopo.model.records.facts import CdiSpec
from nvtopo.model.records.record import Name
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot
from nvtopo.wire import yaml
from nvtopo.wire.documents import Json

#: The second wins if both have a device.
_FOLDERS: Final = ("/etc/cdi", "/var/run/cdi")
_ENDINGS: Final = (".json", ".yaml", ".yml")
_EXPECTED: Final = "a CDI spec"
_MOST_FILES: Final = 64
_MOST_DEVICES: Final = limits.MOST_GPUS * 16


class _Node(msgspec.Struct):
    path: Name = ""


class _Edits(msgspec.Struct, rename="camel"):
    device_nodes: list[_Node] | None = None


class _Device(msgspec.Struct, rename="camel"):
    name: Name = ""
    container_edits: _Edits | None = None


class _Spec(msgspec.Struct, rename="camel"):
    kind: Name
    devices: Annotated[list[_Device], Meta(max_length=_MOST_DEVICES)] | None = None


_SPEC: Final = Json(_Spec, _EXPECTED)


def read(root: SysfsRoot, reader: SysfsReader) -> Iterator[CdiSpec]:
    """Every spec; one that can't be read is a problem."""
    files = [f"{folder}/{name}" for folder in _FOLDERS for name in reader.names(folder) if name.endswith(_ENDINGS)]
    for file in files[:_MOST_FILES]:
        content = reader.content(file) if reader.is_file(file) else None
        if content is None:
            continue
        try:
            spec = parse(content, file)
        except ParseError as error:
            reader.problem(file, str(error).removeprefix(f"{file}: "))
            continue
        yield CdiSpec(
            file=file,
            kind=spec.kind,
            devices=tuple(device.name for device in spec.devices or ()),
            paths=(paths := tuple(_paths(spec))),
            missing_paths=tuple(path for path in paths if not root.exists(path)),
        )
    if len(files) > _MOST_FILES:
        reader.problem("cdi", f"expected at most {_MOST_FILES} specs, found {len(files)}: the others are not read")


def parse(content: bytes, file: str) -> _Spec:
    """The spec in a file.

    Raises:
        ParseError: it is none.
    """
    if content.lstrip()[:1] == b"{":
        return _SPEC.read(content, file)
    return yaml.read(content, _Spec, _EXPECTED, file)


def _paths(spec: _Spec) -> Iterable[str]:
    """The nodes of its devices, each once, in order."""
    edits = (device.container_edits for device in spec.devices or ())
    nodes = (node.path for one in edits if one is not None for node in one.device_nodes or ())
    return list(dict.fromkeys(path for path in nodes if path))[:_MOST_DEVICES]
