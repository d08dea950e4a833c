"""IMEX: whether the driver has its channels, whether its daemon runs, and which nodes that is told of."""

import hashlib
from typing import Final

from nvtopo.model.records.facts import ImexFacts
from nvtopo.sources.linux import processes
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "imex"

_DAEMON: Final = "nvidia-imex"
_NODES: Final = "/etc/nvidia-imex/nodes_config.cfg"
_CHANNELS: Final = "nvidia-caps-imex-channels"
_DIGEST_BYTES: Final = 8


def read(machine: Machine) -> Reading:
    """``/proc/devices``, ``/proc/<pid>/comm``, ``/etc/nvidia-imex/nodes_config.cfg``; None without NVIDIA's driver."""
    reader = SysfsReader(machine.root, NAME)
    devices = reader.text("/proc/devices")
    written = reader.text(_NODES) if reader.is_file(_NODES) else None
    registered = {line.split()[1] for line in (devices or "").splitlines() if len(line.split()) == 2}  # noqa: PLR2004
    if not any(name.startswith("nvidia") for name in registered) and written is None:
        return Reading(None, tuple(reader.problems))
    found = processes.named(machine.root, (_DAEMON,))
    nodes = None if written is None else _addresses(written)
    facts = ImexFacts(
        channels=None if devices is None else _CHANNELS in registered,
        daemons=None if found is None else len(found.get(_DAEMON, ())),
        nodes=None if nodes is None else len(nodes),
        nodes_digest="" if not nodes else _digest(nodes),
    )
    return Reading(facts, tuple(reader.problems))


def _addresses(text: str) -> list[str]:
    """One address or name on each line; ``#`` begins a comment."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _digest(nodes: list[str]) -> str:
    return hashlib.blake2b("\n".join(nodes).encode(), digest_size=_DIGEST_BYTES).hexdigest()
