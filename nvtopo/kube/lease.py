"""Leadership among replicas through a Lease, by the rules of client-go's leader election.

Whoever holds the Lease renews it; whoever does not takes it once the holder has not renewed for the Lease's duration,
by its own clock: clocks of different machines are never compared.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from nvtopo.errors import ApiError, Conflict, NotFound, ParseError
from nvtopo.kube.client import Client
from nvtopo.model.record import Record

logger = logging.getLogger(__name__)

DURATION_SECONDS: Final = 15
RENEW_SECONDS: Final = 5.0


class LeaseMetadata(Record, frozen=True, kw_only=True):
    """What we write and read of a Lease's metadata."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class LeaseSpec(Record, frozen=True, kw_only=True):
    """``coordination.k8s.io/v1`` LeaseSpec."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class LeaseObject(Record, frozen=True, kw_only=True):
    """A Lease."""

    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"
    metadata: LeaseMetadata
    spec: LeaseSpec = LeaseSpec()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Leadership:
    """One replica's part in the election: ``leading`` says whether it may write now."""

    def __init__(  # noqa: PLR0913 - names, and what a test replaces
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration_seconds: int = DURATION_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._metadata = LeaseMetadata(name=name, namespace=namespace)
        self._identity = identity
        self._duration = duration_seconds
        self._clock = clock
        self._seen: LeaseSpec | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None

    @property
    def leading(self) -> bool:
        """Whether this replica holds the Lease: its renewal is younger than two thirds of the duration."""
        return self._renewed_at is not None and self._clock() - self._renewed_at < self._duration * 2 / 3

    def run(self, stop: threading.Event, renew_seconds: float = RENEW_SECONDS) -> None:
        """Take part until ``stop`` is set, and then let go of the Lease."""
        while not stop.is_set():
            before = self.leading
            self.attempt()
            if self.leading != before:
                logger.info("leadership", extra={"leading": self.leading, "identity": self._identity})
            stop.wait(renew_seconds)
        self._release()

    def attempt(self) -> None:
        """Renew the Lease, or take it if it is free; what the API server refuses is tried again at the next attempt."""
        began = self._clock()
        try:
            held = self._read()
            if held is None:
                self._client.create(self._collection, self._document(LeaseObject(metadata=self._metadata)))
            elif not self._may_take(held.spec):
                self._renewed_at = None
                return
            else:
                self._client.replace(self._path, self._document(held))
        except (Conflict, NotFound):
            self._renewed_at = None
        except (ApiError, ParseError) as error:
            logger.warning("cannot renew the lease", extra={"reason": str(error)})
        else:
            self._renewed_at = began

    @property
    def _path(self) -> str:
        return f"{self._collection}/{self._metadata.name}"

    def _read(self) -> LeaseObject | None:
        try:
            lease = msgspec.json.decode(self._client.get(self._path), type=LeaseObject)
        except NotFound:
            return None
        except msgspec.MsgspecError as error:
            raise ParseError(f"{self._path}: expected a Lease: {error}") from error
        if lease.spec != self._seen:
            self._seen, self._seen_at = lease.spec, self._clock()
        return lease

    def _may_take(self, spec: LeaseSpec) -> bool:
        if not spec.holder_identity or spec.holder_identity == self._identity:
            return True
        return self._clock() - self._seen_at >= (spec.lease_duration_seconds or self._duration)

    def _document(self, held: LeaseObject) -> bytes:
        mine = held.spec.holder_identity == self._identity
        now = _now()
        spec = LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=self._duration,
            acquire_time=held.spec.acquire_time if mine else now,
            renew_time=now,
            lease_transitions=(held.spec.lease_transitions or 0) + (0 if mine else 1),
        )
        return msgspec.json.encode(LeaseObject(metadata=held.metadata, spec=spec))

    def _release(self) -> None:
        """Let another replica take over at once."""
        if not self.leading:
            return
        try:
            held = self._read()
            if held is not None and held.spec.holder_identity == self._identity:
                free = LeaseObject(metadata=held.metadata, spec=LeaseSpec(holder_identity="", lease_duration_seconds=1))
                self._client.replace(self._path, msgspec.json.encode(free))
        except (ApiError, ParseError) as error:
            logger.warning("cannot release the lease", extra={"reason": str(error)})
        self._renewed_at = None
