"""Which of our devices a claim has: with them a running pod's status shows their health."""

import logging
from typing import Final
from urllib.parse import quote

import msgspec

from nvtopo.dra.messages import Claim, Prepared
from nvtopo.errors import ApiError, ParseError
from nvtopo.kube.client import Client
from nvtopo.wire.documents import Json

logger = logging.getLogger(__name__)

_CLAIMS: Final = "/apis/resource.k8s.io/v1/namespaces/{}/resourceclaims/{}"
#: The kubelet waits 45 s, for all claims of a pod.
_SECONDS: Final = 5.0


class _Result(msgspec.Struct):
    request: str = ""
    driver: str = ""
    pool: str = ""
    device: str = ""


class _Devices(msgspec.Struct):
    results: list[_Result] = []


class _Allocation(msgspec.Struct):
    devices: _Devices = msgspec.field(default_factory=_Devices)


class _Status(msgspec.Struct):
    allocation: _Allocation = msgspec.field(default_factory=_Allocation)


class _Metadata(msgspec.Struct):
    uid: str = ""


class _Claim(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    status: _Status = msgspec.field(default_factory=_Status)


_CLAIM: Final = Json(_Claim, "a ResourceClaim")


def devices_of(client: Client, driver: str, claim: Claim) -> tuple[Prepared, ...]:
    """The devices; none if that can't be found out, since nothing has to be prepared and the pod may start."""
    path = _CLAIMS.format(quote(claim.namespace, safe=""), quote(claim.name, safe=""))
    try:
        found = _CLAIM.read(client.get(path, seconds=_SECONDS), f"GET {path}")
    except (ApiError, ParseError) as error:
        said = "cannot read a claim: its pod's status will not show the health of these devices"
        logger.warning(said, extra={"claim": f"{claim.namespace}/{claim.name}", "reason": str(error)})
        return ()
    if found.metadata.uid != claim.uid:
        return ()
    results = found.status.allocation.devices.results
    return tuple(Prepared(_request(one), one.pool, one.device) for one in results if one.driver == driver)


def _request(one: _Result) -> str:
    """The request as the kubelet compares it: of ``request/alternative`` without the alternative that was taken."""
    return one.request.partition("/")[0]
