"""What is said of the image: how it was built of what (SLSA provenance), and what is in it, as in-toto statements."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from image.layout import Json

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
CONTENTS: Final = "https://cyclonedx.org/bom"
#: Where each field of the definition is described: docs/supply-chain.md.
_BUILD_TYPE: Final = "https://nvtopo.io/build/image/v1"
_BUILDER: Final = "https://nvtopo.io/build/make-image"


@dataclass(frozen=True)
class Source:
    """What was built."""

    commit: str
    """Empty outside of a repository, and for files that differ from their commit."""
    epoch: int
    files: dict[str, str]
    """SHA-256 of each file that the build may read, among them the requirements with the hash of each package."""


def statement(subjects: dict[str, str], kind: str, predicate: Json) -> Json:
    """About content by its digest (`sha256:…`)."""
    named = [{"name": name, "digest": _digest(digest)} for name, digest in subjects.items()]
    return {"_type": STATEMENT, "subject": named, "predicateType": kind, "predicate": predicate}


def provenance(source: Source, platforms: list[str], bases: dict[str, str]) -> Json:
    """`bases` are the images built upon, with the digest of their configuration."""
    commit = [{"name": "commit", "digest": {"gitCommit": source.commit}}] if source.commit else []
    images = [{"uri": f"oci:{name}", "digest": _digest(digest)} for name, digest in sorted(bases.items())]
    files = [{"uri": f"file:{name}", "digest": {"sha256": value}} for name, value in sorted(source.files.items())]
    return {
        "buildDefinition": {
            "buildType": _BUILD_TYPE,
            "externalParameters": {"dockerfile": "Dockerfile", "platforms": platforms, "sourceDateEpoch": source.epoch},
            "resolvedDependencies": [*commit, *images, *files],
        },
        "runDetails": {"builder": {"id": _BUILDER}},
    }


def contents(sbom: Path) -> Json:
    """The list of one platform's image, as it is."""
    document: Json = json.loads(sbom.read_text(encoding="utf-8"))
    return document


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}
