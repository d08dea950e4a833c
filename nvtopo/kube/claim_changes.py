"""What is done to the claims of a gang's pods: made, opened, given back and deleted, each by one request.

A claim names its GPUs by UUID, so that kube-scheduler gives these and no others, and is owned by its pod: it goes with
it. kube-scheduler alone gives out devices; nothing of ours writes an allocation.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from nvtopo.cluster.slices import GPU_DRIVER, OWN_DRIVER
from nvtopo.errors import ApiError, Conflict, NotFound, ReadError
from nvtopo.gangs.steps import ClaimStep, DropClaim, FreeClaim, MakeClaim, OpenClaim
from nvtopo.kube import owned, resource_claims
from nvtopo.kube.client import Client
from nvtopo.placement.device_claims import RESERVATION, DeviceClaim

MANAGER: Final = "nvtopo-gangs"
POD_CLAIM: Final = "resource.kubernetes.io/pod-claim-name"
"""Kubernetes takes a claim with this annotation, owned by the pod, for the pod's own claim of that name."""
_API_VERSION: Final = "resource.k8s.io/v1"
_KIND: Final = "ResourceClaim"
_APPLY: Final = "application/apply-patch+yaml"
_UUID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


class ClaimChange(NamedTuple):
    """One request about a claim."""

    method: str
    document: bytes
    made_for: tuple[str, str] | None = None
    """Namespace and UID of the pod, of a claim that is to be made."""


def path_of(step: ClaimStep) -> str:
    """The claim's path at the API server."""
    if isinstance(step, MakeClaim):
        return resource_claims.path(step.pod.namespace, step.name)
    return resource_claims.path(*step.claim.key)


def change(step: ClaimStep, uuids: Sequence[str], now: str) -> ClaimChange:
    """The request; ``uuids`` are those of the rank's GPUs, and ``now`` is a moment as the API server writes it.

    Raises:
        ReadError: a UUID is none.
    """
    match step:
        case MakeClaim():
            pod = step.pod
            return ClaimChange("POST", msgspec.json.encode(document(step, uuids)), (pod.namespace, pod.uid))
        case OpenClaim(claim):
            return _says(claim, resource_claims.READY, "GangWhole", "all pods of the gang have their GPUs", now)
        case FreeClaim(claim):
            return _says(claim, resource_claims.FAILED, "GangNotWhole", "not all pods of the gang got their GPUs", now)
        case DropClaim(claim):
            return ClaimChange(
                "DELETE",
                msgspec.json.encode({"preconditions": {"uid": claim.uid, "resourceVersion": claim.version}}),
            )


def document(step: MakeClaim, uuids: Sequence[str]) -> dict[str, Any]:
    """The claim: so many GPUs, these alone if it has a rank; and a share of the gangs' device if there is a barrier.

    Raises:
        ReadError: a UUID is none.
    """
    pod = step.pod
    gpus: dict[str, Any] = {
        "deviceClassName": GPU_DRIVER,
        "allocationMode": "ExactCount",
        "count": pod.claimed if step.rank is None else len(step.rank.gpus),
    }
    if step.rank is not None:
        gpus["selectors"] = [{"cel": {"expression": _one_of(step.rank.node, uuids)}}]
    requests: list[dict[str, Any]] = [{"name": "gpus", "exactly": gpus}]
    if step.barrier:
        requests.append({"name": "gang", "exactly": {"deviceClassName": resource_claims.GANG_CLASS}})
    return {
        "apiVersion": _API_VERSION,
        "kind": _KIND,
        "metadata": {
            "name": step.name,
            "namespace": pod.namespace,
            "annotations": {POD_CLAIM: pod.claim, RESERVATION: step.reservation},
            "ownerReferences": [owned.owner(pod)],
        },
        "spec": {"devices": {"requests": requests}},
    }


def _one_of(node: str, uuids: Sequence[str]) -> str:
    """CEL that is false for a device without a UUID; a bare look-up would be an error there."""
    for uuid in uuids:
        if not _UUID.fullmatch(uuid):
            raise ReadError(f"{node}: expected a GPU's UUID of letters, digits and dashes, got {uuid[:64]!r}")
    names = ", ".join(f'"{uuid}"' for uuid in sorted(uuids))
    return f'device.attributes["{GPU_DRIVER}"].?uuid.orValue("") in [{names}]'


def _says(claim: DeviceClaim, condition: str, reason: str, message: str, now: str) -> ClaimChange:
    """Server-side apply of one condition of our own device's share: other drivers' entries stay."""
    gang = claim.gang
    if gang is None:
        raise ValueError(f"{claim.namespace}/{claim.name} has no share of the gangs' device")
    said = {"type": condition, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}
    device: dict[str, Any] = {
        "driver": OWN_DRIVER,
        "pool": gang.pool,
        "device": gang.device,
        "conditions": [said],
    }
    if gang.share:
        device["shareID"] = gang.share
    content = {
        "apiVersion": _API_VERSION,
        "kind": _KIND,
        "metadata": {"name": claim.name, "namespace": claim.namespace, "uid": claim.uid},
        "status": {"devices": [device]},
    }
    return ClaimChange("PATCH", msgspec.json.encode(content))


def write(client: Client, path: str, wanted: ClaimChange) -> None:
    """Send it; one that was made for this pod already, or is gone already, is as wanted.

    Raises:
        ApiError: the server refused, or did not answer.
    """
    match wanted.method:
        case "POST":
            collection, content = path.rpartition("/")[0], wanted.document
            owned.create(client, collection, content, lambda: _is_there(client, collection, content))
        case "PATCH":
            query = {"fieldManager": MANAGER, "force": "true"}
            client.request("PATCH", f"{path}/status", query=query, body=wanted.document, content_type=_APPLY)
        case _:
            owned.delete(client, path, wanted.document)


def _is_there(client: Client, collection: str, content: bytes) -> bool:
    """Whether a claim of that name is there: it is as wanted if it was made for the same pod."""
    wanted = resource_claims.read(content).value
    try:
        there = resource_claims.read(client.get(resource_claims.path(*wanted.key))).value
    except NotFound:
        return False
    if there.pod == wanted.pod:
        return True
    if there.leaving:
        raise Conflict(f"{collection}: {wanted.name} of another pod is being deleted", status=owned.CONFLICT)
    raise ApiError(f"{collection}: {wanted.name} is there, and was made for no pod of the gang", status=owned.INVALID)
