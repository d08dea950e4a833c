"""Objects of ours that belong to one pod of a gang: made once for it, and gone with it at the latest."""

import contextlib
from collections.abc import Callable
from typing import Any, Final

from nvtopo.errors import Conflict, NotFound
from nvtopo.kube.client import Client
from nvtopo.placement.pods import GpuPod

CONFLICT: Final = 409
INVALID: Final = 422
_TRIES: Final = 3


def owner(pod: GpuPod) -> dict[str, Any]:
    """The reference to the pod, as in ``metadata.ownerReferences``."""
    return {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid, "controller": True}


def create(client: Client, collection: str, content: bytes, is_there: Callable[[], bool]) -> None:
    """Make it, again if nothing stands in the way: a quota that is being counted answers 409 too.

    ``is_there`` is asked after a 409: whether it is there as wanted. It raises if another object is in the way.

    Raises:
        Conflict: one is in the way that is being deleted, or that comes and goes.
        ApiError: one is in the way that stays; or the API server does not take it.
    """
    for left in range(_TRIES, 0, -1):
        try:
            client.create(collection, content)
        except Conflict:
            if is_there():
                return
            if left == 1:
                raise
        else:
            return


def delete(client: Client, path: str, conditions: bytes) -> None:
    """Delete it under these conditions; one that is gone already is as wanted.

    Raises:
        Conflict: they do not hold.
        ApiError: the API server does not delete it.
    """
    with contextlib.suppress(NotFound):
        client.request("DELETE", path, body=conditions)
