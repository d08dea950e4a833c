"""Leadership among replicas through a Lease: the requests and the log of an ``election.Election``."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from nvtopo.errors import ApiError, Conflict, NotFound, NvtopoError, ParseError
from nvtopo.kube.client import Client
from nvtopo.kube.election import Election, LeaseSpec, Timing
from nvtopo.kube.refusal import Throttled
from nvtopo.model.records.record import Record
from nvtopo.wire.documents import Json

logger = logging.getLogger(__name__)


class LeaseMetadata(Record, frozen=True, kw_only=True):
    """What we write and read of a Lease's metadata."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class LeaseObject(Record, frozen=True, kw_only=True):
    """A Lease."""

    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"
    metadata: LeaseMetadata
    spec: LeaseSpec = LeaseSpec()


_LEASE: Final = Json(LeaseObject, "a Lease")


class Leadership:
    """One replica's part in the election. ``run`` has a thread of its own; the properties are read from any."""

    def __init__(  # noqa: PLR0913 - names, and what a test replaces
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
        fit: Callable[[], bool] = lambda: True,
    ) -> None:
        """``fit`` says whether this process can do a leader's work; one that can't gives the Lease up for good."""
        self._client = client
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{name}"
        self._new = LeaseMetadata(name=name, namespace=namespace)
        self._identity = identity
        self._timing = timing or Timing()
        self._election = Election(identity, self._timing)
        self._clock = clock
        self._fit = fit
        self._led = False
        self._answered = True

    @property
    def term(self) -> int | None:
        """Which of its terms this replica leads in at this moment; None where it may not write."""
        return self._election.term(self._clock()) if self._fit() else None

    @property
    def transitions(self) -> int | None:
        """How often the Lease changed hands, as it says; None where it has not been read."""
        return self._election.transitions

    def run(self, stop: threading.Event) -> None:
        """Take part until ``stop`` is set, then release the Lease. All writers must have ended before that."""
        while not stop.is_set():
            stop.wait(self.attempt())
        self.release()

    def attempt(self) -> float:
        """Renew the Lease, or take it if it is free. Seconds until the next attempt."""
        asked = 0.0
        if not self._fit():
            self.release()
            return self._timing.retry
        try:
            self._renew()
        except Conflict:
            pass  # another replica was faster; the next attempt reads which
        except (ApiError, ParseError) as error:
            asked = error.retry_after if isinstance(error, Throttled) else 0.0
            self._say_answered(error)
        else:
            self._say_answered(None)
        self._say_leading()
        return max(asked, self._election.seconds_until_next())

    def release(self) -> None:
        """Let another replica take over at once."""
        if self._election.term(self._clock()) is None:
            return
        try:
            held = self._read()
            free = self._election.release(datetime.now(UTC))
            if held is not None and free is not None:
                self._replace(held.metadata, free)
        except (ApiError, ParseError) as error:
            logger.warning("cannot release the lease", extra={"reason": str(error)})
        self._say_leading()

    def _renew(self) -> None:
        lease = self._read()
        spec = self._election.bid(self._clock(), datetime.now(UTC))
        if spec is None:
            return
        sent_at = self._clock()
        if lease is None:
            body = msgspec.json.encode(LeaseObject(metadata=self._new, spec=spec))
            self._client.create(self._collection, body, seconds=self._timing.request)
        else:
            self._replace(lease.metadata, spec)
        self._election.won(spec, sent_at, self._clock())

    def _read(self) -> LeaseObject | None:
        try:
            lease = _LEASE.read(self._client.get(self._path, seconds=self._timing.request), self._path)
        except NotFound:
            lease = None
        self._election.read(None if lease is None else lease.spec, self._clock())
        return lease

    def _replace(self, metadata: LeaseMetadata, spec: LeaseSpec) -> None:
        body = msgspec.json.encode(LeaseObject(metadata=metadata, spec=spec))
        self._client.replace(self._path, body, seconds=self._timing.request)

    def _say_answered(self, error: NvtopoError | None) -> None:
        """Log when requests begin to fail and when they work again."""
        before, self._answered = self._answered, error is None
        if before and error is not None:
            logger.warning("cannot renew the lease, trying on", extra={"reason": str(error)})
        elif error is None and not before:
            logger.info("the lease is renewed again")

    def _say_leading(self) -> None:
        before, self._led = self._led, self.term is not None
        if self._led != before:
            logger.info("leadership", extra={"leading": self._led, "identity": self._identity})
