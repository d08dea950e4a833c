"""One ConfigMap as the API server keeps it: replaced by compare-and-swap. Answers can get lost on their way."""

from collections.abc import Callable
from typing import Any

import msgspec

from nvtopo.errors import ApiError, Conflict, NotFound


class ConfigMapServer:
    """What ``Reservations`` asks of a client."""

    def __init__(self) -> None:
        self.document: Any = None
        self.version = 0
        self.before_a_write: Callable[[], None] = lambda: None
        """What others do between a read and the write after it."""
        self.lost: Callable[[], bool] = lambda: False
        """Whether the answer to a write that was made gets lost."""
        self.writes = 0

    def get(self, _path: str, *, seconds: float) -> bytes:
        del seconds
        if self.document is None:
            raise NotFound("no such ConfigMap", status=404)
        return msgspec.json.encode(self.document)

    def create(self, _path: str, document: bytes, *, seconds: float) -> bytes:
        del seconds
        self.before_a_write()
        if self.document is not None:
            raise Conflict("it exists", status=409)
        return self._store(document)

    def replace(self, _path: str, document: bytes, *, seconds: float) -> bytes:
        del seconds
        self.before_a_write()
        if self.document is None:
            raise NotFound("no such ConfigMap", status=404)
        if msgspec.json.decode(document)["metadata"]["resourceVersion"] != str(self.version):
            raise Conflict("it was changed", status=409)
        return self._store(document)

    def _store(self, document: bytes) -> bytes:
        self.version += 1
        self.writes += 1
        self.document = msgspec.json.decode(document)
        self.document["metadata"]["resourceVersion"] = str(self.version)
        if self.lost():
            raise ApiError("no answer", status=0)
        return msgspec.json.encode(self.document)
