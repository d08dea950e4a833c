"""Pods whose claims nobody makes any more: opened, or given a claim of any GPUs."""

from typing import Any, cast

import msgspec
import pytest

from nvtopo.errors import Conflict, NotFound
from nvtopo.kube import claim_release
from nvtopo.kube.client import Client, ListMetadata, ListPage, Response
from nvtopo.placement.device_claims import DeviceClaim, GangDevice
from nvtopo.placement.pods import GpuPod
from tests.kube.test_resource_claims import GANG_RESULT, allocated

POD = GpuPod(namespace="team", name="p", uid="u", gpus=0, claimed=2, claim="gpus")
NOW = "2026-11-30T01:02:03Z"
WAITS = DeviceClaim("team", "c", "u-c", "7", pod="u", reservation="gang:team/g", barrier=True)
HELD = WAITS._replace(allocated=True, gang=GangDevice("nvtopo-gangs", "gang", "s1"))


class Server:
    """Notes what is written; ``deleting`` is raised when something is to be deleted."""

    def __init__(self, deleting: Exception | None = None, now: Any = None) -> None:
        self.written: list[tuple[str, str]] = []
        self._deleting, self._now = deleting, now

    def request(self, method: str, path: str, *, body: bytes, **_how: Any) -> Response:
        said = msgspec.json.decode(body)
        conditions = [
            one["type"] for device in said.get("status", {}).get("devices", ()) for one in device["conditions"]
        ]
        self.written.append((method, *conditions) if conditions else (method, path.rpartition("/")[2]))
        if method == "DELETE" and self._deleting is not None:
            raise self._deleting
        return Response(200, b"{}")

    def delete(self, path: str) -> None:
        self.request("DELETE", path, body=b"{}")
        raise NotFound("gone", status=404)

    def create(self, path: str, document: bytes) -> bytes:
        (request,) = msgspec.json.decode(document)["spec"]["devices"]["requests"]
        assert (request["exactly"]["count"], "selectors" in request["exactly"]) == (2, False)
        return self.request("POST", path, body=document).body

    def get(self, _path: str) -> bytes:
        if self._now is None:
            raise NotFound("gone", status=404)
        return msgspec.json.encode(self._now)

    def pages(self, path: str) -> list[ListPage]:
        assert path == "/apis/resource.k8s.io/v1/resourceclaims"
        return [ListPage(ListMetadata(), [msgspec.Raw(msgspec.json.encode(self._now))])]


NEW = [("POST", "resourceclaims"), ("PATCH", "p")]
DOCUMENT = {
    "metadata": {
        "name": "c",
        "namespace": "team",
        "uid": "u-c",
        "annotations": {"nvtopo.io/reservation": "gang:team/g"},
        "ownerReferences": [{"kind": "Pod", "uid": "u", "controller": True}],
    },
    "status": allocated(GANG_RESULT),
}


@pytest.mark.parametrize(
    ("claims", "server", "written"),
    [
        ((), Server(), NEW),
        ((WAITS,), Server(), [("DELETE", "c"), *NEW]),
        ((WAITS._replace(barrier=False),), Server(), [("DELETE", "c"), ("DELETE", "c-holder"), *NEW]),
        ((WAITS._replace(barrier=False, allocated=True),), Server(), []),
        ((HELD,), Server(), [("PATCH", "nvtopo.io/gang-ready")]),
        ((HELD._replace(ready=True),), Server(), []),
        ((WAITS._replace(reservation=""),), Server(), []),
        (
            (WAITS,),
            Server(Conflict("changed", status=409), DOCUMENT),
            [("DELETE", "c"), ("PATCH", "nvtopo.io/gang-ready")],
        ),
        ((WAITS,), Server(Conflict("changed", status=409)), [("DELETE", "c"), *NEW]),
    ],
)
def test_a_pod_is_left_with_a_claim_that_kube_scheduler_can_bind(
    claims: tuple[DeviceClaim, ...], server: Server, written: list[tuple[str, str]]
) -> None:
    claim_release.release(cast("Client", server), POD, claims, NOW)
    assert server.written == written


def test_only_claims_that_were_made_for_pods_of_gangs_are_looked_at() -> None:
    (found,) = claim_release.own_claims(cast("Client", Server(now=DOCUMENT))).of(POD)
    assert (found.name, found.gang) == ("c", HELD.gang)
    others = {**DOCUMENT, "metadata": {"name": "c", "namespace": "team"}}
    assert claim_release.own_claims(cast("Client", Server(now=others))).of(POD) == ()
