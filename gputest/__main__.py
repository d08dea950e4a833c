"""``python -m gputest``: run everything on this machine, compare, and write report and capture (docs/gpu-test.md)."""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

import nvtopo
from gputest.compare import nvlink, query, topo
from gputest.gather import CAPTURE, DEFAULT, Gathered, Machine, Times, gather, probe_driver
from gputest.judge import judge
from gputest.report import Report, driver_calls, steps, summary, text
from gputest.rows import Row
from gputest.scrub import Scrubber
from nvtopo.errors import NvtopoError
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.capture import read_capture
from nvtopo.sources.nvml.topology import library_present

EXIT_DIFFERS: Final = 1
EXIT_CANNOT_WRITE: Final = 3
EXIT_NO_DRIVER: Final = 4
_MODULE: Final = "proc/driver/nvidia/version"


def main() -> int:
    """The test; its exit code."""
    options = _options()
    machine = Machine(options.root, options.nvml, options.nvidia_smi)
    absent = _absent(machine, options.deadline)
    if absent:
        print(f"no NVIDIA driver here: {absent}")  # noqa: T201 - a command
        return EXIT_NO_DRIVER
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gputest-") as name:
        gathered = gather(machine, Path(name), Times(options.deadline), _say)
        snapshot = _captured(gathered, Path(name) / "capture.json")
    report = _report(gathered, snapshot, judge(gathered, snapshot), time.monotonic() - began)
    try:
        directory = Path(options.out or tempfile.mkdtemp(prefix="nvtopo-gpu-test-"))
        shown = write(directory, report, gathered, snapshot)
    except OSError as error:
        print(f"gputest: {error.filename}: {error.strerror}: expected a directory to write to", file=sys.stderr)  # noqa: T201 - as above
        return EXIT_CANNOT_WRITE
    print(shown + f"\nreport and capture: {directory}")  # noqa: T201 - as above
    return EXIT_DIFFERS if report.differing else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m gputest", description=__doc__)
    parser.add_argument("--out", metavar="DIR", help="directory for the report; by default a new one, which is printed")
    parser.add_argument("--root", default="/", metavar="DIR", help="directory that holds sys and proc")
    parser.add_argument("--nvml", default=Machine().library, metavar="LIBRARY", help="NVML library to load")
    parser.add_argument("--nvidia-smi", default=Machine().smi, metavar="PROGRAM", help="the nvidia-smi to run")
    parser.add_argument(
        "--deadline",
        type=float,
        default=DEFAULT.program,
        metavar="SECONDS",
        help="for one program; the whole takes at most nine times as long (default: 30)",
    )
    return parser.parse_args()


def _say(name: str) -> None:
    print(f"gputest: {name}", file=sys.stderr)  # noqa: T201 - a command


def _absent(machine: Machine, seconds: float) -> str:
    """Why there is no driver; empty where there is one. A library alone is none: its kernel module must answer."""
    if not library_present(machine.library):
        return f"{machine.library} is not found"
    if (Path(machine.root) / _MODULE).exists():
        return ""
    probe = probe_driver(machine, seconds)
    return "" if probe.ok else probe.reason


def _captured(gathered: Gathered, path: Path) -> Snapshot | None:
    try:
        return read_capture(path) if gathered.outputs[CAPTURE].ok else None
    except NvtopoError:
        return None


def _report(gathered: Gathered, snapshot: Snapshot | None, rows: tuple[Row, ...], seconds: float) -> Report:
    facts = snapshot.nvml if snapshot else None
    return Report(
        nvtopo=nvtopo.__version__,
        driver=facts.driver_version if facts else None,
        gpus=tuple(gpu.name for gpu in facts.gpus) if facts else (),
        seconds=round(seconds, 1),
        summary=summary(rows),
        steps=steps(gathered),
        scrape=gathered.agent.cost,
        driver_calls=driver_calls(gathered),
        rows=rows,
    )


def write(directory: Path, report: Report, gathered: Gathered, snapshot: Snapshot | None) -> str:
    """All files, scrubbed; returns the report as text, which may be shown.

    Raises:
        OSError: the directory can't be written.
    """
    scrubber = Scrubber(snapshot)
    outputs = directory / "outputs"
    outputs.mkdir(parents=True, exist_ok=True)
    shown = scrubber.text(text(report))
    (directory / "report.txt").write_text(shown, encoding="utf-8")
    document = msgspec.json.format(msgspec.json.encode(report), indent=1).decode()
    (directory / "report.json").write_text(scrubber.text(document) + "\n", encoding="utf-8")
    if snapshot is not None:
        (directory / "capture.json").write_bytes(scrubber.capture(replace(snapshot)))
    kept = {name: output.text for name, output in gathered.outputs.items() if _is_kept(name)}
    kept |= {"nvtopo agent features": gathered.agent.features, "nvtopo agent metrics": gathered.agent.page}
    for name, content in kept.items():
        if content:
            file = outputs / (re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") + ".txt")
            file.write_text(scrubber.text(content.decode("utf-8", "replace")), encoding="utf-8")
    return shown


def _is_kept(name: str) -> bool:
    return name.startswith("nvtopo dump") or name in (topo.TOOL, query.TOOL, nvlink.STATES, nvlink.ENDS)


if __name__ == "__main__":
    sys.exit(main())
