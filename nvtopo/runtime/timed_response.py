"""HTTP answers with one deadline for head and body: a server that sends a byte now and then is given up too.

Python's clients have a time-out for each read alone, so such a server would keep its caller for as long as it likes.
"""

import io
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from http.client import HTTPResponse
from typing import Any, TypeVar, cast

P = TypeVar("P", bound=type[Any])


class _Until(io.RawIOBase):
    """A connection's bytes for so many seconds; TimeoutError after that."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, seconds: float) -> None:
        self._raw = raw
        self._connection = connection
        self._seconds = seconds
        self._until: float | None = time.monotonic() + seconds

    def for_each_read(self) -> None:
        """The seconds are for each read alone from now on."""
        self._until = None
        self._connection.settimeout(self._seconds)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class TimedResponse(HTTPResponse):
    """The whole answer comes within ``seconds``, None for however long, or reading it raises TimeoutError."""

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
        *,
        seconds: float | None,
    ) -> None:
        """The seconds count from now."""
        super().__init__(sock, debuglevel, method, url)
        self._bytes = None if seconds is None else _Until(self.fp.detach(), sock, seconds)
        if self._bytes is not None:
            self.fp = io.BufferedReader(self._bytes)

    def for_each_read(self) -> None:
        """The seconds are for each read alone from now on."""
        if self._bytes is not None:
            self._bytes.for_each_read()


class TimedConnection:
    """To be derived from before a class of ``http.client``: its ``timeout`` is for whole answers."""

    timeout: float | None

    @property
    def response_class(self) -> Callable[..., HTTPResponse]:
        """What ``http.client`` makes of an answer, that of a proxy to CONNECT too."""
        return partial(TimedResponse, seconds=self.timeout)


class TimedHead(TimedConnection):
    """The same, but its ``timeout`` is for the whole head, and then for each read alone."""

    def getresponse(self) -> HTTPResponse:
        """The answer, its head read."""
        found: HTTPResponse = super().getresponse()  # type: ignore[misc]  # of the class that is derived from beside
        if isinstance(found, TimedResponse):
            found.for_each_read()
        return found


def timed_pools(pools: Mapping[str, P]) -> dict[str, P]:
    """urllib3's pools, by scheme, such that the time-out for reading is for whole answers."""
    return {scheme: _timed(pool) for scheme, pool in pools.items()}


def _timed(pool: P) -> P:
    connection: type[Any] = pool.ConnectionCls
    timed: Any = type(connection.__name__, (TimedConnection, connection), {})
    found: Any = type(pool.__name__, (pool,), {"ConnectionCls": timed})
    return cast("P", found)
