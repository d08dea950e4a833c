"""What the API server knows its callers by: a signing key, a file of bearer tokens, kubeconfigs.

No `openssl` is needed: an elliptic-curve private key is 32 random bytes in a fixed envelope.
"""

import base64
import csv
import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: SEC 1's ECPrivateKey on P-256, before and after the number: version 1, the curve's name, no public key.
_KEY_HEAD: Final = bytes.fromhex("3031 020101 0420")
_KEY_TAIL: Final = bytes.fromhex("a00a 06082a8648ce3d030107")


@dataclass(frozen=True)
class User:
    """Somebody with a bearer token of their own."""

    name: str
    groups: tuple[str, ...] = ()
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))


def write_signing_key(file: Path) -> None:
    """A new P-256 private key: what service account tokens are signed with."""
    number = secrets.randbits(255) | 1  # never 0 and always below the curve's order
    encoded = base64.b64encode(_KEY_HEAD + number.to_bytes(32, "big") + _KEY_TAIL).decode()
    _write(file, f"-----BEGIN EC PRIVATE KEY-----\n{encoded}\n-----END EC PRIVATE KEY-----\n")


def write_tokens(file: Path, users: Iterable[User]) -> None:
    """The file behind kube-apiserver's --token-auth-file."""
    _write(file, "")
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows((user.token, user.name, user.name, ",".join(user.groups)) for user in users)


def write_kubeconfig(directory: Path, server: str, ca_file: Path, token: str) -> Path:
    """A kubeconfig for this token, as JSON, which is YAML too; the same token gives the same file."""
    file = directory / f"{hashlib.sha256(token.encode()).hexdigest()[:12]}.kubeconfig"
    if file.exists():  # a program may be reading it
        return file
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority": str(ca_file)}}],
        "users": [{"name": "lab", "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
    _write(file, json.dumps(document, indent=2))
    return file


def _write(file: Path, text: str) -> None:
    """Readable by its owner alone."""
    file.touch(mode=0o600)
    file.write_text(text)
