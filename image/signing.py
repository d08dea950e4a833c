"""Signature and attestations of an image, in the layout and formats that `cosign` saves and verifies. openssl signs.

The signature is over a short document that names the image's digest. An attestation is an in-toto statement about the
same digest in a DSSE envelope: here the provenance, and the list of contents of each platform's image.
"""

import base64
import os
from pathlib import Path
from typing import Any, Final

from image.layout import CONFIG, MANIFEST, Json, Layout, encoded
from image.tools import ImageError, run_bytes

STATEMENT: Final = "application/vnd.in-toto+json"
ENVELOPE: Final = "application/vnd.dsse.envelope.v1+json"
PAYLOAD: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
_KIND: Final = "kind"
_KINDS: Final = "dev.cosignproject.cosign/"
_SIGNATURE: Final = "dev.cosignproject.cosign/signature"
#: The environment variable that has the key's password.
_VARIABLE: Final = "NVTOPO_KEY_PASSWORD"


class Key:
    """A private key, P-256, in a PEM file; what it signs, its public half verifies."""

    def __init__(self, file: Path) -> None:
        self._file = file
        password = ("-passin", f"env:{_VARIABLE}") if _VARIABLE in os.environ else ("-passin", "pass:")
        self._words = (str(file), *password)
        if not file.is_file():
            raise ImageError(f"{file}: no such file: a key is made by openssl genpkey (docs/supply-chain.md)")
        curve = run_bytes("openssl", "pkey", "-in", *self._words, "-noout", "-text").decode()
        if "prime256v1" not in curve:
            raise ImageError(f"{file}: expected a private key on the curve P-256 (prime256v1)")

    def sign(self, content: bytes) -> bytes:
        """ECDSA over SHA-256, DER."""
        return run_bytes("openssl", "dgst", "-sha256", "-sign", *self._words, stdin=content)

    def public(self) -> bytes:
        """PEM."""
        return run_bytes("openssl", "pkey", "-in", *self._words, "-pubout")


def pre_authentication(payload: bytes) -> bytes:
    """What DSSE signs: type and payload with their lengths."""
    return b"DSSEv1 %d %s %d %s" % (len(STATEMENT), STATEMENT.encode(), len(payload), payload)


def sign(layout: Layout, key: Key, reference: str, statements: list[Json]) -> None:
    """Adds the signature of the layout's one image, and the statements about it."""
    (image,) = layout.manifests
    image["annotations"][_KIND] = f"{_KINDS}imageIndex"
    named = encoded(
        {
            "critical": {
                "identity": {"docker-reference": reference},
                "image": {"docker-manifest-digest": image["digest"]},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )
    signature = base64.b64encode(key.sign(named)).decode()
    _attach(layout, "sigs", [layout.add(PAYLOAD, named, annotations={_SIGNATURE: signature})])
    _attach(layout, "atts", [_attestation(layout, key, statement) for statement in statements])


def _attestation(layout: Layout, key: Key, statement: Json) -> Json:
    payload = encoded(statement)
    signature = base64.b64encode(key.sign(pre_authentication(payload))).decode()
    envelope = {
        "payloadType": STATEMENT,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": "", "sig": signature}],
    }
    annotations = {_SIGNATURE: "", "predicateType": statement["predicateType"]}
    return layout.add(ENVELOPE, encoded(envelope), annotations=annotations)


def _attach(layout: Layout, kind: str, layers: list[Json]) -> None:
    """An image whose layers are signatures: so a registry keeps them beside what is signed."""
    config: dict[str, Any] = {
        "architecture": "",
        "os": "",
        "created": "0001-01-01T00:00:00Z",
        "config": {},
        "history": [{"created": "0001-01-01T00:00:00Z"} for _ in layers],
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add(CONFIG, encoded(config)),
        "layers": layers,
    }
    layout.manifests.append(layout.add(MANIFEST, encoded(manifest), annotations={_KIND: f"{_KINDS}{kind}"}))
