"""The answer that has no end."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from nvtopo.aggregator import openapi
from nvtopo.aggregator.answers import error_line
from nvtopo.aggregator.guest import visitor
from nvtopo.aggregator.watch import Subscribers, Whole


class Stream(StreamingResponse):
    """A client's stream of events, counted from before its first byte until after its last."""

    media_type = openapi.EVENTS

    def __init__(self, watch: Subscribers, whole: Whole) -> None:
        super().__init__((), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._watch = watch
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Until the client or the server leaves."""
        guest = visitor(scope)
        bell = self._watch.join() if guest is None or guest.stream() else None
        if bell is None:
            await error_line(HTTPStatus.SERVICE_UNAVAILABLE, "too many watchers, or shutting down")(
                scope, receive, send
            )
            return
        self.body_iterator = self._watch.events(bell, self._whole, _last_id(scope))
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._watch.leave(bell)


def _last_id(scope: Scope) -> str:
    """As a client says it that comes again."""
    return Headers(scope=scope).get("last-event-id", "")
