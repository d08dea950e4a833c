"""The exceptions that callers handle.

::

    NvtopoError
    ├── UsageError     the user asked for something impossible: exit 2
    ├── ReadError      a file, a machine or a server can't be read or reached: exit 3
    │   └── ParseError     the content is not what was expected: exit 3
    └── ApiError       the API server refused
        ├── Conflict       409: another writer changed the object
        ├── Gone           410: the watch's resource version is too old, list again
        ├── Forbidden      401 and 403: the identity lacks the right
        └── NotFound       404

A failed reading of one device raises none of these: it becomes a ``Problem`` in the snapshot.
"""

from typing import Final

_LONGEST_REASON: Final = 300


class NvtopoError(Exception):
    """An error whose message is for the user: one line, subject first."""


class UsageError(NvtopoError):
    """The command line asks for something that the command can't do."""


class ReadError(NvtopoError):
    """A file, machine or server could not be read or reached."""


class ParseError(ReadError):
    """Input is not in the expected form; the message says what was expected, and where."""


class ApiError(NvtopoError):
    """The API server refused; ``status`` is the HTTP status, 0 if no response came."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Conflict(ApiError):
    """409: the object was changed by another writer since it was read."""


class Gone(ApiError):
    """410: the resource version asked for has been compacted away."""


class Forbidden(ApiError):
    """401 or 403: this identity lacks the right."""


class NotFound(ApiError):
    """404: no such object, or its kind is not installed."""


def reason_of(error: Exception, expected: tuple[type[Exception], ...] = (ValueError,)) -> str:
    """What an exception says, in one line; of a bug, which says nothing of what was expected, also its type."""
    said = " ".join(str(error).split())
    if not isinstance(error, expected):
        said = f"a bug in nvtopo: {type(error).__name__}: {said}"
    return said[:_LONGEST_REASON]
