"""The process: the plugin's socket, what it follows, and what it writes, until it is told to stop."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nvtopo.dra.claims import devices_of
from nvtopo.dra.health_board import HealthBoard
from nvtopo.dra.plugin import Plugin
from nvtopo.dra.publisher import Publisher
from nvtopo.dra.sockets import remove_stale, socket_of
from nvtopo.dra.sources import topology_of
from nvtopo.exporters.shadows import DRIVER
from nvtopo.kube import own_slices
from nvtopo.kube.client import Client
from nvtopo.kube.following import Following

logger = logging.getLogger(__name__)


def run(client: Client, node: str, directory: Path, instance: str, stop: threading.Event) -> None:
    """Serve the kubelet and keep this node's slices, until ``stop`` is set. What stands is left to the kubelet.

    Raises:
        ReadError: the socket can't be made.
    """
    board = HealthBoard()
    publisher = Publisher(client, node, board)
    topology, slices = Following(client, topology_of(node)), Following(client, own_slices.followed(node, DRIVER))
    loops: tuple[Callable[[], None], ...] = (
        partial(publisher.follow_topology, topology, stop),
        partial(publisher.follow_slices, slices, stop),
        partial(publisher.run, stop),
    )
    names = ("topology", "slices", "publish")
    threads = [threading.Thread(target=loop, name=name) for loop, name in zip(loops, names, strict=True)]
    remove_stale(directory, DRIVER)
    plugin = Plugin(
        socket_of(directory, DRIVER, instance),
        DRIVER,
        registered=publisher.registered,
        devices_of=partial(devices_of, client, DRIVER),
        board=board,
    )
    with plugin:
        for thread in threads:
            thread.start()
        logger.info("waiting for the kubelet", extra={"node": node, "directory": str(directory)})
        stop.wait()
        publisher.wake()
        for thread in threads:
            thread.join()
