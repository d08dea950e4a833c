"""The bodies that requests bring: each within its bound and its time, all within one bound, one client within a half.

All of it lives in the server's event loop.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from nvtopo.auth.review_budget import client_of

_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = "1"


class InAll(NamedTuple):
    """How many bytes are held at a time, from their arrival to the end of the answer."""

    total: int = 128 << 20
    one_client: int = 64 << 20


class Incoming:
    """The bodies that are held now."""

    def __init__(self, limits: InAll | None = None) -> None:
        self._limits = limits or InAll()
        self._held: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """How many bytes are held."""
        return self._held.total()

    @asynccontextmanager
    async def body(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """All of it; it counts as held until the context ends.

        Raises:
            HTTPException: it is larger than ``most``, does not come in time, or too much is held already.
        """
        client = client_of(request.client.host if request.client else "")
        taken = 0
        pieces = list[bytes]()
        try:
            async with asyncio.timeout(_SECONDS):
                async for piece in request.stream():
                    taken += len(piece)
                    self._held[client] += len(piece)
                    self._check(client, taken, most)
                    pieces.append(piece)
            yield b"".join(pieces)
        except TimeoutError as error:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, f"no whole body within {_SECONDS:g} s") from error
        except ClientDisconnect as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "the body ended early") from error
        finally:
            self._held[client] -= taken
            if not self._held[client]:
                del self._held[client]

    def _check(self, client: str, taken: int, most: int) -> None:
        if taken > most:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {most} bytes, got more"
            )
        if self.held > self._limits.total or self._held[client] > self._limits.one_client:
            reason = "too many large requests at a time"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": _RETRY_SECONDS})
