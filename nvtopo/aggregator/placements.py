"""Routes that place: ``/v1/placements`` for gangs, ``/scheduler`` for kube-scheduler's extender.

The ledger is in the API server, so each answer may wait for it: as a future, so that neither the event loop nor a
thread is held up, and all that come during one write go into the next one. Threads of their own answer the extender.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nvtopo.aggregator.access import Access
from nvtopo.aggregator.answers import as_json
from nvtopo.aggregator.desk import Desk
from nvtopo.aggregator.entrance import admitted
from nvtopo.aggregator.incoming import InAll, Incoming
from nvtopo.auth.rights import PlacementRight
from nvtopo.errors import ApiError, ParseError, ReadError, UsageError
from nvtopo.exporters import extender
from nvtopo.placement import document
from nvtopo.placement.ledger import Full, IdTaken, Refused, Unknown
from nvtopo.placement.result import NoFit

T = TypeVar("T")

MOST_BYTES: Final = 64 << 10
"""Of a PlacementRequest."""
_THREADS: Final = 8
_ID: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
_STATUS: Final[tuple[tuple[type[Exception], HTTPStatus], ...]] = (
    (IdTaken, HTTPStatus.CONFLICT),
    (Unknown, HTTPStatus.NOT_FOUND),
    (Full, HTTPStatus.INSUFFICIENT_STORAGE),
    (Refused, HTTPStatus.CONFLICT),
    (ApiError, HTTPStatus.SERVICE_UNAVAILABLE),
    (UsageError, HTTPStatus.BAD_REQUEST),
    (ReadError, HTTPStatus.SERVICE_UNAVAILABLE),
)


class Placements:
    """The routes over a desk, while it is entered."""

    def __init__(
        self, desk: Desk, access: Access | None, *, for_scheduler: bool = False, limits: InAll | None = None
    ) -> None:
        """``for_scheduler`` opens the extender to everybody: kube-scheduler has no token to show."""
        self._desk = desk
        self._access = access
        self._incoming = Incoming(limits)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="placements")
        self.routes = [
            Route("/v1/placements", self._place, methods=["POST"]),
            Route("/v1/placements/{id}", self._release, methods=["DELETE"]),
            Route("/v1/placements/{id}/confirm", self._confirm, methods=["POST"]),
        ]
        if for_scheduler:
            self.routes += [
                Route("/scheduler/filter", self._filter, methods=["POST"]),
                Route("/scheduler/prioritize", self._prioritize, methods=["POST"]),
            ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def _place(self, request: Request) -> Response:
        await self._allowed(request, "create")
        dry = _dry_run(request)
        async with self._incoming.body(request, MOST_BYTES) as content:
            return await self._answered(content, dry=dry)

    async def _answered(self, content: bytes, *, dry: bool) -> Response:
        try:
            parsed = document.parse(content, "the request")
        except ParseError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error
        if dry:
            return as_json(msgspec.json.encode(await _stored(lambda: self._desk.looking(parsed))))
        key = _id(parsed.name, "metadata.name")
        placed = await _stored(lambda: self._desk.placing(key, content, parsed))
        response = as_json(msgspec.json.encode(placed.answer))
        response.status_code = HTTPStatus.CREATED if placed.new else HTTPStatus.OK
        if isinstance(placed.answer, NoFit):
            response.status_code = HTTPStatus.CONFLICT
        return response

    async def _confirm(self, request: Request) -> Response:
        await self._allowed(request, "update")
        key = _id(request.path_params["id"], "the path's ID")
        await _stored(lambda: self._desk.confirming(key))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _release(self, request: Request) -> Response:
        await self._allowed(request, "delete")
        key = _id(request.path_params["id"], "the path's ID")
        await _stored(lambda: self._desk.releasing(key))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _filter(self, request: Request) -> Response:
        return await self._extended(request, extender.filtered)

    async def _prioritize(self, request: Request) -> Response:
        return await self._extended(request, extender.prioritized)

    async def _extended(
        self, request: Request, answer: Callable[[extender.ExtenderArgs, extender.View], Any]
    ) -> Response:
        async with self._incoming.body(request, extender.MOST_BYTES) as content:

            def answered() -> bytes:
                try:
                    return msgspec.json.encode(answer(extender.read(content), self._desk.view()))
                except ParseError as error:
                    raise UsageError(str(error)) from error

            return as_json(await self._done(answered))

    async def _allowed(self, request: Request, verb: str) -> None:
        if self._access is not None:
            await admitted(request, PlacementRight(verb), self._access)

    async def _done(self, work: Callable[[], T]) -> T:
        with _refusals():
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)


async def _stored(begun: Callable[[], Future[T]]) -> T:
    """What comes of it once the ledger is stored. No thread waits for it: all that come meanwhile share one write."""
    with _refusals():
        return await asyncio.wrap_future(begun())


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (Refused, ApiError, UsageError, ReadError) as error:
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        raise HTTPException(status, str(error)) from error


def _dry_run(request: Request) -> bool:
    given = request.query_params.multi_items()
    if given not in ([], [("dryRun", "true")], [("dryRun", "false")]):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the query: expected dryRun=true, dryRun=false or nothing")
    return given == [("dryRun", "true")]


def _id(text: str, what: str) -> str:
    if not _ID.fullmatch(text):
        raise HTTPException(
            HTTPStatus.BAD_REQUEST,
            f"{what}: expected an ID of up to 63 lower-case letters, digits, '-' and '.', such as train-7",
        )
    return text
