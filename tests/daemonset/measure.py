"""What the resource requests in `daemonset/` rest on: `python -m tests.daemonset.measure [NODES]`.

One real agent on the recorded machine of 8 GPUs with 18 NVLinks each (the real pynvml, our NVML library), scraped every
15 s, and one real aggregator that follows NODES NodeTopologies; both against a real API server.
"""

import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from nvtopo.kube.v1alpha1 import API_VERSION, KIND
from tests.daemonset import shipped
from tests.kube.machines import hgx
from tests.lab import build, kube
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child, free_port
from tests.machines import sysfs_text
from tests.nvml import build as nvml

HOST: Final = Path(__file__).resolve().parents[2] / "fixtures/hosts/h100-sxm-8gpu-8cx7"
SECONDS: Final = 180
SCRAPE_SECONDS: Final = 15
_NEEDED: Final = ("Namespace", "CustomResourceDefinition", "ServiceAccount")
_LOOK_SECONDS: Final = 0.02
_QUIET_CPU_SECONDS: Final = 0.1
_MIB: Final = 1 << 20


class Watched:
    """Memory and CPU of a process and its children, looked at often enough to see a worker of 0.2 s."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._began = time.monotonic()
        self._cpu_before = self._cpu()
        self.peak = 0

    def look(self) -> None:
        """Take the sum of the unique and shared-by-share memory (PSS) of all its processes."""
        self.peak = max(self.peak, sum(_pss(process) for process in self._all()))

    def say(self, what: str) -> None:
        """One line."""
        cores = (self._cpu() - self._cpu_before) / (time.monotonic() - self._began)
        now = _pss(self._process)
        memory = f"PSS {now / _MIB:.0f} MiB now, {self.peak / _MIB:.0f} MiB at most"
        sys.stdout.write(f"{what}: {memory}; {cores * 1000:.1f} mCPU\n")

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _cpu(self) -> float:
        return sum(self._process.cpu_times()[:4])


def main() -> None:
    """Print three lines."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    binaries = build.ensure(build.say)
    with tempfile.TemporaryDirectory() as folder, ControlPlane(binaries, Path(folder)) as plane:
        api = plane.api()
        for document in shipped.base():
            if (
                document["kind"] in ("Namespace", "CustomResourceDefinition", "ServiceAccount")
                or "Role" in document["kind"]
            ):
                api.apply(document)
        kube.create_node(api, "measured")
        _agent(plane, Path(folder))
        _fill(api, nodes)
        _aggregator(plane, Path(folder), nodes)


def _agent(plane: ControlPlane, folder: Path) -> None:
    root = folder / "root"
    root.mkdir()
    (folder / "features.d").mkdir()
    sysfs_text.unpack((HOST / "sys.txt").read_text(encoding="utf-8"), root)
    arguments = ("--root", str(root), "--nvml", str(nvml.library()), "--features-dir", str(folder / "features.d"))
    token = plane.service_account_token("nvtopo", "nvtopo-agent")
    environment = {"NVTOPO_NVML_FIXTURE": str(HOST / "nvml.json"), "NODE_NAME": "measured"}
    with _running("agent", plane, folder, token, arguments, environment) as (watched, url):
        end, scrape = time.monotonic() + SECONDS, 0.0
        while time.monotonic() < end:
            if time.monotonic() >= scrape:
                _get(f"{url}/metrics")
                scrape = time.monotonic() + SCRAPE_SECONDS
            watched.look()
            time.sleep(_LOOK_SECONDS)
        watched.say(f"agent, {SECONDS} s, a pass a minute, a scrape every {SCRAPE_SECONDS} s")


def _aggregator(plane: ControlPlane, folder: Path, nodes: int) -> None:
    token = plane.service_account_token("nvtopo", "nvtopo-aggregator")
    with _running("aggregator", plane, folder, token, (), {}) as (watched, url):
        _get(f"{url}/v1/graph")
        watched.look()
        watched.say(f"aggregator, {nodes} nodes, start and first graph")
    with _running("aggregator", plane, folder, token, (), {}) as (watched, url):
        kube.wait_for(lambda: _settled(watched), what="a quiet aggregator", seconds=300, interval=5)
        calm = Watched(watched._process.pid)
        for _ in range(SECONDS // SCRAPE_SECONDS):
            _get(f"{url}/metrics")
            calm.look()
            time.sleep(SCRAPE_SECONDS)
        calm.say(f"aggregator, {nodes} nodes, {SECONDS} s at rest, a scrape every {SCRAPE_SECONDS} s")


def _settled(watched: Watched) -> bool:
    before = watched._cpu()
    time.sleep(2)
    return watched._cpu() - before < _QUIET_CPU_SECONDS


@contextmanager
def _running(  # noqa: PLR0913, PLR0917 - what differs between two programs
    verb: str, plane: ControlPlane, folder: Path, token: str, arguments: tuple[str, ...], environment: dict[str, str]
) -> Iterator[tuple[Watched, str]]:
    """The program, ready; where it listens."""
    address = f"127.0.0.1:{free_port()}"
    argv = (sys.executable, "-m", "nvtopo", verb, "--kubeconfig", str(plane.kubeconfig(token)), "--listen", address)
    paths = os.pathsep.join(path for path in sys.path if path)
    child = Child(
        verb, (*argv, *arguments), log=folder / f"{verb}.log", environment={"PYTHONPATH": paths, **environment}
    )
    try:
        watched = Watched(child.pid)
        kube.wait_for(lambda: _ready(child, watched, address), what=f"{verb} ready", seconds=120)
        yield watched, f"http://{address}"
    finally:
        child.stop()


def _ready(child: Child, watched: Watched, address: str) -> bool:
    child.check()
    watched.look()
    try:
        return bool(_get(f"http://{address}/readyz"))
    except OSError:
        return False


def _fill(api: kube.Api, nodes: int) -> None:
    spec = shipped.plain(hgx())

    def write(number: int) -> None:
        api.apply({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": f"n{number:05}"}, "spec": spec})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(nodes)))


def _get(url: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60) as response:
        content: bytes = response.read()
        return content


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


if __name__ == "__main__":
    main()
