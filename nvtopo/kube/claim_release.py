"""Pods that ask for GPUs by claims that nobody makes any more are left to kube-scheduler.

What has its GPUs is opened; a claim that waits for its GPUs makes way for one of any GPUs, as the pod asks for. A pod
of ours that was to hold it goes too; one that holds GPUs stays, so that nobody else takes them, and ends by itself.
"""

import contextlib
from collections.abc import Collection
from typing import Final

from nvtopo.errors import Conflict, Forbidden, NotFound
from nvtopo.gangs.claims import claim_name
from nvtopo.gangs.holders import holder_name
from nvtopo.gangs.steps import ClaimStep, DropClaim, MakeClaim, OpenClaim, Say
from nvtopo.kube import claim_changes, pod_changes, resource_claims
from nvtopo.kube.client import Client
from nvtopo.placement.device_claims import DeviceClaim, OwnClaims
from nvtopo.placement.pods import GpuPod

SAID: Final = "left to kube-scheduler by nvtopo release"
_TRIES: Final = 5


def own_claims(client: Client) -> OwnClaims:
    """The claims that were made for pods of gangs.

    Raises:
        ApiError: they can't be listed.
    """
    found = OwnClaims()
    for page in client.pages(resource_claims.COLLECTION):
        for item in page.items:
            found.see(resource_claims.read(item).value)
    return found


def release(client: Client, pod: GpuPod, claims: Collection[DeviceClaim], now: str) -> None:
    """Open or replace the claims of a pod whose gate was lifted; ``now`` is a moment as the API server writes it.

    Raises:
        ApiError: the server refused, or did not answer.
    """
    keeps = [_settled(client, one, now) for one in claims]
    if not any(keeps):
        for claim in claims:
            if not claim.barrier:
                _drop_holder(client, claim)
        _write(client, MakeClaim(pod, claim_name(pod, "", None)), now)
        path = pod_changes.path_of(*pod.key)  # a change of the pod has Kubernetes look for its claim at once
        pod_changes.write(client, path, pod_changes.change(Say(pod, SAID)))


def _drop_holder(client: Client, claim: DeviceClaim) -> None:
    """Without the right to, it waits for a claim that is gone, and goes with its owner."""
    with contextlib.suppress(NotFound, Forbidden):
        client.delete(pod_changes.path_of(claim.namespace, holder_name(claim.name)))


def _settled(client: Client, claim: DeviceClaim, now: str) -> bool:
    """Whether the pod can be bound with this claim; if not, it is gone."""
    for _ in range(_TRIES):
        if claim.allocated or not claim.reservation:
            if claim.gang is not None and not claim.ready:
                _write(client, OpenClaim(claim), now)
            return True
        try:
            _write(client, DropClaim(claim), now)
        except Conflict:  # kube-scheduler gave it its GPUs meanwhile, or it is another one
            try:
                claim = resource_claims.read(client.get(resource_claims.path(*claim.key))).value
            except NotFound:
                return False
        else:
            return False
    return True


def _write(client: Client, step: ClaimStep, now: str) -> None:
    claim_changes.write(client, claim_changes.path_of(step), claim_changes.change(step, (), now))
