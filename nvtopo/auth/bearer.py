"""Bearer tokens: where a request has one (RFC 6750), and what a JWT claims before anybody has checked it (RFC 7519).

A claim is used only to refuse. Whether a token is genuine, the API server decides.
"""

import base64
import binascii
from typing import Final

import msgspec

from nvtopo.errors import ParseError
from nvtopo.wire.documents import Json

_SCHEME: Final = "bearer"
EXPIRY_LEEWAY_SECONDS: Final = 300.0
"""Two clocks may differ by so much."""
_LONGEST_CLAIMS_BYTES: Final = 16 << 10


class Claims(msgspec.Struct, frozen=True):
    """The claims that are looked at."""

    exp: float | None = None
    """When it expires, in Unix seconds."""
    aud: str | tuple[str, ...] = ()
    kubernetes: object = msgspec.field(default=None, name="kubernetes.io")
    """Only in a service account's token."""

    def expired(self, unix_now: float) -> bool:
        """Whether it expired, even if our clock is ahead by the leeway."""
        return self.exp is not None and unix_now >= self.exp + EXPIRY_LEEWAY_SECONDS

    def for_others(self, audiences: tuple[str, ...]) -> bool:
        """Whether it is a service account's token for none of these audiences.

        Other issuers' tokens name a client in ``aud``, which the API server's authenticator maps to audiences.
        """
        named = (self.aud,) if isinstance(self.aud, str) else self.aud
        return self.kubernetes is not None and not set(named) & set(audiences)


_CLAIMS: Final = Json(Claims, "claims", most_bytes=_LONGEST_CLAIMS_BYTES)


def token_in(authorization: str) -> str:
    """The token of ``Bearer TOKEN``; empty if there is none."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == _SCHEME else ""


def claims_of(token: str) -> Claims:
    """The claims of a JWT, not verified; without any if the token is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        return Claims()
    try:
        return _CLAIMS.read(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, ParseError):
        return Claims()
