"""``nvtopo release``: gated pods are left to kube-scheduler, as if nvtopo had never held them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.cli.common_options import kubeconfig_option
from nvtopo.errors import NotFound, UsageError

if TYPE_CHECKING:
    from nvtopo.kube.client import Client
    from nvtopo.placement.pods import GpuPod

NONE_WAITED = 1


@click.command("release")
@click.argument("gangs", metavar="[GANG]...", nargs=-1)
@click.option("--namespace", "-n", metavar="NAME", help="Of these gangs. By default all namespaces.")
@click.option("--all", "every", is_flag=True, help="Every gang.")
@kubeconfig_option
def command(gangs: tuple[str, ...], namespace: str | None, every: bool, kubeconfig: Path | None) -> None:
    """Lift the gates of gangs that wait for a place, without giving them one.

    This is what to do before nvtopo is uninstalled, and when its aggregator is gone. It takes the right to list and
    patch pods. Exits 1 if no pod waited.
    """
    if bool(gangs) == every:
        raise UsageError("release: expected names of gangs, or --all")
    from nvtopo.kube import pod_changes
    from nvtopo.kube.client import connect
    from nvtopo.placement.gang_steps import Lift

    lifted = 0
    with connect(kubeconfig) as client:
        for pod in _gated(client, namespace):
            if every or pod.gang in gangs:
                try:
                    pod_changes.write(client, pod_changes.path_of(*pod.key), pod_changes.change(Lift(pod)))
                except NotFound:
                    continue
                lifted += 1
    click.echo(f"released {lifted} pod{'' if lifted == 1 else 's'}")
    if not lifted:
        raise click.exceptions.Exit(NONE_WAITED)


def _gated(client: "Client", namespace: str | None) -> "list[GpuPod]":
    from urllib.parse import quote

    from nvtopo.kube import gpu_pods
    from nvtopo.placement.pods import GANG, GATE

    path = gpu_pods.COLLECTION if namespace is None else f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"
    items = [item for page in client.pages(path, selector=GANG) for item in page.items]
    pods = [pod for item in items if (pod := gpu_pods.decoded(item)) is not None]
    return [pod for pod in pods if GATE in pod.gates]
