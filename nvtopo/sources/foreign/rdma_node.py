"""RDMA devices that a tool of NICs names, as a node: such a tool shows neither GPUs nor where anything is.

Nor does it show NICs without RDMA, and it may have been asked for one device alone.
"""

from msgspec.structs import replace

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.facts import RdmaDevice, RdmaFacts
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes


def node(devices: tuple[RdmaDevice, ...], tool: str, given: Given, notes: Notes) -> NodeTopology:
    """The node that has these devices.

    Raises:
        ParseError: there are more than a node has.
    """
    if len(devices) > MOST_DEVICES:
        raise given.refused(f"{len(devices)} devices", f"the output of `{tool}` of one node")
    assembled = assemble(Snapshot(rdma=RdmaFacts(devices=devices), problems=notes.problems))
    return replace(assembled, nvlink_hidden=True, unseen=("nics",))
