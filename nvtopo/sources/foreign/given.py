"""A file as it was handed in: its bytes, and its text as terminals, logs and issue trackers leave it."""

from functools import cached_property

from nvtopo.errors import ParseError
from nvtopo.model.records.record import Problem
from nvtopo.sources.foreign.decoding import decoded, encoding
from nvtopo.sources.foreign.hosts import by_host
from nvtopo.sources.foreign.prefixes import Line, stripped
from nvtopo.sources.foreign.unquoting import unquoted

#: A device map of a 16-GPU board with 64 NICs has 80; a cluster's worth of them is not one node.
MOST_DEVICES = 512
#: The largest hosts have 16 GPUs; composed ones 32.
MOST_GPUS = 128
#: `lspci -vvv` of a large server has 20,000 lines, and a run's NCCL log as many; more would take seconds.
_MOST_LINES = 50_000
#: Each with a whole output, that is more than fits into so many lines.
MOST_HOSTS = 2048
_LOOKED_AT = 1 << 16


class Given:
    """What was handed in, and where it came from; every reader reads the same cleaned text."""

    def __init__(self, content: bytes, name: str, lines: list[str] | None = None) -> None:
        self.content = content
        self.name = name
        self._lines = lines

    @property
    def is_text(self) -> bool:
        """Whether it can be text: UTF-16 has zeros, and so have archives."""
        return b"\x00" not in self.content[:_LOOKED_AT] or encoding(self.content) != "utf-8"

    @cached_property
    def raw_lines(self) -> list[str]:
        """The lines as they came, decoded and unquoted."""
        if not self.is_text:
            return []
        text = decoded(self.content)
        self._bounded(text.count("\n") + text.count("\\n"))
        lines = unquoted(text).split("\n")
        self._bounded(len(lines))
        return lines

    def _bounded(self, lines: int) -> None:
        if lines > _MOST_LINES:
            raise self.refused(f"{lines} lines", f"at most {_MOST_LINES}: the part with the output alone")

    @cached_property
    def _stripped(self) -> list[Line]:
        return stripped(self.raw_lines)

    @cached_property
    def lines(self) -> list[str]:
        """The lines, without what ends them and what logs, quotes and indentation put before them."""
        return [line.body for line in self._stripped] if self._lines is None else self._lines

    @cached_property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)

    @cached_property
    def hosts(self) -> tuple["tuple[str, Given]", ...]:
        """Each host that the text names, and what was handed in of it; one without a name where it names none."""
        found = by_host(self._stripped)
        if len(found) > MOST_HOSTS:
            raise self.refused(
                f"{len(found)} hosts", f"at most {MOST_HOSTS} hosts in a file: a file for each, in a folder"
            )
        return tuple(
            (host.name, self if not host.name else Given(self.content, self.name, host.lines)) for host in found
        )

    def refused(self, found: str, expected: str) -> ParseError:
        """The error for content that can't be read as a node."""
        return ParseError(f"{self.name}: expected {expected}, got {found}")


class Notes:
    """Collects what a reader could not read; in the end a tuple of problems, each once."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen: dict[Problem, None] = {}

    def add(self, subject: str, reason: str) -> None:
        """Note that something should have been there and was not."""
        self._seen[Problem(source=self._source, subject=subject, reason=reason)] = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything noted, in natural order."""
        return tuple(sorted(self._seen, key=lambda problem: (problem.source, problem.subject, problem.reason)))
