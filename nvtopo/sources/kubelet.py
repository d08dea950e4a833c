"""The kubelet's CPU, memory and topology manager policies, where its files are readable.

``config.yaml`` says what was asked for, the ``*_manager_state`` checkpoints what is in force. Both are the kubelet's
own: unknown keys are left alone, and a node where they are not mounted simply has no such facts.
"""

import re

import msgspec

from nvtopo.model.facts import KubeletFacts
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "kubelet"

_HOME = "/var/lib/kubelet"
_POLICY = re.compile(r"^(\w+(?:Policy|Scope)):[ \t]*[\"']?([\w-]+)[\"']?[ \t]*(?:#.*)?$", re.MULTILINE)


class _Checkpoint(msgspec.Struct, rename="camel"):
    policy_name: str | None = None


def read(machine: Machine) -> Reading:
    """The policies; None where no kubelet has left its files here."""
    reader = SysfsReader(machine.root, NAME)
    asked = dict(_POLICY.findall(reader.text(f"{_HOME}/config.yaml") or ""))
    facts = KubeletFacts(
        cpu_manager_policy=_in_force(reader, "cpu_manager_state") or asked.get("cpuManagerPolicy"),
        memory_manager_policy=_in_force(reader, "memory_manager_state") or asked.get("memoryManagerPolicy"),
        topology_manager_policy=asked.get("topologyManagerPolicy"),
        topology_manager_scope=asked.get("topologyManagerScope"),
    )
    return Reading(facts if facts != KubeletFacts() else None, tuple(reader.problems))


def _in_force(reader: SysfsReader, name: str) -> str | None:
    """The policy that a manager's checkpoint names."""
    content = reader.content(f"{_HOME}/{name}")
    if not content:
        return None
    try:
        return msgspec.json.decode(content, type=_Checkpoint).policy_name
    except msgspec.DecodeError as error:
        reader.problem(f"{_HOME}/{name}", f"expected the kubelet's checkpoint: {error}")
        return None
