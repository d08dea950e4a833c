"""``Reservations``: the ledger in the API server, one ConfigMap that is replaced by compare-and-swap.

One object, because a gang is held whole or not at all: over several objects no write would be atomic. Calls that come
while a write is under way go into the next one together. A write that another replica forestalled, or of which nobody
knows whether it arrived, is read again and made again: every operation may be repeated.
"""

import threading
import zlib
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import msgspec

from nvtopo.errors import ApiError, Conflict, NotFound, ParseError
from nvtopo.kube.client import Client
from nvtopo.model.records.record import Record
from nvtopo.placement.ledger import Full, Ledger, Refused, Reservation
from nvtopo.wire.documents import Json

T = TypeVar("T")
Operation = Callable[[Ledger], T]
"""Something done to the ledger: at once, repeatable, and the same for the same ledger."""

NAME: Final = "nvtopo-reservations"
_KEY: Final = "ledger.json.z"
#: etcd takes 1.5 MiB. Base64 makes four bytes of three.
_MOST_STORED_BYTES: Final = 700 << 10
_MOST_BYTES: Final = 64 << 20
_ATTEMPTS: Final = 50
_MOST_UNANSWERED: Final = 3
_MOST_AT_ONCE: Final = 2_000
_SECONDS: Final = 5.0


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = NAME
    namespace: str = ""
    resource_version: str = ""


class _ConfigMap(msgspec.Struct, rename="camel", kw_only=True):
    api_version: str = "v1"
    kind: str = "ConfigMap"
    metadata: _Metadata
    binary_data: dict[str, str] = {}


class _Document(Record, frozen=True, kw_only=True):
    reservations: tuple[Reservation, ...] = ()


_MAP: Final = Json(_ConfigMap, f"the ConfigMap {NAME}")
_DOCUMENT: Final = Json(_Document, "reservations", most_bytes=_MOST_BYTES)


class _Stored:
    """The ledger as it was read or written last."""

    __slots__ = ("ledger", "version")

    def __init__(self, ledger: Ledger, version: str) -> None:
        self.ledger = ledger
        self.version = version
        """Empty if there is no object yet."""


class Reservations:
    """Usable from several threads at once."""

    def __init__(self, client: Client, namespace: str, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds since 1970: all replicas judge by it what has expired."""
        self._client = client
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"
        self._path = f"{self._collection}/{NAME}"
        self._namespace = namespace
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[tuple[Operation[Any], Future[Any]]] = []
        self._serving = False
        self._stored: _Stored | None = None
        self.writes = 0

    def do(self, operation: Operation[T]) -> T:
        """The operation's result, once the ledger that it made is stored.

        Raises:
            Refused: by the operation.
            ApiError: it was not stored, or nobody knows.
            ParseError: what is stored is no ledger.
        """
        return self.submit(operation).result()

    def submit(self, operation: Operation[T]) -> Future[T]:
        """The same for who does not wait here. One thread writes, for as long as anything waits to be written."""
        mine: Future[T] = Future()
        mine.set_running_or_notify_cancel()  # from here on it can't be cancelled: others are in the same write
        with self._lock:
            self._waiting.append((operation, mine))
            if self._serving:
                return mine
            self._serving = True
        threading.Thread(target=self._serve_all, name="reservations", daemon=True).start()
        return mine

    def _serve_all(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
                if not batch:
                    self._serving = False
                    return
            self._serve(batch)

    def _serve(self, batch: list[tuple[Operation[Any], Future[Any]]]) -> None:
        """One write for all of them."""
        try:
            self._settle(batch)
        except BaseException as error:  # noqa: BLE001 - it is raised where each of them waits
            for _operation, future in batch:
                if not future.done():
                    future.set_exception(error)

    def _settle(self, batch: list[tuple[Operation[Any], Future[Any]]]) -> None:
        try:
            results = self._written([operation for operation, _future in batch])
        except Full:
            if len(batch) == 1:
                raise
            for one in batch:  # a release among them still fits
                self._serve_alone(one)
            return
        for (_operation, future), (value, refused) in zip(batch, results, strict=True):
            if refused is None:
                future.set_result(value)
            else:
                future.set_exception(refused)

    def _serve_alone(self, one: tuple[Operation[Any], Future[Any]]) -> None:
        try:
            self._settle([one])
        except Full as error:
            one[1].set_exception(error)

    def _written(self, operations: list[Operation[Any]]) -> list[tuple[Any, Exception | None]]:
        """What the operations gave, on the ledger that was stored with all they did."""
        failed, unanswered = ApiError(f"{self._path}: not read"), 0
        for _attempt in range(_ATTEMPTS):
            fresh = self._stored is None
            stored, self._stored = self._stored or self._read(), None
            ledger = stored.ledger.copy()
            ledger.expire(self._clock())
            results = [_result(operation, ledger) for operation in operations]
            if ledger.reservations == stored.ledger.reservations:
                if fresh:
                    self._stored = stored
                    return results
                continue  # what is there may have changed since: read it
            try:
                self._stored = self._replace(ledger, stored.version)
            except (Conflict, NotFound) as error:
                failed = error
            except ApiError as error:
                failed, unanswered = error, unanswered + 1
                if error.status or unanswered == _MOST_UNANSWERED:
                    raise
            else:
                return results
        raise failed

    def _read(self) -> _Stored:
        try:
            content = self._client.get(self._path, seconds=_SECONDS)
        except NotFound:
            return _Stored(Ledger(), "")
        found = _MAP.read(content, self._collection)
        return _Stored(decoded(found.binary_data.get(_KEY, "")), found.metadata.resource_version)

    def _replace(self, ledger: Ledger, version: str) -> _Stored:
        body = msgspec.json.encode(
            _ConfigMap(
                metadata=_Metadata(namespace=self._namespace, resource_version=version),
                binary_data={_KEY: encoded(ledger)},
            )
        )
        if version:
            answer = self._client.replace(self._path, body, seconds=_SECONDS)
        else:
            answer = self._client.create(self._collection, body, seconds=_SECONDS)
        self.writes += 1
        return _Stored(ledger, _MAP.read(answer, self._collection).metadata.resource_version)


def _result(operation: Operation[Any], ledger: Ledger) -> tuple[Any, Exception | None]:
    try:
        return operation(ledger), None
    except Exception as error:  # noqa: BLE001 - it is its caller's, who gets it
        return None, error


def encoded(ledger: Ledger) -> str:
    """The ledger as it is stored.

    Raises:
        Full: that is too large for one object.
    """
    packed = zlib.compress(msgspec.json.encode(_Document(reservations=tuple(ledger.reservations.values()))), 1)
    if len(packed) > _MOST_STORED_BYTES:
        raise Full(f"the ledger would take {len(packed)} bytes, more than {_MOST_STORED_BYTES}; release reservations")
    return str(b64encode(packed), "ascii")


def decoded(text: str) -> Ledger:
    """The ledger that is stored so.

    Raises:
        ParseError: it is none.
    """
    if not text:
        return Ledger()
    try:
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(b64decode(text, validate=True), _MOST_BYTES)
        if unpacking.unconsumed_tail or not unpacking.eof:
            raise ParseError(f"{NAME}: expected a whole ledger of at most {_MOST_BYTES >> 20} MiB")
        return Ledger(_DOCUMENT.read(content, NAME).reservations)
    except (NoBase64, ValueError, zlib.error) as error:
        raise ParseError(f"{NAME}: expected zlib in base64: {error}") from error
    except Refused as error:
        raise ParseError(f"{NAME}: expected reservations that share no GPU: {error}") from error
