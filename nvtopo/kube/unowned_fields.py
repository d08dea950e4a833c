"""What others added to an object that we apply: server-side apply leaves alone what its document does not name."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from nvtopo.errors import ParseError
from nvtopo.wire.documents import Json

#: Others may add labels, annotations and owners, and the API server adds what it keeps there.
_SHARED: Final = frozenset({"metadata"})
#: Set by the API server within what we apply: when a device was tainted.
_BY_SERVER: Final = frozenset({"/spec/taint/timeAdded"})
_OBJECT: Final = Json(dict[str, Any], "an object")


def removal(applied: bytes, stored: bytes) -> bytes | None:
    """The JSON patch that takes away what the stored object has within the parts we apply, and we did not name.

    Lists are as we applied them: in our schemas they are atomic. None where nothing has to go.
    """
    ours, theirs = _members(applied), _members(stored)
    parts = [name for name in ours.keys() - _SHARED if isinstance(ours[name], dict)]
    found = [pointer for name in sorted(parts) for pointer in _strays(ours[name], theirs.get(name), f"/{name}")]
    return msgspec.json.encode([{"op": "remove", "path": pointer} for pointer in found]) if found else None


def _strays(ours: Mapping[str, Any], theirs: object, at: str) -> Iterator[str]:
    for name, value in theirs.items() if isinstance(theirs, dict) else ():
        pointer = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in ours:
            if pointer not in _BY_SERVER:
                yield pointer
        elif isinstance(ours[name], dict):
            yield from _strays(ours[name], value, pointer)


def _members(document: bytes) -> dict[str, Any]:
    """Of an object; none where it is no object that we can read, which is for others to complain of."""
    try:
        return _OBJECT.read(document)
    except ParseError:
        return {}
