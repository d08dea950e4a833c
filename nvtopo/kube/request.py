"""One request to the API server."""

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlencode

READ_SECONDS: Final = 30.0
"""How long an answer may take, connecting included, where the caller does not say."""
JSON: Final = "application/json"


class Request(NamedTuple):
    """One request, as far as it differs from the others."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None = None
    content_type: str = "application/json"
    seconds: float = READ_SECONDS
    accept: str = JSON

    @property
    def what(self) -> str:
        """How messages name it."""
        return f"{self.method} {self.path}"

    @property
    def target(self) -> str:
        """The path with the query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def selected(selector: str, fields: str) -> dict[str, str]:
    """What of a collection is asked for, as a query."""
    asked = {"labelSelector": selector, "fieldSelector": fields}
    return {name: value for name, value in asked.items() if value}
