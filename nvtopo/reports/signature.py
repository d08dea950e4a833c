"""A detached signature of a report, as ``cosign sign-blob`` and ``openssl`` make it with a key: base64 of its bytes.

An EC key signs SHA-256 of the report (ECDSA, DER), an Ed25519 key the report itself. Others verify it without nvtopo.
"""

import base64

from nvtopo.errors import ParseError, UsageError
from nvtopo.extras import how_to_install

_EXPECTED = "an unencrypted PEM with an EC (P-256) or Ed25519 private key, as `openssl genpkey` writes it"


def signed(report: bytes, key: bytes, source: str) -> bytes:
    """The signature of these bytes by the key in a PEM file; ``source`` is what messages call that.

    Raises:
        UsageError: the ``cryptography`` package is not installed.
        ParseError: it is no such key.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    except ImportError as error:
        raise UsageError(f"--sign needs the cryptography package: {how_to_install('signing')}") from error
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ParseError(f"{source}: expected {_EXPECTED}: {_reason(error)}") from error
    if isinstance(private, ed25519.Ed25519PrivateKey):
        made = private.sign(report)
    elif isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        made = private.sign(report, ec.ECDSA(hashes.SHA256()))
    else:
        raise ParseError(f"{source}: expected {_EXPECTED}, got another kind of key")
    return base64.b64encode(made) + b"\n"


def _reason(error: Exception) -> str:
    """In one line: the library's own messages are long and speak of its insides."""
    return "it is encrypted" if "encrypted" in str(error) or "Password" in str(error) else "it can't be read as one"
