"""Reads a signed archive as those do who trust nobody but a public key: digests by hashlib, signatures by openssl."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from image.layout import Layout
from image.signing import pre_authentication


def holds(public: Path, signature: bytes, content: bytes, folder: Path) -> bool:
    """What openssl says of a signature."""
    (folder / "signature").write_bytes(signature)
    words = ("openssl", "dgst", "-sha256", "-verify", str(public), "-signature", str(folder / "signature"))
    return subprocess.run(words, input=content, capture_output=True, check=False).stdout.strip() == b"Verified OK"


def signed_digest(layout: Layout, public: Path, folder: Path) -> str | None:
    """The image's digest that the signature is over; None if it does not hold."""
    (layer,) = layout.document(_attached(layout, "sigs"))["layers"]
    content = layout.blobs[layer["digest"]]
    signature = base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
    if not holds(public, signature, content, folder):
        return None
    digest: str = json.loads(content)["critical"]["image"]["docker-manifest-digest"]
    return digest


def statements(layout: Layout, public: Path, folder: Path) -> list[Any]:
    """The statements whose envelopes' signatures hold."""
    found = []
    for layer in layout.document(_attached(layout, "atts"))["layers"]:
        envelope = json.loads(layout.blobs[layer["digest"]])
        payload = base64.b64decode(envelope["payload"])
        (signature,) = envelope["signatures"]
        assert envelope["payloadType"] == "application/vnd.in-toto+json"
        if holds(public, base64.b64decode(signature["sig"]), pre_authentication(payload), folder):
            found.append(json.loads(payload))
    return found


def _attached(layout: Layout, kind: str) -> str:
    (digest,) = [
        each["digest"]
        for each in layout.manifests
        if each.get("annotations", {}).get("kind") == f"dev.cosignproject.cosign/{kind}"
    ]
    return str(digest)
