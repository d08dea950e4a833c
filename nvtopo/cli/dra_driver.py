"""``nvtopo dra-driver``: the kubelet plugin that publishes shadows of this node's GPUs and NICs."""

import os
import threading
from pathlib import Path

import click

from nvtopo.cli.common_options import kubeconfig_option
from nvtopo.cli.paths import FilePath
from nvtopo.errors import UsageError

_BUG: int = 70


@click.command("dra-driver")
@click.option("--node-name", envvar="NODE_NAME", help="Name of the node; by default the host name.")
@click.option(
    "--plugins-dir",
    type=FilePath(file_okay=False, path_type=Path),
    default=Path("/var/lib/kubelet/plugins_registry"),
    show_default=True,
    help="Where the kubelet looks for plugins.",
)
@click.option(
    "--instance",
    envvar="POD_UID",
    default="",
    help="Part of the socket's name, so that two may run while one replaces the other; in a pod its UID.",
)
@click.option("--remove", is_flag=True, help="Delete the slices of this driver and exit: of --node-name, else of all.")
@kubeconfig_option
def command(node_name: str | None, plugins_dir: Path, instance: str, kubeconfig: Path | None, remove: bool) -> None:
    """Publish which GPUs and NICs of this node belong together, for claims (Dynamic Resource Allocation).

    Registers with the kubelet as the DRA driver topo.nvtopo.io and keeps its ResourceSlices in step with the node's
    NodeTopology. It prepares nothing for containers. Ends at SIGTERM; the kubelet deletes the slices 30 seconds later.
    """
    from nvtopo.kube.client import connect

    if remove:
        from nvtopo.dra import removal

        with connect(kubeconfig) as client:
            count = removal.remove(client, node_name)
        click.echo(f"removed {count} slice{'' if count == 1 else 's'}")
        return
    _run(kubeconfig, node_name or os.uname().nodename, plugins_dir, instance)


def _run(kubeconfig: Path | None, node: str, directory: Path, instance: str) -> None:
    from nvtopo.cli import logs
    from nvtopo.kube.client import connect
    from nvtopo.runtime.fallen_threads import FallenThreads
    from nvtopo.runtime.stop_signals import stopping

    try:
        from nvtopo.dra import driver
    except ModuleNotFoundError as error:
        from nvtopo.extras import how_to_install

        raise UsageError(f"dra-driver needs the package {error.name}; install it: {how_to_install('dra')}") from error
    logs.begin()
    stop = threading.Event()
    with FallenThreads(stop.set) as threads, stopping(stop.set), connect(kubeconfig) as client:
        driver.run(client, node, directory, instance, stop)
    if not threads.all_run():
        raise click.exceptions.Exit(_BUG)
