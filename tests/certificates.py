"""Certificates as the kubelet puts them into a pod, and clients that trust who issued them."""

import ssl
from pathlib import Path
from typing import Final

import trustme

AUTHORITY: Final = trustme.CA()


def trusting(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def certify(directory: Path, authority: trustme.CA = AUTHORITY) -> tuple[Path, Path]:
    """A certificate and its key, put there as the kubelet puts a Secret: a link to a directory is replaced."""
    issued = authority.issue_cert("127.0.0.1")
    versions = sorted(directory.glob("v*"))
    version = directory / f"v{len(versions)}"
    version.mkdir()
    issued.private_key_pem.write_to_path(version / "tls.key")
    (version / "tls.crt").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (directory / "new").symlink_to(version.name)
    (directory / "new").rename(directory / "data")
    return directory / "data/tls.crt", directory / "data/tls.key"
