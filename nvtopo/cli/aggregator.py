"""``nvtopo aggregator``: the cluster loop, with its API and page."""

import logging
import signal
import threading
import time
from pathlib import Path

import click

from nvtopo.cli.listen import parse_listen

logger = logging.getLogger(__name__)


@click.command("aggregator")
@click.option("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="Instead of the pod's own account.")
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="Address of the API and the page.")
def command(kubeconfig: Path | None, listen: str) -> None:
    """Assemble the cluster's graph from all NodeTopologies, and serve it."""
    from nvtopo import telemetry
    from nvtopo.aggregator.loop import Aggregator
    from nvtopo.aggregator.server import Server
    from nvtopo.kube.client import connect
    from nvtopo.kube.store import KubeStore

    address, port = parse_listen(listen)
    telemetry.log_to_stderr()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with connect(kubeconfig) as client:
        aggregator = Aggregator(KubeStore(client), first_generation=generation_at(time.time()))
        with Server(aggregator, address=address, port=port) as server:
            logger.info("serving", extra={"url": server.url})
            aggregator.run(stop)


def generation_at(seconds: float) -> int:
    """Where generations start: milliseconds, so that no ETag of an earlier life of the process is met again."""
    return int(seconds * 1000)
