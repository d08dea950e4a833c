"""Spans to a collector of OpenTelemetry, as OTLP over HTTP: the extra ``tracing``, imported only if it is asked for.

A span is put into a bounded queue and sent by a thread of the SDK. A collector that is slow, away or wrong costs the
spans that do not fit in the queue, and nothing else.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import nvtopo
from nvtopo.aggregator.spans import Spans, Timeline
from nvtopo.errors import UsageError

D = TypeVar("D")

MOST_WAITING: Final = 2048
"""Spans that wait for the collector; one more pushes out the oldest."""
_BATCH: Final = 512
_DELAY_MILLISECONDS: Final = 1000
_TIMEOUT_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 2.0
#: Generations that later spans may belong to.
_MOST_GENERATIONS: Final = 512
#: Of one generation; a thousand subscribers are not a thousand spans.
_MOST_SENDS: Final = 16
#: Nodes whose status is not written yet.
_MOST_WANTED: Final = 20_000
_PATH: Final = "/v1/traces"


@dataclass(slots=True)
class _Change:
    """The first span of a generation."""

    span: trace.Span
    context: Context
    sends: int = 0


class OtlpSpans(Spans):
    """One trace for each generation. Usable from any thread; ``close`` it at the end."""

    def __init__(self, endpoint: str, instance: str = "", cluster: str | None = None) -> None:
        """``endpoint``: of a collector, ``http://HOST:4318`` with or without ``/v1/traces``.

        Raises:
            UsageError: it is no such address.
        """
        named = {"service.name": "nvtopo-aggregator", "service.version": nvtopo.__version__}
        named |= {"service.instance.id": instance} if instance else {}
        named |= {"k8s.cluster.name": cluster} if cluster else {}
        exporter = OTLPSpanExporter(endpoint=address(endpoint), timeout=_TIMEOUT_SECONDS)
        self._provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=MOST_WAITING,
                schedule_delay_millis=_DELAY_MILLISECONDS,
                max_export_batch_size=_BATCH,
            )
        )
        self._tracer = self._provider.get_tracer("nvtopo", nvtopo.__version__)
        self._lock = threading.Lock()
        self._changes: OrderedDict[int, _Change] = OrderedDict()
        self._wanted: OrderedDict[str, int] = OrderedDict()

    def begin(self, generation: int, received: float) -> None:
        """The first span of the generation; what follows belongs to it."""
        about = {"nvtopo.generation": generation}
        span = self._tracer.start_span("change", Context(), start_time=_ns(received), attributes=about)
        with self._lock:
            self._changes[generation] = _Change(span, trace.set_span_in_context(span, Context()))
            while len(self._changes) > _MOST_GENERATIONS:
                self._changes.popitem(last=False)

    def published(self, generation: int, timeline: Timeline, *, events: int, nodes: int) -> None:
        """Ends the first span, with a span for each stage."""
        with self._lock:
            change = self._changes.get(generation)
        if change is None:
            return
        received, taken, folded, built, published = timeline
        stages = (("wait", received, taken), ("fold", taken, folded), ("build", folded, built))
        for name, began, ended in (*stages, ("publish", built, published)):
            self._span(name, change, began, ended)
        change.span.set_attributes({"nvtopo.events": events, "nvtopo.nodes": nodes})
        change.span.end(_ns(published))

    def sent(self, generation: int, began: float, ended: float, size: int) -> None:
        """One of the first subscribers of a generation."""
        with self._lock:
            change = self._changes.get(generation)
            if change is None or change.sends >= _MOST_SENDS:
                return
            change.sends += 1
        self._span("send to subscriber", change, began, ended, {"nvtopo.bytes": size})

    def wanted(self, name: str, generation: int) -> None:
        """Remembered until it is written."""
        with self._lock:
            self._wanted[name] = generation
            self._wanted.move_to_end(name)
            while len(self._wanted) > _MOST_WANTED:
                self._wanted.popitem(last=False)

    def writes(self, write: Callable[[str, D], None]) -> Callable[[str, D], None]:
        """Each write is a span of the generation that the status follows from."""

        def traced(name: str, document: D) -> None:
            began, error = time.time(), ""
            try:
                write(name, document)
            except Exception as failure:
                error = type(failure).__name__
                raise
            finally:
                self._written(name, began, error)

        return traced

    def _written(self, name: str, began: float, error: str) -> None:
        with self._lock:
            change = self._changes.get(self._wanted.pop(name, -1))
        if change is not None:
            about: dict[str, str | int] = {"k8s.node.name": name}
            self._span("write status", change, began, time.time(), about | ({"error.type": error} if error else {}))

    def close(self) -> None:
        """Send what waits. A collector that does not answer is given up after two seconds."""
        last = threading.Thread(target=self._provider.shutdown, name="spans-close", daemon=True)
        last.start()
        last.join(_CLOSE_SECONDS)

    def _span(
        self, name: str, change: _Change, began: float, ended: float, about: dict[str, str | int] | None = None
    ) -> None:
        span = self._tracer.start_span(name, change.context, start_time=_ns(began), attributes=about)
        if about and "error.type" in about:
            span.set_status(trace.StatusCode.ERROR)
        span.end(_ns(ended))


def address(endpoint: str) -> str:
    """The address that spans are sent to.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(endpoint)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise UsageError(f"aggregator: --traces: expected an address such as http://collector:4318, got {endpoint!r}")
    return endpoint if parts.path not in ("", "/") else endpoint.rstrip("/") + _PATH


def _ns(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
