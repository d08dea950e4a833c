"""Start-up time of ``nvtopo dump``: against the bare interpreter, its own dependencies and ``lstopo``, in one run.

Byte code is cached, as an installed package has it. The machines with GPUs are the recorded ones, asked through the
real pynvml over the C library of ``tests/nvml``, whose answers take no time: a real driver's come on top.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bench.timing import Costs, Program, ProgramFailed, interleaved, interpreter_environment
from tests.hosts.recorded import FIXTURES, IN_MEMORY
from tests.machines import sysfs_text
from tests.nvml import build

Json = dict[str, Any]

#: Of the recorded machines, the two that are usual: a rack's tray and a board of eight.
HOSTS: Final = tuple(FIXTURES / "hosts" / name for name in ("gb200-nvl72-tray", "h100-sxm-8gpu-8cx7"))

EXIT_READ: Final = 3
REPETITIONS: Final = 15

PYTHON: Final = "python -c pass"
IMPORTS: Final = "python -c 'import click, msgspec'"
FLOOR: Final = "  the same, ending as dump does"
WORKER_FLOOR: Final = "python -c 'import pynvml'"
HERE: Final = "nvtopo dump (this machine)"
LSTOPO: Final = "lstopo"

_HOW_TO_GET_LSTOPO: Final = "not installed: apt-get install -y hwloc-nox"
#: No collection, no tidying at the end (``nvtopo.__main__``): what a dump costs before a line of it runs.
_FLOOR: Final = "import gc, os; gc.disable(); import click, msgspec; os._exit(0)"
_IMPORTED: Final = """
import json, sys
from nvtopo import cli
cli.main(["dump"], standalone_mode=False)
json.dump(sorted(sys.modules), sys.stderr)
"""


def main() -> int:
    """Measure and print."""
    options = _options()
    try:
        figures = measure(options.repetitions)
    except ProgramFailed as error:
        print(f"bench/dump: {error}", file=sys.stderr)
        return EXIT_READ
    print(table(figures))
    if options.json:
        print(json.dumps(figures))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/dump", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object of the figures as the last line")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, metavar="N", help="default: %(default)s")
    options = parser.parse_args()
    if options.repetitions < 1:
        parser.error("--repetitions: expected 1 or more")
    return options


def measure(repetitions: int) -> Json:
    """All figures; times are in seconds."""
    with contextlib.ExitStack() as stack:
        library, no_library = _nvml_library()
        roots = {host: stack.enter_context(_unpacked(host)) for host in HOSTS} if library else {}
        recorded = {_dump_of(host): _recorded(host, root, str(library)) for host, root in roots.items()}
        lstopo = _lstopo()
        costs = interleaved(
            {
                PYTHON: Program((sys.executable, "-c", "pass")),
                IMPORTS: Program((sys.executable, "-c", "import click, msgspec")),
                FLOOR: Program((sys.executable, "-c", _FLOOR)),
                WORKER_FLOOR: Program((sys.executable, "-c", "import pynvml")),
                HERE: Program((*_nvtopo(), "dump")),
                **recorded,
                **({LSTOPO: Program(lstopo)} if lstopo else {}),
            },
            repetitions,
        )
    modules = _modules()
    return {
        "repetitions": repetitions,
        "python": sys.version.split()[0],
        "programs": {name: {part: _figures(costs, name, part) for part in ("wall", "cpu")} for name in costs},
        "nvmlCalls": {host.name: _nvml_calls(host, str(library)) for host in roots},
        "nvml": no_library or "C library of tests/nvml",
        "lstopo": " ".join(lstopo) or _HOW_TO_GET_LSTOPO,
        "modules": len(modules),
        "kubernetesModules": [name for name in modules if name.partition(".")[0] == "kubernetes"],
    }


def _figures(costs: Mapping[str, Costs], name: str, part: str) -> Json:
    median = costs[name].median(part)
    against = {"timesPython": PYTHON, "timesFloor": FLOOR, "timesLstopo": LSTOPO}
    return {
        "medianSeconds": median,
        "minimumSeconds": costs[name].minimum(part),
        **{key: median / costs[other].median(part) if other in costs else None for key, other in against.items()},
    }


def _nvtopo() -> tuple[str, ...]:
    """The command as users have it, else the module."""
    script = Path(sys.executable).with_name("nvtopo")
    return (str(script),) if script.exists() else (sys.executable, "-m", "nvtopo")


def _lstopo() -> tuple[str, ...]:
    """The text form of lstopo that opens no window; nothing where it is not installed."""
    plain, graphic = shutil.which("lstopo-no-graphics"), shutil.which("lstopo")
    return (plain,) if plain else (graphic, "--of", "console") if graphic else ()


def _nvml_library() -> tuple[Path | None, str]:
    """The C library, or why there is none."""
    try:
        return build.library(), ""
    except build.BuildError as error:
        return None, str(error)


@contextlib.contextmanager
def _unpacked(host: Path) -> Iterator[Path]:
    """The recorded machine's /sys and /proc as files. What could not be read there is missing here."""
    with tempfile.TemporaryDirectory(prefix="nvtopo-bench-", dir=IN_MEMORY) as folder:
        sysfs_text.unpack((host / "sys.txt").read_text(encoding="utf-8"), Path(folder))
        yield Path(folder)


def _dump_of(host: Path) -> str:
    return f"nvtopo dump ({host.name})"


def _recorded(host: Path, root: Path, library: str) -> Program:
    return Program((*_nvtopo(), "dump", "--root", str(root), "--nvml", library), _fixture(host))


def _fixture(host: Path) -> dict[str, str]:
    return {"NVTOPO_NVML_FIXTURE": str(host / "nvml.json")}


def _nvml_calls(host: Path, library: str) -> int:
    """How often the worker calls NVML for one reading."""
    with tempfile.NamedTemporaryFile("r", prefix="nvtopo-calls-", encoding="utf-8") as counts:
        worker = [sys.executable, "-m", "nvtopo.sources.nvml.worker", library]
        environment = os.environ | _fixture(host) | {"NVTOPO_NVML_CALLS": counts.name}
        subprocess.run(worker, env=environment, check=True, stdout=subprocess.DEVNULL)
        return sum(sum(json.loads(session).values()) for session in counts)


def _modules() -> list[str]:
    """What one dump of this machine has imported when it ends, the worker that asks NVML left aside."""
    run = [sys.executable, "-c", _IMPORTED]
    done = subprocess.run(run, env=interpreter_environment(), check=True, capture_output=True, text=True)
    return list(json.loads(done.stderr))


def table(figures: Json) -> str:
    """The figures for people."""
    programs: dict[str, Json] = figures["programs"]
    width = max(map(len, programs))
    head = f"{'':{width}}  {'wall ms':>15}  {'user+sys ms':>15}  {'x python':>11}  {'x floor':>11}  {'x lstopo':>11}"
    lines = [
        f"Python {figures['python']}, {figures['repetitions']} interleaved runs: median (minimum); ratios wall/cpu",
        head,
        *(f"{name:{width}}  {_row(parts)}" for name, parts in programs.items()),
        f"floor: {IMPORTS}, ending as dump does: without the interpreter's tidying",
        f"lstopo: {figures['lstopo']}",
        f"NVML: {figures['nvml']}",
        *(f"NVML calls, {host}: {calls}" for host, calls in figures["nvmlCalls"].items()),
        f"modules imported by dump: {figures['modules']}, of kubernetes: {len(figures['kubernetesModules'])}",
    ]
    return "\n".join(lines)


def _row(parts: Json) -> str:
    wall, cpu = parts["wall"], parts["cpu"]
    ratios = (_ratio(wall[key], cpu[key]) for key in ("timesPython", "timesFloor", "timesLstopo"))
    return f"{_times(wall):>15}  {_times(cpu):>15}  " + "  ".join(f"{ratio:>11}" for ratio in ratios)


def _times(part: Json) -> str:
    return f"{part['medianSeconds'] * 1e3:.1f} ({part['minimumSeconds'] * 1e3:.1f})"


def _ratio(wall: float | None, cpu: float | None) -> str:
    return "-" if wall is None or cpu is None else f"{wall:.2f}/{cpu:.2f}"


if __name__ == "__main__":
    sys.exit(main())
