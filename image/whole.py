"""The images of all platforms as one, signed with a key where there is one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from image import layout, platforms, provenance, signing
from image.build import NAME, Image

ARCHIVE: Final = "nvtopo.oci.tar"


def write(
    images: Mapping[str, Image],
    source: provenance.Source,
    bases: dict[str, str],
    key: signing.Key | None,
    archive: Path,
) -> str:
    """Writes the archive; the digest of the image in it, which the signature does not change."""
    listed = [each for each in platforms.ALL if each.architecture in images]
    whole = layout.joined([(each.document, layout.read(images[each.architecture].archive)) for each in listed], NAME)
    (image,) = whole.manifests
    digest = str(image["digest"])
    if key is not None:
        names = [f"linux/{each.architecture}" for each in listed]
        subjects = {NAME: digest}
        parts = dict(zip(names, (part["digest"] for part in whole.document(digest)["manifests"]), strict=True))
        about = provenance.provenance(source, names, bases)
        statements = [provenance.statement({**subjects, **_named(parts)}, provenance.PROVENANCE, about)]
        for each, name in zip(listed, names, strict=True):
            contents = provenance.contents(images[each.architecture].sbom)
            about_one = {**subjects, **_named({name: parts[name]})}
            statements.append(provenance.statement(about_one, provenance.CONTENTS, contents))
        signing.sign(whole, key, NAME.rpartition(":")[0], statements)
    whole.write(archive)
    return digest


def _named(parts: Mapping[str, str]) -> dict[str, str]:
    return {f"{NAME} {name}": digest for name, digest in parts.items()}
