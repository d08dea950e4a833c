"""``nvtopo release``: gated pods are left to kube-scheduler, as if nvtopo had never held them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.cli.common_options import kubeconfig_option
from nvtopo.cli.object_names import NAMESPACE
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.kube.client import Client
    from nvtopo.placement.pods import GpuPod

NONE_WAITED = 1


@click.command("release")
@click.argument("gangs", metavar="[GANG]...", nargs=-1)
@click.option("--namespace", "-n", type=NAMESPACE, metavar="NAME", help="Of these gangs. By default all namespaces.")
@click.option("--all", "every", is_flag=True, help="Every gang.")
@kubeconfig_option
def command(gangs: tuple[str, ...], namespace: str | None, every: bool, kubeconfig: Path | None) -> None:
    """Lift the gates of gangs that wait for a place, without giving them one.

    Pods that ask for GPUs by claims get claims of any GPUs, and those that wait for the rest of their gang start
    without it. Use it before you uninstall nvtopo, and if its aggregator is gone. It needs the right to list and patch
    pods; for claims, to list, create and delete resourceclaims and to patch their status; for holder pods, to delete
    pods. --all also deletes the device that held gangs, which needs the right to delete resourceslices and
    deviceclasses. Exits 1 if no pod waited.
    """
    if bool(gangs) == every:
        raise UsageError("release: expected names of gangs, or --all")
    from time import time

    from nvtopo.errors import NotFound
    from nvtopo.gangs.steps import Lift
    from nvtopo.kube import claim_release, pod_changes
    from nvtopo.kube.client import connect
    from nvtopo.kube.timestamps import rfc3339

    released = 0
    with connect(kubeconfig) as client:
        pods = [pod for pod in _waiting(client, namespace) if every or pod.gang in gangs]
        claims = claim_release.own_claims(client) if any(pod.claim for pod in pods) else None
        for pod in pods:
            try:
                pod_changes.write(client, pod_changes.path_of(*pod.key), pod_changes.change(Lift(pod)))
                if claims is not None and pod.claim:
                    claim_release.release(client, pod, claims.of(pod), rfc3339(time()))
            except NotFound:
                continue
            released += 1
        if every and namespace is None:
            _remove_barrier(client)
    click.echo(f"released {released} pod{'' if released == 1 else 's'}")
    if not released:
        raise click.exceptions.Exit(NONE_WAITED)


def _remove_barrier(client: "Client") -> None:
    """The device that held gangs; an aggregator that runs publishes it again. Without the right to, say who is to."""
    from nvtopo.errors import Forbidden
    from nvtopo.kube import gang_barrier

    try:
        gang_barrier.remove(client)
    except Forbidden as error:
        click.echo(f"release: {gang_barrier.NAME} is left, delete it before you uninstall nvtopo: {error}", err=True)


def _waiting(client: "Client", namespace: str | None) -> "list[GpuPod]":
    """Pods with a gate, and those that wait for the others of their gang, or for a claim that nobody makes."""
    from urllib.parse import quote

    from nvtopo.kube import gpu_pods
    from nvtopo.placement.pods import GANG, GATE

    path = gpu_pods.COLLECTION if namespace is None else f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"
    items = [item for page in client.pages(path, selector=GANG) for item in page.items]
    pods = [pod for item in items if (pod := gpu_pods.decoded(item)) is not None]
    return [pod for pod in pods if GATE in pod.gates or pod.waiting or _lacks_a_claim(pod)]


def _lacks_a_claim(pod: "GpuPod") -> bool:
    return bool(pod.claim) and not (pod.claim_made or pod.node or pod.ended or pod.leaving)
