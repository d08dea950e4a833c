"""What programs cost, measured side by side: the machine is noisy, so only ratios within one run mean something."""

import os
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

#: Settings of the interpreter that users have, whatever the shell of the one who measures says.
_KEPT: Final = ("PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX")


class Program(NamedTuple):
    """A program to run, its output thrown away."""

    arguments: tuple[str, ...]
    """The first is a path."""
    environment: Mapping[str, str] = {}
    """In addition to this process's own."""


class Cost(NamedTuple):
    """What one run cost, in seconds."""

    wall: float
    cpu: float
    """User and system time of the program and the children that it waited for."""


class Costs(NamedTuple):
    """What the runs of one program cost, in seconds."""

    runs: tuple[Cost, ...]

    def median(self, part: str) -> float:
        """The median of ``wall`` or ``cpu``."""
        return statistics.median(self._of(part))

    def minimum(self, part: str) -> float:
        """The minimum of ``wall`` or ``cpu``."""
        return min(self._of(part))

    def _of(self, part: str) -> Iterator[float]:
        return (getattr(run, part) for run in self.runs)


class ProgramFailed(RuntimeError):
    """A program ended otherwise than with 0."""


def interleaved(programs: Mapping[str, Program], repetitions: int) -> dict[str, Costs]:
    """Each program once unmeasured, so that files are in memory and byte code is written; then round after round."""
    for program in programs.values():
        cost(program)
    runs: dict[str, list[Cost]] = {name: [] for name in programs}
    for _ in range(repetitions):
        for name, program in programs.items():
            runs[name].append(cost(program))
    return {name: Costs(tuple(found)) for name, found in runs.items()}


def cost(program: Program) -> Cost:
    """What one run of the program costs.

    Raises:
        ProgramFailed: it did not end well, and what it costs says nothing.
    """
    silent = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in range(3)]
    environment = interpreter_environment() | dict(program.environment)
    began = time.perf_counter()
    child = os.posix_spawn(program.arguments[0], program.arguments, environment, file_actions=silent)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - began
    if status:
        raise ProgramFailed(f"{' '.join(program.arguments)}: ended with {os.waitstatus_to_exitcode(status)}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def interpreter_environment() -> dict[str, str]:
    """This process's environment without what would keep byte code from being written, or trace."""
    return {name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith("PYTHON")}
