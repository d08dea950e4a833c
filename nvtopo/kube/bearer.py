"""The token in an ``Authorization`` header (RFC 6750)."""

from typing import Final

_SCHEME: Final = "bearer"


def token_in(authorization: str) -> str:
    """The token of ``Bearer TOKEN``; empty where there is none."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == _SCHEME else ""
