"""An OCI image layout: content by its digest, and the index that names it; single images joined as one for all."""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"

Json = dict[str, Any]


def digest_of(content: bytes) -> str:
    """As OCI writes it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encoded(document: Json) -> bytes:
    """The same bytes for the same document."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


@dataclass
class Layout:
    """Blobs by digest, and what the layout's own index lists."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: list[Json] = field(default_factory=list)

    def add(self, media_type: str, content: bytes, **more: Any) -> Json:
        """Puts content in; its descriptor."""
        digest = digest_of(content)
        self.blobs[digest] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content), **more}

    def document(self, digest: str) -> Json:
        """A blob that is JSON."""
        found: Json = json.loads(self.blobs[digest])
        return found

    def write(self, archive: Path) -> None:
        """An OCI archive: the same bytes for the same content."""
        files = {
            "oci-layout": encoded({"imageLayoutVersion": "1.0.0"}),
            "index.json": encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests}),
            **{f"blobs/{digest.replace(':', '/')}": content for digest, content in sorted(self.blobs.items())},
        }
        with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as opened:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o644
                opened.addfile(member, io.BytesIO(content))


def read(archive: Path) -> Layout:
    """What an OCI archive has in it; a blob that is not what its name says is an error."""
    layout = Layout()
    with tarfile.open(archive) as opened:
        for member in opened:
            name, source = member.name.removeprefix("./"), opened.extractfile(member)
            if source is None:
                continue
            if name == "index.json":
                layout.manifests = json.loads(source.read())["manifests"]
            elif name.startswith("blobs/"):
                content = source.read()
                digest = name.removeprefix("blobs/").replace("/", ":")
                if digest_of(content) != digest:
                    raise ValueError(f"{archive}: {name} has the digest {digest_of(content)}")
                layout.blobs[digest] = content
    return layout


def joined(images: list[tuple[Json, Layout]], name: str) -> Layout:
    """One index over the single images of several platforms, named as containerd and as podman look for it."""
    whole, listed = Layout(), []
    for platform, image in images:
        (descriptor,) = image.manifests
        whole.blobs.update(image.blobs)
        kept = {key: descriptor[key] for key in ("mediaType", "digest", "size")}
        listed.append({**kept, "platform": platform})
    index = encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
    names = {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name}
    whole.manifests.append(whole.add(INDEX, index, annotations=names))
    return whole
