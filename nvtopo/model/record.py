"""The base of everything that crosses a wire, and the value that stands for a reading that failed."""

from msgspec import Struct


class Record(Struct, frozen=True, kw_only=True, gc=False, rename="camel", omit_defaults=True):
    """A value: immutable, compared by content, camelCase on the wire, absent fields left out.

    Subclasses repeat ``frozen=True, kw_only=True``: the first for the type checkers, the second because
    msgspec does not inherit it.
    """


class Problem(Record, frozen=True, kw_only=True):
    """Something that should have been readable and was not. It travels to the log, metrics, resource and CLI."""

    source: str
    """The source's name, such as ``nvml``."""
    subject: str
    """What it is about: a device, a file, or the source itself."""
    reason: str
    """What went wrong, in words."""
