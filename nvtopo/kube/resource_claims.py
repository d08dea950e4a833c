"""ResourceClaims (resource.k8s.io/v1, Kubernetes 1.34 and newer) of all namespaces, followed."""

import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta

from nvtopo.cluster.slices import GPU_DRIVER, OWN_DRIVER
from nvtopo.kube.client import Client
from nvtopo.kube.following import FORBIDDEN_SECONDS, Changed, Collection, Following, Listed, Read, Words
from nvtopo.kube.timestamps import unix
from nvtopo.placement.device_claims import RESERVATION, DeviceClaim, GangDevice
from nvtopo.runtime.backoff import Backoff
from nvtopo.wire.documents import Json

GROUP: Final = "/apis/resource.k8s.io/v1"
COLLECTION: Final = f"{GROUP}/resourceclaims"
GANG_CLASS: Final = "nvtopo-gang"
"""The device class of the gangs' barrier."""
GANG_POOL: Final = "nvtopo-gangs"
"""The pool of its one device."""
READY: Final = "nvtopo.io/gang-ready"
FAILED: Final = "nvtopo.io/gang-failed"
_MOST: Final = 256
_LONGEST: Final = 256
_WORDS: Final = Words(
    "the ResourceClaims",
    "a ResourceClaim",
    "no right to list and watch ResourceClaims: no gang is placed (daemonset/components/gang-claims)",
)
ClaimEvent = Listed[DeviceClaim] | Changed[DeviceClaim]
_Word = Annotated[str, Meta(max_length=_LONGEST)]


class _Owner(msgspec.Struct, rename="camel"):
    """Nothing of it has a limit at the API server, and no claim is left out for it: the claim may hold GPUs."""

    kind: str = ""
    uid: str = ""
    controller: bool | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    name: _Word = ""
    namespace: _Word = ""
    uid: _Word = ""
    resource_version: _Word = ""
    creation_timestamp: _Word = ""
    deletion_timestamp: _Word | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[_Owner] | None = None


class _Exactly(msgspec.Struct, rename="camel"):
    device_class_name: _Word = ""


class _Request(msgspec.Struct, rename="camel"):
    exactly: _Exactly | None = None


class _Asked(msgspec.Struct, rename="camel"):
    requests: Annotated[list[_Request], Meta(max_length=_MOST)] | None = None


class _Spec(msgspec.Struct, rename="camel"):
    devices: _Asked = msgspec.field(default_factory=_Asked)


class _Result(msgspec.Struct, rename="camel"):
    driver: _Word = ""
    pool: _Word = ""
    device: _Word = ""
    admin_access: bool | None = None
    share_id: _Word | None = msgspec.field(default=None, name="shareID")


class _Results(msgspec.Struct, rename="camel"):
    results: Annotated[list[_Result], Meta(max_length=_MOST)] | None = None


class _Allocation(msgspec.Struct, rename="camel"):
    devices: _Results = msgspec.field(default_factory=_Results)


class _Condition(msgspec.Struct, rename="camel"):
    type: str = ""
    status: str = ""


class _DeviceStatus(msgspec.Struct, rename="camel"):
    driver: _Word = ""
    pool: _Word = ""
    share_id: _Word | None = msgspec.field(default=None, name="shareID")
    conditions: Annotated[list[_Condition], Meta(max_length=_MOST)] | None = None


class _Status(msgspec.Struct, rename="camel"):
    allocation: _Allocation | None = None
    devices: Annotated[list[_DeviceStatus], Meta(max_length=_MOST)] | None = None


class _Claim(msgspec.Struct, rename="camel"):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


_CLAIM: Final = Json(_Claim, "a ResourceClaim")


def collection(namespace: str) -> str:
    """The path of a namespace's claims."""
    return f"{GROUP}/namespaces/{quote(namespace, safe='')}/resourceclaims"


def path(namespace: str, name: str) -> str:
    """A claim's path at the API server."""
    return f"{collection(namespace)}/{quote(name, safe='')}"


def read(item: bytes | msgspec.Raw) -> Read[DeviceClaim]:
    """One object; it is named ``namespace/name``.

    Raises:
        ParseError: it is no ResourceClaim.
    """
    found = _CLAIM.read(item)
    metadata, allocation = found.metadata, found.status.allocation
    results = (allocation.devices.results or []) if allocation is not None else []
    gang = next((one for one in results if one.driver == OWN_DRIVER and one.pool == GANG_POOL), None)
    conditions = _conditions(found.status, gang)
    reservation = (metadata.annotations or {}).get(RESERVATION)
    pod = "" if reservation is None else _pod(metadata)
    claim = DeviceClaim(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        version=metadata.resource_version,
        gpus=tuple((one.pool, one.device) for one in results if one.driver == GPU_DRIVER and not one.admin_access),
        allocated=allocation is not None,
        leaving=metadata.deletion_timestamp is not None,
        created=unix(metadata.creation_timestamp),
        pod=pod,
        reservation=reservation or "" if pod else "",
        barrier=any(
            one.exactly is not None and one.exactly.device_class_name == GANG_CLASS
            for one in found.spec.devices.requests or ()
        ),
        gang=None if gang is None else GangDevice(gang.pool, gang.device, gang.share_id or ""),
        ready=READY in conditions,
        failed=FAILED in conditions,
    )
    name = f"{metadata.namespace}/{metadata.name}" if metadata.name else ""
    return Read(name, metadata.resource_version, claim)


def _pod(metadata: _Metadata) -> str:
    owners = metadata.owner_references or ()
    uids = (one.uid for one in owners if one.controller and one.kind == "Pod")
    return next((uid for uid in uids if len(uid) <= _LONGEST), "")


def _conditions(status: _Status, gang: _Result | None) -> set[str]:
    """What is true of the share that the claim has now; what was said of an earlier one is another share's."""
    if gang is None:
        return set()
    return {
        condition.type
        for one in status.devices or ()
        if one.driver == OWN_DRIVER and one.pool == GANG_POOL and (one.share_id or "") == (gang.share_id or "")
        for condition in one.conditions or ()
        if condition.status == "True"
    }


FOLLOWED: Final = Collection(COLLECTION, read, _WORDS)


class ResourceClaims:
    """All ResourceClaims, followed."""

    def __init__(
        self, client: Client, *, backoff: Callable[[], Backoff] = Backoff, forbidden_seconds: float = FORBIDDEN_SECONDS
    ) -> None:
        self._following = Following(client, FOLLOWED, backoff=backoff, forbidden_seconds=forbidden_seconds)

    def events(self, stop: threading.Event) -> Iterator[ClaimEvent]:
        """``Listed`` first and after each loss, then what happens, until ``stop`` is set."""
        return self._following.events(stop)
