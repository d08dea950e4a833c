"""What may become of an input of another tool: a node or a ParseError of one line. ``tests.fuzz`` makes the inputs."""

import msgspec

from nvtopo.errors import ParseError
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.records.node import NodeTopology, encode
from nvtopo.sources.foreign.recognise import read_foreign


def outcome(content: bytes) -> str:
    """``node`` or ``refused``, which is one line; anything else is an exception."""
    try:
        node = read_foreign(content, "input")
    except ParseError as error:
        if "\n" in str(error):
            raise
        return "refused"
    derive(node)
    assert msgspec.json.decode(encode(node), type=NodeTopology) == node, "the node does not survive its own document"
    return "node"
