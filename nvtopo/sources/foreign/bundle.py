"""Bundles by ``nvtopo bundle``: the nodes in one, read where a folder of them is read."""

from collections.abc import Mapping
from typing import Final

from nvtopo.sources.foreign.given import Given
from nvtopo.sources.foreign.sysfs_unpacked import is_archive, is_text_archive, unpacked

_MANIFEST: Final = "MANIFEST.json"
_FORMAT: Final = b'"nvtopo-bundle"'
_NODES: Final = "nodes/"


def nodes_in(content: bytes, source: str) -> Mapping[str, bytes] | None:
    """File below ``nodes/`` → what it holds, in order; None for what is no bundle.

    Raises:
        ParseError: it is damaged, or larger than any bundle.
    """
    given = Given(content, source)
    if not is_archive(given) or is_text_archive(given):
        return None
    files = unpacked(given).files
    if _FORMAT not in files.get(_MANIFEST, b""):
        return None
    return {name: files[name] for name in sorted(files) if name.startswith(_NODES)}
