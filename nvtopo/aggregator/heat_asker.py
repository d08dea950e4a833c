"""Asks Prometheus how hot the GPUs of some nodes are: a few queries within one deadline."""

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from nvtopo.errors import ParseError, ReadError
from nvtopo.exporters import heat_readings
from nvtopo.exporters.heat_readings import Figure, Readings
from nvtopo.wire import prometheus, pull
from nvtopo.wire.documents import one_line

ASK_SECONDS: Final = 20.0
"""For all queries of one job together; 10,000 GPUs take 8 s of two busy cores."""
QUERY_SECONDS: Final = 5.0
"""For one of them."""
_LONGEST_REASON: Final = 300
Post = Callable[[str, bytes, str, float], bytes]
"""URL, form, bearer token, seconds → the answer."""


class HeatAnswer(NamedTuple):
    """What was answered, and why not all of it."""

    readings: Readings
    error: str


def _post(url: str, form: bytes, token: str, seconds: float) -> bytes:
    return pull.post(url, form, token, seconds=seconds, most_bytes=prometheus.MOST_BYTES)


class HeatAsker:
    """Usable from several threads."""

    def __init__(
        self,
        server: str,
        token: Callable[[], str],
        *,
        post: Post = _post,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``token`` is the bearer token for ``server``; empty for none."""
        self._url, self._token = prometheus.api_url(server), token
        self._post, self._clock = post, clock

    def ask(self, nodes: Iterable[str]) -> HeatAnswer:
        """Every figure of these nodes; none after one that did not come."""
        until = self._clock() + ASK_SECONDS
        found: dict[str, dict[tuple[str, str], Figure]] = {}
        try:
            for batch in heat_readings.batches(nodes):
                for figure, query in heat_readings.queries(batch).items():
                    samples = prometheus.samples(self._answer(query, until), "the answer")
                    found.setdefault(figure, {}).update(heat_readings.read(figure, samples, batch))
        except (ReadError, ParseError) as error:
            said = str(error).removeprefix(f"{self._url}: ")  # which may hold a password
            return HeatAnswer(found, f"Prometheus: {one_line(said)[:_LONGEST_REASON]}")
        return HeatAnswer(found, "")

    def _answer(self, query: str, until: float) -> bytes:
        left = min(QUERY_SECONDS, until - self._clock())
        if left <= 0:
            raise ReadError(f"expected all answers within {ASK_SECONDS:.0f} s")
        return self._post(self._url, prometheus.form(query, left), self._token(), left)
