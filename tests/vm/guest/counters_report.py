"""What nvtopo and iproute2's ``rdma`` say of every device's counters, resources and queue pairs, as JSON."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from nvtopo.agent import observe
from nvtopo.agent.parts import pause, rdma
from nvtopo.sinks.metrics.series import text, together
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.rdma.counters import CounterReader
from nvtopo.sources.rdma.netlink_rdma import RdmaNetlink
from nvtopo.sources.sysfs import SysfsRoot

_CLASS: Final = Path("/sys/class/infiniband")
_SECONDS: Final = 30.0


def main() -> None:
    """Print the report while a queue pair of a program waits for its other side, after another pair has talked."""
    device = sys.argv[1]
    _talk(device)
    with subprocess.Popen(("ibv_rc_pingpong", "-d", device, "-g", "1"), stdout=subprocess.DEVNULL) as waiting:
        try:
            _wait_for_queue_pair(device)
            json.dump(_report(), sys.stdout)
        finally:
            waiting.kill()


class _Failed(Exception):
    """The guest could not be brought to where it can report."""


def _talk(device: str) -> None:
    """A hundred messages there and back, which the device counts."""
    command = ("ibv_rc_pingpong", "-d", device, "-g", "1", "-n", "100", "-p", "18516")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + _SECONDS
            while (client := _run(*command, "127.0.0.1")).returncode:
                if time.monotonic() > deadline or server.poll() is not None:
                    raise _Failed(f"{client.stdout}{client.stderr}")
                time.sleep(0.1)
        finally:
            server.kill()


def _wait_for_queue_pair(device: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not any(pair["ifname"] == device and "pid" in pair for pair in _rdma("resource", "show", "qp")):
        if time.monotonic() > deadline:
            raise _Failed("no queue pair")
        time.sleep(0.1)


def _report() -> dict[str, Any]:
    with RdmaNetlink(5.0) as kernel:
        devices = kernel.devices()
        queue_pairs = {
            device.name: [[*kind, count] for kind, count in sorted(kernel.queue_pairs(device.number).items())]
            for device in devices
        }
        bound = {device.name: len(kernel.bound_counters(device.number)) for device in devices}
    reader = CounterReader(SysfsRoot(), traffic=True)
    return {
        "readings": msgspec.to_builtins([reader.read(path.name, [1, 2]) for path in sorted(_CLASS.iterdir())]),
        "files": {
            path.name: sorted(file.name for file in path.glob("ports/1/hw_counters/*")) for path in _CLASS.iterdir()
        },
        "resources": {device.name: device.resources for device in devices},
        "queuePairs": queue_pairs,
        "page": _page(),
        "bound": bound,
        "rdma": {
            "statistic": _rdma("statistic"),
            "resource": _rdma("resource"),
            "queuePairs": _rdma("resource", "show", "qp"),
        },
    }


def _page() -> str:
    """The part of the agent's metrics page that is RDMA."""
    observation = observe(Machine(root=SysfsRoot(), nvml=NoNvml()))
    options = rdma.RdmaOptions(queue_pairs=True)
    parts = rdma.part(SysfsRoot(), lambda: observation, options), pause.part(SysfsRoot(), lambda: observation)
    return text(together(parts))


def _rdma(*arguments: str) -> Any:
    return json.loads(_run("rdma", "-j", *arguments).stdout or "[]")


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=_SECONDS)


if __name__ == "__main__":
    main()
