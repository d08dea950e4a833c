"""The ConfigMap ``nvtopo-accepted``: what operators accepted, one key for each act.

An object of its own, so that accepting is a right of its own (get and patch of this one name), and takes neither the
right to write NodeTopologies nor a process that patches Nodes.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from nvtopo.cluster.accepted import MOST_ACTS, Act
from nvtopo.errors import ParseError, UsageError
from nvtopo.kube.client import Client
from nvtopo.wire.documents import Json

NAME: Final = "nvtopo-accepted"
#: A ConfigMap holds 1 MiB.
LARGEST_BYTES: Final = 900 << 10
_SECONDS: Final = 10.0


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _ConfigMap(msgspec.Struct):
    metadata: _Metadata
    data: dict[str, str] | None = None


_CONFIG_MAP: Final = Json(_ConfigMap, "a ConfigMap")
_ACT: Final = Json(Act, "an act of acceptance")


class Acts(msgspec.Struct, frozen=True):
    """What is accepted, and where that stands in the object's history."""

    acts: Mapping[str, Act]
    refused: Mapping[str, str]
    """Key → why it is no act."""
    resource_version: str
    size: int


def path(namespace: str) -> str:
    """The ConfigMap's path at the API server."""
    return f"/api/v1/namespaces/{namespace}/configmaps/{NAME}"


def read(client: Client, namespace: str) -> Acts:
    """All acts; one that can't be read takes no other with it.

    Raises:
        NotFound: there is no such ConfigMap.
        ApiError: it can't be read.
    """
    found = _CONFIG_MAP.read(client.get(path(namespace), seconds=_SECONDS), f"GET {path(namespace)}")
    acts, refused = {}, {}
    data = found.data or {}
    for key in sorted(data)[: 2 * MOST_ACTS]:
        try:
            acts[key] = _ACT.read(data[key].encode(), key)
        except ParseError as error:
            refused[key] = str(error)
    size = sum(len(key) + len(value) for key, value in data.items())
    return Acts(acts, refused, found.metadata.resource_version, size)


def write(client: Client, namespace: str, changed: Mapping[str, Act | None], known: Acts) -> None:
    """Writes these acts and deletes those that are None, if nobody wrote meanwhile.

    Raises:
        Conflict: somebody did.
        UsageError: there would be too many, or they would be too large.
    """
    data = {
        key: None if act is None else msgspec.json.encode(act).decode("utf-8", "replace")
        for key, act in changed.items()
    }
    acts = {**known.acts, **changed}
    number = sum(act is not None for act in acts.values())
    size = known.size + sum(len(key) + len(text) for key, text in data.items() if text is not None)
    if number > MOST_ACTS or size > LARGEST_BYTES:
        raise UsageError(
            f"accept: expected at most {MOST_ACTS} acts and {LARGEST_BYTES >> 10} KiB in {NAME}, got {number} and "
            f"{size >> 10} KiB; revoke some, or accept fewer nodes"
        )
    patch = {"metadata": {"resourceVersion": known.resource_version}, "data": data}
    client.request(
        "PATCH",
        path(namespace),
        body=msgspec.json.encode(patch),
        content_type="application/merge-patch+json",
        seconds=_SECONDS,
    )


def look(client: Client, namespace: str) -> tuple[Mapping[str, Act], Mapping[str, str]]:
    """The acts, and those that can't be read with the reason."""
    found = read(client, namespace)
    return found.acts, found.refused
