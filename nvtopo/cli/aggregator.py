"""``nvtopo aggregator``: the cluster loop, with its API and page."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from nvtopo.cli.lasting import settle
from nvtopo.cli.listen import is_loopback, parse_listen
from nvtopo.cli.page import tls_of, tls_options

logger = logging.getLogger(__name__)


@click.command("aggregator")
@click.option("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="Instead of the pod's own account.")
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="Address of the API and the page.")
@click.option("--namespace", envvar="POD_NAMESPACE", default="nvtopo", show_default=True, help="Where the Lease is.")
@click.option(
    "--require-token/--anonymous",
    default=None,
    help="Whether readers need a bearer token, which the API server reviews.  [default: unless it listens on loopback]",
)
@click.option(
    "--audience", "audiences", multiple=True, default=("nvtopo",), show_default=True, help="Whom their tokens are for."
)
@tls_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    kubeconfig: Path | None,
    listen: str,
    namespace: str,
    require_token: bool | None,
    audiences: tuple[str, ...],
    tls_cert_file: Path | None,
    tls_private_key_file: Path | None,
) -> None:
    """Assemble the cluster's graph from all NodeTopologies, and serve it."""
    from nvtopo import telemetry
    from nvtopo.aggregator.access import Access
    from nvtopo.aggregator.loop import Aggregator
    from nvtopo.aggregator.server import Server
    from nvtopo.aggregator.status import StatusWriter
    from nvtopo.kube.client import connect
    from nvtopo.kube.lease import Leadership
    from nvtopo.kube.review import Reviewer
    from nvtopo.kube.store import KubeStore

    address, port = parse_listen(listen)
    tls = tls_of(tls_cert_file, tls_private_key_file)
    telemetry.log_to_stderr()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with connect(kubeconfig) as client:
        store = KubeStore(client)
        aggregator = Aggregator(store, first_generation=generation_at(time.time()))
        leadership = Leadership(client, namespace, "nvtopo-aggregator", f"{os.uname().nodename}-{os.getpid()}")
        writer = StatusWriter(aggregator, store, lambda: leadership.leading)
        with contextlib.ExitStack() as open_while_running:
            enter = open_while_running.enter_context
            asks = not is_loopback(address) if require_token is None else require_token
            access = enter(Access(Reviewer(client, audiences))) if asks else None
            server = enter(Server(aggregator, address=address, port=port, access=access, tls=tls))
            enter(_running(stop, leadership.run, writer.run))
            logger.info("serving", extra={"url": server.url, "requires_token": asks})
            settle()
            aggregator.run(stop)


@contextlib.contextmanager
def _running(stop: threading.Event, *loops: Callable[[threading.Event], None]) -> Iterator[None]:
    """The loops in threads of their own; stopped and joined at the end."""
    threads = [threading.Thread(target=loop, args=(stop,), name=loop.__qualname__) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def generation_at(seconds: float) -> int:
    """Where generations start: milliseconds, so that no ETag of an earlier life of the process is met again."""
    return int(seconds * 1000)
