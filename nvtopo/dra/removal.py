"""Deleting what the driver published, for who uninstalls it."""

from nvtopo.exporters.shadows import DRIVER
from nvtopo.kube import own_slices
from nvtopo.kube.client import Client


def remove(client: Client, node: str | None) -> int:
    """Delete this driver's slices, of one node or of all; how many there were.

    Raises:
        ApiError: one is still there.
        ParseError: one is none.
    """
    found = own_slices.names(client, DRIVER, node)
    for name in found:
        own_slices.delete(client, name)
    return len(found)
