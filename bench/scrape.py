"""A scrape of the agent's page with 8 GPUs of 18 links and the sampler at 1 s: time, processor, memory, driver calls.

The real agent serves recorded machines over HTTP, and asks the C library of ``tests/nvml``, whose answers take no time:
a real driver's come on top of a sample, and never on top of a scrape. Debian's node exporter is scraped in turn with
it, where it is installed.
"""

import argparse
import contextlib
import json
import math
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.exporter import Exporter, running
from bench.timing import ProgramFailed
from tests.hosts.recorded import FIXTURES, IN_MEMORY
from tests.machines import sysfs_text
from tests.nvml import build

Json = dict[str, Any]

EXIT_READ: Final = 3
SCRAPES: Final = 200
PAUSE_SECONDS: Final = 0.1
QUIET_SECONDS: Final = 10.0
TARGET_SECONDS: Final = 0.030
#: One counts in KiB and has three kinds of errors, the other has every series that there is.
MACHINES: Final = ("h100-sxm-8gpu-8cx7", "b200-nvswitch-mgmt-nics")
NODE_EXPORTER: Final = "prometheus-node-exporter"

_WARM_SECONDS: Final = 30.0
_HOW_TO_GET_NODE_EXPORTER: Final = f"not installed: apt-get install -y {NODE_EXPORTER}"
#: Called by the counters worker alone, so that its calls are told from those of the worker that ends.
_ONLY_COUNTERS: Final = "nvmlDeviceGetPowerUsage"
_BATCH: Final = "nvmlDeviceGetFieldValues"


def main() -> int:
    """Measure and print."""
    options = _options()
    try:
        figures = measure(options.scrapes, options.quiet)
    except (ProgramFailed, build.BuildError) as error:
        print(f"bench/scrape: {error}", file=sys.stderr)
        return EXIT_READ
    print(table(figures))
    if options.json:
        print(json.dumps(figures))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/scrape", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object of the figures as the last line")
    parser.add_argument("--scrapes", type=int, default=SCRAPES, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--quiet",
        type=float,
        default=QUIET_SECONDS,
        metavar="S",
        help="seconds without a scrape (default: %(default)s)",
    )
    options = parser.parse_args()
    if options.scrapes < 1:
        parser.error("--scrapes: expected 1 or more")
    return options


def measure(scrapes: int, quiet_seconds: float) -> Json:
    """All figures; times are in seconds, memory in bytes."""
    return {
        "scrapes": scrapes,
        "targetSeconds": TARGET_SECONDS,
        "nodeExporter": shutil.which(NODE_EXPORTER) or _HOW_TO_GET_NODE_EXPORTER,
        "machines": {name: _measured(name, scrapes, quiet_seconds) for name in MACHINES},
    }


def _measured(name: str, scrapes: int, quiet_seconds: float) -> Json:
    with contextlib.ExitStack() as stack:
        calls = stack.enter_context(tempfile.NamedTemporaryFile("r", prefix="nvtopo-calls-", encoding="utf-8"))
        with contextlib.ExitStack() as exporters:
            agent = exporters.enter_context(_agent(FIXTURES / "hosts" / name, Path(calls.name)))
            other = exporters.enter_context(node_exporter())
            _warm(agent)
            quiet = _quiet(agent, quiet_seconds)
            found = _in_turn({"agent": agent, **({"nodeExporter": other} if other else {})}, scrapes)
            samples = _value(agent.text(), "nvtopo_sampler_samples_total")
        return {**found, "sampling": quiet, "driver": _driver(calls.read(), samples, scrapes)}


@contextlib.contextmanager
def _agent(host: Path, calls: Path) -> Iterator[Exporter]:
    """``nvtopo agent`` on a recorded machine, without its other sinks."""
    port = free_port()
    environment = {"NVTOPO_NVML_FIXTURE": str(host / "nvml.json"), "NVTOPO_NVML_CALLS": str(calls)}
    with tempfile.TemporaryDirectory(prefix="nvtopo-bench-", dir=IN_MEMORY) as root:
        sysfs_text.unpack((host / "sys.txt").read_text(encoding="utf-8"), Path(root))
        machine = ("--root", root, "--nvml", str(build.library()))
        sinks = ("--no-features", "--no-resource", "--listen", f"127.0.0.1:{port}")
        with running((sys.executable, "-m", "nvtopo", "agent", *sinks, *machine), port, environment) as exporter:
            yield exporter


@contextlib.contextmanager
def node_exporter() -> Iterator[Exporter | None]:
    """Debian's, running; None where it is not installed."""
    program = shutil.which(NODE_EXPORTER)
    if program is None:
        yield None
        return
    port = free_port()
    with running((program, f"--web.listen-address=127.0.0.1:{port}"), port, {}) as exporter:
        yield exporter


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _warm(agent: Exporter) -> None:
    """Until every series is there: utilisation needs two samples."""
    deadline = time.monotonic() + _WARM_SECONDS
    while "nvtopo_nvlink_transmit_utilisation_ratio{" not in agent.text():
        if time.monotonic() > deadline:
            raise ProgramFailed(f"agent: no utilisation of links after {_WARM_SECONDS:g} s")
        time.sleep(PAUSE_SECONDS)


def _quiet(agent: Exporter, seconds: float) -> Json:
    """What sampling costs while nobody scrapes, as shares of one core."""
    began, before, child_before = time.monotonic(), agent.use(), agent.children_use()
    time.sleep(seconds)
    passed, after, child = time.monotonic() - began, agent.use(), agent.children_use()
    return {
        "agentCpuShare": (after.cpu_seconds - before.cpu_seconds) / passed,
        "workerCpuShare": (child.cpu_seconds - child_before.cpu_seconds) / passed,
        "agentPssBytes": after.pss_bytes,
        "workerPssBytes": child.pss_bytes,
    }


def _in_turn(exporters: dict[str, Exporter], scrapes: int) -> Json:
    """Each exporter once in each round, so that what else the machine does meets them alike."""
    times: dict[str, list[float]] = {name: [] for name in exporters}
    before = {name: exporter.use() for name, exporter in exporters.items()}
    for _ in range(scrapes):
        for name, exporter in exporters.items():
            times[name].append(exporter.timed())
            time.sleep(PAUSE_SECONDS / len(exporters))
    return {
        name: _figures(exporter, times[name], exporter.use().cpu_seconds - before[name].cpu_seconds)
        for name, exporter in exporters.items()
    }


def _figures(exporter: Exporter, times: list[float], cpu_seconds: float) -> Json:
    text = exporter.text()
    return {
        "series": sum(not line.startswith("#") for line in text.splitlines()),
        "pageBytes": len(text),
        "medianSeconds": statistics.median(times),
        "p99Seconds": _percentile(times, 0.99),
        "maximumSeconds": max(times),
        "cpuSecondsPerScrape": cpu_seconds / len(times),
        "pssBytes": exporter.use().pss_bytes,
    }


def _percentile(times: list[float], share: float) -> float:
    """The smallest time that is not exceeded by that share."""
    return sorted(times)[math.ceil(share * len(times)) - 1]


def _value(text: str, name: str) -> float:
    return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def _driver(sessions: str, samples: float, scrapes: int) -> Json:
    """Calls of the counters worker, which starts with two batches a GPU."""
    counted = [json.loads(line) for line in sessions.splitlines()]
    calls = next(session for session in counted if _ONLY_COUNTERS in session)
    gpus = calls["nvmlDeviceGetHandleByIndex_v2"]
    return {
        "samples": samples,
        "batchesPerGpuAndSample": (calls[_BATCH] - 2 * gpus) / gpus / samples,
        "callsPerSample": sum(calls.values()) / samples,
        "callsPerScrape": sum(calls.values()) / scrapes,
    }


def table(figures: Json) -> str:
    """The figures for people."""
    lines = [f"{figures['scrapes']} scrapes of each in turn, {PAUSE_SECONDS:g} s apart; sampler at 1 s"]
    for machine, found in figures["machines"].items():
        lines += [
            f"\n{machine}",
            f"  {'':14}{'series':>8}{'KB':>8}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'cpu ms':>9}{'PSS MB':>9}",
        ]
        names = [name for name in ("agent", "nodeExporter") if name in found]
        lines += [f"  {name:14}{_row(found[name])}" for name in names]
        if "nodeExporter" in found:
            lines.append(f"  {'agent/node':14}{_ratios(found['agent'], found['nodeExporter'])}")
        lines += _sampling(found)
    met = all(found["agent"]["p99Seconds"] <= TARGET_SECONDS for found in figures["machines"].values())
    lines.append(f"\np99 of at most {TARGET_SECONDS * 1e3:g} ms: {'met' if met else 'NOT met'}")
    return "\n".join([*lines, f"node exporter: {figures['nodeExporter']}"])


def _row(part: Json) -> str:
    times = (part[key] * 1e3 for key in ("medianSeconds", "p99Seconds", "maximumSeconds", "cpuSecondsPerScrape"))
    return (
        f"{part['series']:8}{part['pageBytes'] / 1e3:8.0f}"
        + "".join(f"{milliseconds:9.1f}" for milliseconds in times)
        + f"{part['pssBytes'] / 1e6:9.1f}"
    )


def _ratios(part: Json, other: Json) -> str:
    keys = ("medianSeconds", "p99Seconds", "maximumSeconds", "cpuSecondsPerScrape", "pssBytes")
    sizes = (f"{part[key] / other[key]:8.2f}" for key in ("series", "pageBytes"))
    return "".join((*sizes, *(f"{part[key] / other[key]:9.2f}" for key in keys)))


def _sampling(found: Json) -> list[str]:
    sampling, driver = found["sampling"], found["driver"]
    shares = f"agent {sampling['agentCpuShare']:.2%} and worker {sampling['workerCpuShare']:.2%} of a core"
    memory = f"PSS {sampling['agentPssBytes'] / 1e6:.1f} MB and {sampling['workerPssBytes'] / 1e6:.1f} MB"
    batches = f"{driver['batchesPerGpuAndSample']:.2f} batched calls a GPU and sample"
    calls = f"{driver['callsPerSample']:.1f} calls a sample, {driver['callsPerScrape']:.2f} a scrape"
    return [f"  sampling: {shares}; {memory}", f"  driver: {batches}, {calls}"]


if __name__ == "__main__":
    sys.exit(main())
