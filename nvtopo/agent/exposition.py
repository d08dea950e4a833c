"""The metrics page over HTTP: format by ``Accept``, gzip by ``Accept-Encoding``, families by ``name[]``."""

import gzip
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qs

from prometheus_client.exposition import choose_encoder

from nvtopo.agent.server import StartResponse, WsgiApp
from nvtopo.sinks.metrics.series import Part, text, together

#: Level 9 takes twenty times as long as level 1 for a page two thirds of the size.
_GZIP_LEVEL = 1


def app(parts: Sequence[Part]) -> WsgiApp:
    """The page that these parts make together."""

    def serve(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        _, content_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
        names = parse_qs(environ.get("QUERY_STRING", "")).get("name[]")
        families = (family for family in together(parts) if not names or family.series.name in names)
        body = text(families, openmetrics="openmetrics" in content_type).encode()
        headers = [("Content-Type", content_type)]
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            body = gzip.compress(body, _GZIP_LEVEL)
            headers.append(("Content-Encoding", "gzip"))
        start_response("200 OK", headers)
        return [body]

    return serve
