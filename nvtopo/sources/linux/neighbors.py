"""The neighbours that are heard by LLDP, if the agent listens; who listens is in ``lldp``.

A module of its own, since a dump listens to nobody and should not import sockets.
"""

from nvtopo.sources.machine import Machine, Reading

NAME = "lldp"


def read(machine: Machine) -> Reading:
    """What is heard now; nothing if nobody listens."""
    return Reading(None) if machine.lldp is None else machine.lldp.reading()
