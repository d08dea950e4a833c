"""The base of all records, and the record of a failed reading."""

from typing import Annotated

from msgspec import Meta, Struct

from nvtopo.model.formats import limits

# What a file or another node may claim, from the table of limits. Outside of it is no machine.
Count = Annotated[int, Meta(ge=0, le=1 << 31)]
Index = Annotated[int, Meta(ge=0, le=limits.HIGHEST_INDEX)]
Small = Annotated[int, Meta(ge=0, le=limits.HIGHEST_SMALL)]
Bytes = Annotated[int, Meta(ge=0, le=limits.HIGHEST_BYTES)]
Name = Annotated[str, Meta(max_length=limits.LONGEST_NAME)]
Text = Annotated[str, Meta(max_length=limits.LONGEST_REASON)]
ShortWord = Annotated[str, Meta(max_length=limits.LONGEST_WORD)]
Numbers = Annotated[str, Meta(max_length=limits.LONGEST_LIST, pattern=limits.NUMBERS)]
Links = Annotated[str, Meta(max_length=limits.LONGEST_LINKS, pattern=limits.LINKS)]
DevicePath = Annotated[str, Meta(max_length=limits.LONGEST_PATH, pattern=limits.PATH)]
Word32 = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
Register16 = Annotated[int, Meta(ge=0, le=0xFFFF)]


class Record(Struct, frozen=True, kw_only=True, gc=False, rename="camel", omit_defaults=True):
    """A value: immutable, compared by content, camelCase on the wire, absent fields left out.

    Subclasses repeat ``frozen=True, kw_only=True``: the first for the type checkers, the second because
    msgspec does not inherit it.
    """


class Problem(Record, frozen=True, kw_only=True):
    """Something that should have been readable and was not. It travels to the log, metrics, resource and CLI."""

    source: Name
    """The source's name, such as ``nvml``."""
    subject: Name
    """The device or file that could not be read, or the source itself."""
    reason: Text
    """What went wrong, in words."""
