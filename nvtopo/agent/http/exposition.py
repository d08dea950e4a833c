"""The metrics page over HTTP: format by ``Accept``, gzip by ``Accept-Encoding``, families by ``name[]``.

The page is made once for all who wait for it, however many they are.
"""

import gzip
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from prometheus_client.exposition import choose_encoder

from nvtopo.agent.http.server import StartResponse
from nvtopo.runtime.shared_work import SharedWork
from nvtopo.sinks.metrics.series import Family, Part, text, together

#: Level 9 takes twenty times as long as level 1 for a page two thirds of the size.
_GZIP_LEVEL: Final = 1
_END: Final = "# EOF\n"
_VERSION: Final = re.compile(r"version\s*=([^;]*)")
#: Of the two text formats, as scrapers name them.
_VERSIONS: Final = {"0.0.1", "0.0.4", "1.0.0"}


class Exposition:
    """The page that these parts make together."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._pages = SharedWork(lambda: _Page(list(together(parts))))
        self.look = self._pages.look
        """To be called if some ``wanted`` may have become false."""

    def __call__(
        self,
        environ: dict[str, Any],
        start_response: StartResponse,
        wanted: Callable[[], bool] = lambda: True,
        asked_at: float | None = None,
    ) -> Iterable[bytes]:
        """Answer what was asked for then; ConnectionAbortedError if nobody wants it any more."""
        _, content_type = choose_encoder(_known(environ.get("HTTP_ACCEPT", "")))
        names = parse_qs(environ.get("QUERY_STRING", "")).get("name[]")
        form = _Form("openmetrics" in content_type, "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""))
        headers = [("Content-Type", content_type), *([("Content-Encoding", "gzip")] if form.compressed else [])]
        page = self._pages.get(wanted, asked_at)
        body = page.part(set(names), form) if names else page.whole(form)
        start_response("200 OK", headers)
        return [body]


def _known(accept: str) -> str:
    """The ``Accept`` header without versions that nobody makes: ``choose_encoder`` raises on some, and repeats some."""
    return ",".join(one for one in accept.split(",") if {word.rstrip() for word in _VERSION.findall(one)} <= _VERSIONS)


class _Form(NamedTuple):
    """What the client takes."""

    openmetrics: bool
    compressed: bool

    def body(self, texts: Iterable[str]) -> bytes:
        """The families' texts in this form."""
        body = ("".join(texts) + (_END if self.openmetrics else "")).encode()
        return gzip.compress(body, _GZIP_LEVEL) if self.compressed else body


class _Page:
    """One page. Each of its forms is made once, when somebody asks for it."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families
        self._making = threading.Lock()
        self._texts: dict[bool, dict[str, str]] = {}
        self._wholes: dict[_Form, bytes] = {}

    def whole(self, form: _Form) -> bytes:
        with self._making:
            if form not in self._wholes:
                self._wholes[form] = form.body(self._text(form).values())
            return self._wholes[form]

    def part(self, names: set[str], form: _Form) -> bytes:
        with self._making:
            texts = self._text(form)
        return form.body(texts[name] for name in texts if name in names)

    def _text(self, form: _Form) -> dict[str, str]:
        """The text of each family, by its name."""
        found = self._texts.get(form.openmetrics)
        if found is None:
            found = self._texts[form.openmetrics] = {}
            for family in self._families:
                name = family.series.name
                more = text([family], openmetrics=form.openmetrics).removesuffix(_END)
                found[name] = found.get(name, "") + more
        return found
