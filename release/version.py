"""The version, and each place of the repository that has it."""

import re
from typing import Final

#: Three numbers: what Python, Helm and OCI tags all take.
_VERSION: Final = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")
#: Where it may be written; other packages' versions, in other files, stay.
PLACES: Final = ("Dockerfile", "daemonset", "docs", "fixtures/hosts/*/expected/metrics.prom", "nvtopo/__init__.py")
#: What stands before it there, in source, chart, manifests, docs and golden metrics.
_BEFORE: Final = r'(__version__ = "|(?:^|\s)version: |appVersion: |newTag: |nvtopo:|build_info\{version=")'


def is_version(text: str) -> bool:
    """Is it a version that can be released?"""
    return _VERSION.fullmatch(text) is not None


def replaced(text: str, old: str, new: str) -> str:
    """The text with our own version exchanged."""
    if old not in text:
        return text
    return re.sub(rf"{_BEFORE}{re.escape(old)}(?![\d.]*\d)", rf"\g<1>{new}", text, flags=re.MULTILINE)
