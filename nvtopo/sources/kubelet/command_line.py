"""The command line of the running kubelet: ``/proc/<pid>/cmdline``, where its process is visible."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from nvtopo.sources.sysfs import SysfsRoot

#: Programs that run a kubelet within them and pass on ``--kubelet-arg``.
_DISTRIBUTIONS: Final = ("k3s", "rke2")
_PASSED_ON: Final = "--kubelet-arg"


def flags(root: SysfsRoot) -> Mapping[str, str] | None:
    """Flag without dashes → its value. None if no kubelet is visible, or more than one."""
    found = [given for arguments in _command_lines(root) if (given := of(arguments)) is not None]
    return found[0] if len(found) == 1 else None


def is_alone(root: SysfsRoot) -> bool:
    """Whether the kubelet is a program of its own, so that it has no settings but its flags and files."""
    found = [arguments[0] for arguments in _command_lines(root) if of(arguments) is not None]
    return len(found) == 1 and found[0].rsplit("/", 1)[-1] not in _DISTRIBUTIONS


def of(arguments: Sequence[str]) -> dict[str, str] | None:
    """The kubelet's flags in a command line; None if it runs no kubelet. The last of equal flags holds."""
    program = arguments[0].rsplit("/", 1)[-1] if arguments else ""
    if program == "kubelet" or (program == "hyperkube" and "kubelet" in arguments[1:2]):
        return dict(_pairs(arguments[1:]))
    if program in _DISTRIBUTIONS and ("server" in arguments[1:2] or "agent" in arguments[1:2]):
        passed = [f"--{text.lstrip('-')}" for name, text in _pairs(arguments[1:]) if f"--{name}" == _PASSED_ON]
        return dict(_pairs(passed))
    return None


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """``--name=value`` and ``--name value``."""
    for position, argument in enumerate(arguments):
        name, separator, value = argument.partition("=")
        if not name.startswith("--"):
            continue
        following = arguments[position + 1 : position + 2]
        if not separator and following and not following[0].startswith("--"):
            value = following[0]
        yield name.removeprefix("--"), value


def _command_lines(root: SysfsRoot) -> Iterator[list[str]]:
    names: list[str] = []
    with suppress(OSError):
        names = root.names("/proc")
    for name in names:
        if name.isdecimal():
            with suppress(OSError):  # it has ended meanwhile
                yield root.read(f"/proc/{name}/cmdline").decode(errors="replace").rstrip("\0").split("\0")
