"""Splits the chunks read from a pipe into lines. No I/O."""


class LineTooLong(Exception):
    """A line without an end is longer than the limit."""


class NotALine(Exception):
    """A line is not what comes first."""


class LineBuffer:
    """Keeps the beginning of the next line, up to a limit."""

    def __init__(self, longest_bytes: int) -> None:
        self._longest = longest_bytes
        self._rest = bytearray()

    def take(self, chunk: bytes) -> list[bytes]:
        """Add a chunk; return the lines that it completes, without line ends.

        Raises:
            LineTooLong: the line that has begun is longer than ``longest_bytes``.
        """
        self._rest += chunk
        lines: list[bytes] = []
        if b"\n" in chunk:  # of a line that comes byte by byte, nothing is copied
            *lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
        if len(self._rest) > self._longest:
            raise LineTooLong
        return lines

    @property
    def rest(self) -> bytes:
        """The beginning of a line that has no end yet."""
        return bytes(self._rest)
