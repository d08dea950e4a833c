"""The exceptions that some caller reacts to.

::

    NvtopoError
    ├── UsageError     the user asked for something that cannot be: exit 2
    ├── ReadError      a file, a machine or a server cannot be read or reached: exit 3
    │   └── ParseError     what was read is not what it should be: exit 3
    └── ApiError       the API server said no
        ├── Conflict       409: another writer was first
        ├── Gone           410: the watch's resource version is too old, list again
        ├── Forbidden      401 and 403: the service account may not do this
        └── NotFound       404

A reading that failed on one device is none of these: it is a ``Problem`` value in the snapshot.
"""


class NvtopoError(Exception):
    """Every error whose message is meant for the user; one line, subject first."""


class UsageError(NvtopoError):
    """The command was given something that it cannot work with."""


class ReadError(NvtopoError):
    """Something that had to be read or reached could not be."""


class ParseError(ReadError):
    """Input was read, and is not what it should be; the message says what was expected and where."""


class ApiError(NvtopoError):
    """The API server refused; ``status`` is the HTTP status, 0 where no answer came."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Conflict(ApiError):
    """409: the object was changed by another writer since it was read."""


class Gone(ApiError):
    """410: the resource version asked for has been compacted away."""


class Forbidden(ApiError):
    """401 or 403: this identity may not do that."""


class NotFound(ApiError):
    """404: no such object, or its kind is not installed."""
