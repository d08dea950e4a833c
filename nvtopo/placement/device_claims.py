"""ResourceClaims, as far as placement looks at them, and those that a gang's pods got from us."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from nvtopo.placement.pods import GpuPod

RESERVATION: Final = "nvtopo.io/reservation"
"""The annotation of a claim that was made for a pod of a gang: the reservation that it is of, empty for none."""


class GangDevice(NamedTuple):
    """The share of our device that a claim was given: what holds its pod until the gang is whole."""

    pool: str
    device: str
    share: str


class DeviceClaim(NamedTuple):
    """One ResourceClaim."""

    namespace: str
    name: str
    uid: str
    version: str
    """Its resource version."""
    gpus: tuple[tuple[str, str], ...] = ()
    """Pool and device of each GPU that it was given."""
    allocated: bool = False
    leaving: bool = False
    """It is being deleted."""
    created: float = 0.0
    """Seconds since 1970."""
    pod: str = ""
    """The UID of the pod that it was made for by us; empty if it was not."""
    reservation: str = ""
    """Which it was made for; empty if it names no GPUs."""
    barrier: bool = False
    """Whether it asks for our device."""
    gang: GangDevice | None = None
    ready: bool = False
    """Its pod may be bound: the gang is whole."""
    failed: bool = False
    """It is to be given back."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


class OwnClaims:
    """The claims that were made for pods of gangs."""

    def __init__(self) -> None:
        self._of_pod: dict[tuple[str, str], dict[str, DeviceClaim]] = {}
        """Namespace and UID of a pod → its claims by name. What another namespace says of a pod is nothing to it."""
        self._pod_of: dict[tuple[str, str], str] = {}

    def list(self, claims: Mapping[str, DeviceClaim]) -> tuple[tuple[str, str], ...]:
        """All there are; which are gone."""
        before = (*self._pod_of,)
        self._of_pod.clear()
        self._pod_of.clear()
        for claim in claims.values():
            self.see(claim)
        return tuple(key for key in before if key not in self._pod_of)

    def see(self, claim: DeviceClaim) -> None:
        """One that came or changed."""
        self.forget(claim.key)
        if claim.pod:
            self._pod_of[claim.key] = claim.pod
            self._of_pod.setdefault((claim.namespace, claim.pod), {})[claim.name] = claim

    def forget(self, key: tuple[str, str]) -> None:
        """One that is gone."""
        pod = self._pod_of.pop(key, None)
        if pod is None:
            return
        namespace, name = key
        mine = self._of_pod[namespace, pod]
        del mine[name]
        if not mine:
            del self._of_pod[namespace, pod]

    def pod_of(self, key: tuple[str, str]) -> str:
        """The UID of the pod that a claim was made for; empty if it is not ours."""
        return self._pod_of.get(key, "")

    def of(self, pod: GpuPod) -> tuple[DeviceClaim, ...]:
        """What was made for a pod."""
        return tuple(self._of_pod.get((pod.namespace, pod.uid), {}).values())
