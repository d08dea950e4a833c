"""What is written at a gated pod, as merge patches: one request lifts the gate and says where the pod goes.

Kubernetes lets a gated pod's node affinity only get narrower, and nothing be put in place of what is there: each term
that the pod has gets the node as one more field to match.
"""

from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from nvtopo.gangs.steps import Fail, Lift, Say
from nvtopo.kube.client import Client
from nvtopo.placement import pods
from nvtopo.placement.pods import GpuPod

_MERGE: Final = "application/merge-patch+json"


class PodChange(NamedTuple):
    """A patch of one pod."""

    document: bytes
    of_status: bool = False


def path_of(namespace: str, name: str) -> str:
    """The pod's path at the API server."""
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"


def change(step: Lift | Say | Fail, nics: str = "") -> PodChange:
    """The patch; ``nics`` are those near to the GPUs that the pod gets. A pod of another UID refuses it."""
    match step:
        case Say(pod, reason):
            return _patch(pod, annotations={pods.STATUS: reason})
        case Fail(pod, reason):
            status = {"phase": "Failed", "reason": "PlacementTimeout", "message": reason}
            return PodChange(msgspec.json.encode({"metadata": {"uid": pod.uid}, "status": status}), of_status=True)
        case Lift(pod, reservation, rank, claim):
            spec: dict[str, Any] = {"schedulingGates": _other_gates(pod)}
            if rank is None:
                left = dict.fromkeys((pods.STATUS, *(_PLACE if pod.lifted_for else ())))
                return _patch(pod, annotations=left, spec=spec)
            gpus = ",".join(map(str, rank.gpus))
            notes: dict[str, str | None] = {pods.STATUS: None, pods.RESERVATION: reservation}
            notes |= {pods.RANK: str(rank.rank), pods.GPUS: gpus}
            if nics or pod.lifted_for:
                notes[pods.NICS] = nics or None
            if claim:
                notes[pods.CLAIM] = claim
            else:
                spec["affinity"] = {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": _terms(pod, rank.node)}}}
            return _patch(pod, annotations=notes, spec=spec)


def write(client: Client, path: str, wanted: PodChange) -> None:
    """Send it.

    Raises:
        ApiError: the server refused, or did not answer.
    """
    target = f"{path}/status" if wanted.of_status else path
    client.request("PATCH", target, body=wanted.document, content_type=_MERGE)


_PLACE: Final = (pods.CLAIM, pods.RESERVATION, pods.RANK, pods.GPUS, pods.NICS)
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


def _patch(pod: GpuPod, *, annotations: dict[str, Any], spec: dict[str, Any] | None = None) -> PodChange:
    document: dict[str, Any] = {"metadata": {"uid": pod.uid, "annotations": annotations}}
    if spec is not None:
        document["spec"] = spec
    return PodChange(msgspec.json.encode(document))


def _other_gates(pod: GpuPod) -> list[dict[str, str]] | None:
    return [{"name": gate} for gate in pod.gates if gate != pods.GATE] or None


def _terms(pod: GpuPod, node: str) -> list[dict[str, Any]]:
    there = {"key": "metadata.name", "operator": "In", "values": [node]}
    return [{**term, "matchFields": [*(term.get("matchFields") or ()), there]} for term in pod.terms or ({},)]
