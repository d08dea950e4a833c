"""``python -m nvtopo`` and ``nvtopo``: run a verb, and turn what went wrong into one line and an exit code."""

import contextlib
import errno
import gc
import os
import sys
from typing import TYPE_CHECKING

from nvtopo.sources.nvml import head_start

if TYPE_CHECKING:
    import click

EXIT_NO = 1
EXIT_USAGE = 2
EXIT_READ = 3
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
#: What a file or a server says of itself may be longer than anyone reads.
_LONGEST_LINE = 2000


#: Imports make tens of thousands of objects and no garbage; the default, 700, collects thirty times in vain.
_COLLECT_AFTER_OBJECTS = 50_000


def run() -> None:
    """The entry point; ends the process.

    Without the interpreter's own tidying, as mypy does it: freeing every object takes as long as starting did, and the
    kernel frees them all the same. Verbs close what they open, and leave nothing to ``atexit``.
    """
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)
    if sys.stdout is None:  # started with it closed: what is printed is not wanted
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - lives as long as the process
    head_start.begin(sys.argv[1:], os.environ)
    code = _flushed(_run())
    head_start.end()
    os._exit(code)


def _flushed(code: int) -> int:
    """The exit code, once what was printed is out: a full disk is not fine, a reader that left is."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return code
    except OSError as error:
        return code or _say(OSError(f"standard output: {error.strerror}"), EXIT_READ)
    return code


def _run() -> int:  # noqa: PLR0911 - one line for each kind of ending
    import click

    from nvtopo import cli
    from nvtopo.errors import NvtopoError, UsageError

    try:
        result = cli.main(prog_name=_program(), standalone_mode=False)
    except click.Abort:
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        return _usage(error)
    except UsageError as error:
        return _say(error, EXIT_USAGE)
    except NvtopoError as error:
        return _say(error, EXIT_READ)
    except BrokenPipeError:
        return 0
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EBADF, errno.EIO) and error.filename is None:
            return _say(OSError(f"standard output: {error.strerror}"), EXIT_READ)
        return _bug(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a user
        return _bug(error)
    return result if isinstance(result, int) else 0


def _program() -> str:
    """What the user typed, for usage lines: kubectl calls a plugin ``kubectl-nvtopo``."""
    return "kubectl nvtopo" if os.path.basename(sys.argv[0]) == "kubectl-nvtopo" else "nvtopo"  # noqa: PTH119 - pathlib costs the start


def _usage(error: "click.ClickException") -> int:
    """Click's lines, which repeat what was typed or pasted."""
    import io

    from nvtopo.model.formats.printable import printable

    said = io.StringIO()
    error.show(said)
    for line in (said.getvalue().rstrip("\n") + _from_environment(error)).splitlines():
        _print(printable(line.expandtabs(2)))
    return EXIT_USAGE


def _from_environment(error: "click.ClickException") -> str:
    """The variable that gave a wrong value, if one did: it is not in what the user typed."""
    import click
    from click.core import ParameterSource

    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None or not error.param.name:
        return ""
    if error.ctx.get_parameter_source(error.param.name) is not ParameterSource.ENVIRONMENT:
        return ""
    names = [error.param.envvar] if isinstance(error.param.envvar, str) else error.param.envvar or ()
    return f" (from ${next((name for name in names if os.environ.get(name)), '')})"


def _say(error: Exception, code: int) -> int:
    from nvtopo.model.formats.printable import printable

    line = printable(" ".join(str(error)[:_LONGEST_LINE].split()))
    _print(f"nvtopo: {line}")
    return code


def _print(line: str) -> None:
    """To standard error; where that takes nothing, the exit code says it alone."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)  # noqa: T201 - this is where users are spoken to


def _bug(error: Exception) -> int:
    """One line with the place; the whole trace goes to a file that a report can carry."""
    import tempfile
    import traceback

    what = f"a bug in nvtopo: {type(error).__name__}: {error}"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="nvtopo-bug-", suffix=".txt", delete=False) as file:
            traceback.print_exception(error, file=file)
    except OSError:  # a read-only root, as the DaemonSet has: the place at least fits into the line
        last = traceback.extract_tb(error.__traceback__)[-1]
        return _say(RuntimeError(f"{what}, at {last.name}:{last.lineno}; please report it"), EXIT_BUG)
    return _say(RuntimeError(f"{what}; please report it with {file.name}"), EXIT_BUG)


if __name__ == "__main__":
    run()
