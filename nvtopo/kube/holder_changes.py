"""Pods of ours that hold the claims of a gang: made and deleted, each by one request.

A holder does nothing and may do nothing: no token, no volume, nothing of its host, and none of its containers sees a
device. It is owned by the gang's pod and goes with it, and its kubelet ends it in any case.
"""

from typing import Any, Final, NamedTuple

import msgspec

from nvtopo.errors import ApiError, Conflict, NotFound
from nvtopo.gangs.steps import DropHolder, MakeHolder
from nvtopo.kube import gpu_pods, owned, pod_changes
from nvtopo.kube.client import Client
from nvtopo.placement.pods import HOLDER

DEADLINE_SECONDS: Final = 900
"""Longer than a gang may wait for its claims. The kubelet counts from when the holder is bound."""
_RESOURCES: Final = {"cpu": "5m", "memory": "16Mi"}
"""Asked for and limit; container runtimes take no limit below 12 MiB."""
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_CLAIM: Final = "gpus"


class HolderChange(NamedTuple):
    """One request about a holder."""

    method: str
    document: bytes
    made_for: tuple[str, str] | None = None
    """Namespace and UID of the gang's pod, of a holder that is to be made."""


def path_of(step: MakeHolder | DropHolder) -> str:
    """The holder's path at the API server."""
    if isinstance(step, MakeHolder):
        return pod_changes.path_of(step.pod.namespace, step.name)
    return pod_changes.path_of(*step.holder.key)


def change(step: MakeHolder | DropHolder, image: str) -> HolderChange:
    """The request."""
    if isinstance(step, MakeHolder):
        made_for = (step.pod.namespace, step.pod.uid)
        return HolderChange("POST", msgspec.json.encode(document(step, image)), made_for)
    asked: dict[str, Any] = {"preconditions": {"uid": step.holder.uid}}
    if step.at_once:
        asked["gracePeriodSeconds"] = 0
    return HolderChange("DELETE", msgspec.json.encode(asked))


def document(step: MakeHolder, image: str) -> dict[str, Any]:
    """The pod, as the strictest level of PodSecurity wants it. It goes where the gang's may."""
    pod = step.pod
    node = {"key": "metadata.name", "operator": "In", "values": [step.node]}
    spec: dict[str, Any] = {
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "terminationGracePeriodSeconds": 1,
        "restartPolicy": "Always",  # one that ended by itself would hold nothing
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "affinity": {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [{"matchFields": [node]}]}}},
        "resourceClaims": [{"name": _CLAIM, "resourceClaimName": step.claim}],
        "containers": [
            {
                "name": "holder",
                "image": image,
                "resources": {"requests": _RESOURCES, "limits": _RESOURCES},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }
    if pod.tolerations:
        spec["tolerations"] = msgspec.to_builtins(pod.tolerations)
    if pod.priority_class:
        spec["priorityClassName"] = pod.priority_class
    labels = {HOLDER: "true", "sidecar.istio.io/inject": "false"}
    metadata = {"name": step.name, "namespace": pod.namespace, "labels": labels, "ownerReferences": [owned.owner(pod)]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def write(client: Client, path: str, wanted: HolderChange) -> None:
    """Send it; one that was made for this pod already, or is gone already, is as wanted.

    Raises:
        ApiError: the server refused, or did not answer; or another pod of that name is there.
    """
    if wanted.method == "DELETE":
        owned.delete(client, path, wanted.document)
        return
    collection, content = path.rpartition("/")[0], wanted.document
    owned.create(client, collection, content, lambda: _is_there(client, path, content))


def _is_there(client: Client, path: str, content: bytes) -> bool:
    """Whether a holder is there for the same claim and pod; none is if a quota that is being counted stood in the way.

    Raises:
        Conflict: one is there that is being deleted.
        ApiError: another pod is there.
    """
    try:
        there, wanted = gpu_pods.decoded(client.get(path)), gpu_pods.decoded(content)
    except NotFound:
        return False
    if there is not None and there.leaving:
        raise Conflict(f"{path}: is being deleted", status=owned.CONFLICT)
    if there is None or wanted is None or (there.holds, there.owner) != (wanted.holds, wanted.owner):
        raise ApiError(f"{path}: is there, and holds nothing of the gang", status=owned.INVALID)
    return True
