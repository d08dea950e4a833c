"""The kubelet's CPU, memory and topology manager policies and reserved CPUs: what was asked for, what is in force.

Flags win over the files of ``--config-dir``, and these over the configuration file. The checkpoints say what is in
force; one that differs from what was asked shows that the files were changed after the kubelet started. Flags of the
process are in force. What only files ask for is in force if the process, or a checkpoint that agrees, is there, and
every file that the process names was read. A kubelet that names no file uses none.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from nvtopo.errors import ParseError
from nvtopo.model.formats.cpulist import format_cpulist, parse_cpulist
from nvtopo.model.records.facts import KubeletFacts
from nvtopo.sources.kubelet import command_line
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader
from nvtopo.wire.documents import Json

NAME = "kubelet"

_RESERVED: Final = "reservedSystemCPUs"
_STATIC: Final = "static"
#: Where a kubelet keeps its state if its command line names no other directory.
HOME: Final = "/var/lib/kubelet"
_POLICY = r"^(\w+(?:Policy|Scope)|reservedSystemCPUs):[ \t]*[\"']?([\w,-]+)[\"']?[ \t]*(?:#.*)?$"
#: Field of the configuration → flag.
_FLAGS: Final[Mapping[str, str]] = {
    "cpuManagerPolicy": "cpu-manager-policy",
    "memoryManagerPolicy": "memory-manager-policy",
    "topologyManagerPolicy": "topology-manager-policy",
    "topologyManagerScope": "topology-manager-scope",
    _RESERVED: "reserved-cpus",
}
_CHECKPOINTS: Final[Mapping[str, str]] = {
    "cpuManagerPolicy": "cpu_manager_state",
    "memoryManagerPolicy": "memory_manager_state",
}


class _Checkpoint(msgspec.Struct, rename="camel"):
    policy_name: str | None = None


_CHECKPOINT: Final = Json(_Checkpoint, "the kubelet's checkpoint")
_CONFIGURATION: Final = Json(dict[str, Any], "a KubeletConfiguration")


def read(machine: Machine) -> Reading:
    """The policies; None if nothing of a kubelet is there."""
    reader = SysfsReader(machine.root, NAME)
    given = command_line.flags(machine.root)
    flags = {field: given[flag] for field, flag in _FLAGS.items() if given and given.get(flag)}
    files = files_of(machine, reader, given)
    asked = {field: policy for text in files for field, policy in _configured(text or "").items()} | flags
    home = (given or {}).get("root-dir") or HOME
    checkpoints = {
        field: policy
        for field, name in _CHECKPOINTS.items()
        if (policy := _checkpoint(reader, f"{home}/{name}")) is not None
    }
    known = {_RESERVED: "", **asked} if given is None or None not in files else flags
    force = _in_force(known, flags, checkpoints, running=given is not None)
    facts = KubeletFacts(
        cpu_manager_policy=force.get("cpuManagerPolicy"),
        memory_manager_policy=force.get("memoryManagerPolicy"),
        topology_manager_policy=force.get("topologyManagerPolicy"),
        topology_manager_scope=force.get("topologyManagerScope"),
        reserved_cpus=_reserved(reader, force),
        asked_cpu_manager_policy=asked.get("cpuManagerPolicy"),
        asked_memory_manager_policy=asked.get("memoryManagerPolicy"),
        asked_topology_manager_policy=asked.get("topologyManagerPolicy"),
        asked_topology_manager_scope=asked.get("topologyManagerScope"),
    )
    return Reading(facts if facts != KubeletFacts() else None, tuple(reader.problems))


def _reserved(reader: SysfsReader, force: Mapping[str, str]) -> str | None:
    """Only the static CPU manager keeps containers away from them."""
    text = force.get(_RESERVED)
    if text is None or force.get("cpuManagerPolicy") != _STATIC:
        return None
    try:
        return format_cpulist(parse_cpulist(text))
    except ValueError as error:
        reader.problem(_RESERVED, str(error))
        return None


def _in_force(
    asked: Mapping[str, str], flags: Mapping[str, str], checkpoints: Mapping[str, str], *, running: bool
) -> dict[str, str]:
    """Field → the policy in force, as far as it is known."""
    agree = all(asked.get(field, policy) == policy for field, policy in checkpoints.items())
    trusted = agree and (running or any(field in asked for field in checkpoints))
    return {**(asked if trusted else flags), **checkpoints}


def files_of(machine: Machine, reader: SysfsReader, given: Mapping[str, str] | None) -> list[str | None]:
    """The configuration file and then the drop-in files, as text; None for what is named and can't be read."""
    if given is None:
        return [_file(reader, f"{HOME}/config.yaml")]
    found = [_file(reader, given["config"])] if given.get("config") else []
    directory = given.get("config-dir", "").rstrip("/")
    if directory and not machine.root.exists(directory):
        return [*found, None]
    names = reader.names(directory) if directory else []
    return [*found, *(_file(reader, f"{directory}/{name}") for name in names if name.endswith(".conf"))]


def _file(reader: SysfsReader, path: str) -> str | None:
    """The text of a file that a command line names, and any process may have it: a device is not opened."""
    return reader.text(path) if reader.is_file(path) else None


def _configured(text: str) -> dict[str, str]:
    """Policies in a KubeletConfiguration, YAML or JSON."""
    if not text.startswith("{"):
        return dict(re.findall(_POLICY, text, re.MULTILINE))
    try:
        document = _CONFIGURATION.read(text.encode())
    except ParseError:
        return {}
    return {field: value for field in _FLAGS if isinstance(value := document.get(field), str)}


def _checkpoint(reader: SysfsReader, path: str) -> str | None:
    """The policy in a manager's checkpoint."""
    content = reader.content(path) if reader.is_file(path) else None
    if not content:
        return None
    try:
        return _CHECKPOINT.read(content).policy_name
    except ParseError as error:
        reader.problem(path, str(error))
        return None
