"""What is throttled to a tenth of a CPU goes on more slowly, takes nothing back, harms nobody, and recovers.

The agent, the aggregator, and the kubelet that the agent asks which pods hold GPUs.
"""

import contextlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from nvtopo.agent.parts.pods import INTERVAL_SECONDS
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.sources.capture import read_capture
from nvtopo.sources.kubelet.pod_resources import SOCKET
from tests.agent.test_shutdown import kubeconfig
from tests.chaos.throttle import throttled
from tests.faults.node import HOST, Agent, Node
from tests.kube.fake_api_server import FakeApiServer
from tests.lab import kube
from tests.lab.process import Child, free_port

_PASSES: Final = 3
_PATIENCE_SECONDS: Final = 60.0
#: Of the kubelet's probes, as the manifests have it.
_PROBE_SECONDS: Final = 5
_NODES: Final = 20
_HELD: Final = "nvtopo_pod_gpu_info"


class Starved(NamedTuple):
    """What came of it."""

    seen_seconds: float
    """Until the slow one saw a change, or its client a pass."""
    kept: bool
    """Whether what was known before was said all the time."""
    alive: bool
    """Whether the kubelet would have let it live."""
    recovered_seconds: float
    """After the end of the throttling, until all was as before."""

    @property
    def well(self) -> bool:
        """Whether it is as it should be."""
        return self.kept and self.alive


def agent(folder: Path) -> Starved:
    """An agent that is throttled for some passes."""
    with Node(folder) as node:
        running = _well(node)
        before, kept, alive, began = node.labels(), True, True, time.monotonic()
        with throttled(running.child.pid):
            for _ in range(_PASSES):
                _pass(running)
                kept &= node.labels() == before
                alive &= running.alive()
        return Starved((time.monotonic() - began) / _PASSES, kept, alive, _labels_again(running, node, before))


def kubelet(folder: Path) -> Starved:
    """A kubelet that answers slowly: the agent goes on as before, and says of pods what is right, or nothing."""
    with Node(folder) as node, contextlib.ExitStack() as stack:
        gpus = json.loads((HOST / "nvml.json").read_text(encoding="utf-8"))["gpus"][:2]
        uuids = [gpu["uuid"] for gpu in gpus]
        where = node.root / SOCKET[1:]
        where.unlink()  # the recorded answer
        child = Child(
            "kubelet",
            (sys.executable, "-m", "tests.chaos.kubelet", str(where), *uuids),
            log=folder / "kubelet.log",
            environment=_path(),
        )
        stack.callback(child.stop)
        kube.wait_for(where.is_socket, what="the kubelet's socket", seconds=60)
        running = _well(node)
        running.eventually(lambda: _holders(running) == set(uuids), "what the pod holds", _PATIENCE_SECONDS)
        before, kept, alive, began = node.labels(), True, True, time.monotonic()
        passes = 0
        with throttled(child.pid):
            while passes < _PASSES or time.monotonic() - began < 2 * INTERVAL_SECONDS:  # it is asked in each
                _pass(running)
                passes += 1
                kept &= node.labels() == before and _holders(running) in (set(uuids), set())
                alive &= running.alive() and running.ready()
        seen = (time.monotonic() - began) / passes
        ended = time.monotonic()
        running.eventually(lambda: _holders(running) == set(uuids), "what the pod holds, again", _PATIENCE_SECONDS)
        return Starved(seen, kept, alive, time.monotonic() - ended)


def aggregator(folder: Path) -> Starved:
    """An aggregator that hears late of a node: it stays alive, answers with the graph that it has, and leads on."""
    specs = [
        _of(number, msgspec.to_builtins(assemble(read_capture(HOST / "capture.json")))) for number in range(_NODES)
    ]
    problem = {"source": "nvml", "subject": "driver", "reason": "Unknown Error"}
    url = f"http://127.0.0.1:{free_port()}"
    with FakeApiServer() as api, contextlib.ExitStack() as stack:
        words = ("aggregator", "--kubeconfig", str(kubeconfig(folder, api.url)), "--listen", url[7:], "--no-events")
        child = Child(
            "aggregator",
            (sys.executable, "-m", "nvtopo", *words, "--stale-after", "1e6"),
            log=folder / "aggregator.log",
            environment=_path(),
        )
        stack.callback(child.stop)

        def write(*problems: Mapping[str, str]) -> None:
            """By all agents at once."""
            for number, spec in enumerate(specs):
                api.put(f"node-{number:02}", {**spec, "problems": list(problems)})

        def troubled() -> int | None:
            """Nodes with a problem; None if not all nodes are there."""
            child.check()
            graph = _asked(f"{url}/v1/graph", _PATIENCE_SECONDS)
            nodes = graph["nodes"] if graph is not None and len(graph["nodes"]) == _NODES else None
            return None if nodes is None else sum(bool(node["problems"]) for node in nodes.values())

        write()
        _until(lambda: troubled() == 0, "a graph of all nodes that are well")
        kept, alive, began = True, True, time.monotonic()
        with throttled(child.pid):
            for changed, problems in ((_NODES, [problem]), (0, [])) * _PASSES:
                write(*problems)
                asked = time.monotonic()
                while (found := troubled()) != changed:
                    kept &= found is not None
                    _late(asked, "the changes in the graph")
                alive &= _asked(f"{url}/healthz", _PROBE_SECONDS) is not None
        seen, ended = (time.monotonic() - began) / (2 * _PASSES), time.monotonic()
        _until(lambda: troubled() == 0 and _leads(api, child), "a graph that is well, by the leader")
        return Starved(seen, kept, alive, time.monotonic() - ended)


FAULTS: Final[Mapping[str, Callable[[Path], Starved]]] = {
    "agent-throttled": agent,
    "kubelet-throttled": kubelet,
    "aggregator-throttled": aggregator,
}


def _of(number: int, spec: Any) -> Any:
    """The same machine with GPUs of its own."""
    found = json.loads(json.dumps(spec))
    for gpu in found["gpus"]:
        gpu["uuid"] = f"{gpu['uuid'][:-2]}{number:02}"
    return found


def _well(node: Node) -> Agent:
    node.install_driver()
    node.driver_is_like()
    running = node.start()
    running.eventually(lambda: node.labels().get("ready") == "true" and running.ready(), "an agent that is well")
    return running


def _pass(running: Agent) -> None:
    at = _at(running)
    running.eventually(lambda: _at(running) > at, "a pass", _PATIENCE_SECONDS)


def _at(running: Agent) -> float:
    return running.value("nvtopo_observation_timestamp_seconds") or 0.0


def _labels_again(running: Agent, node: Node, before: Mapping[str, str]) -> float:
    ended = time.monotonic()
    running.eventually(lambda: running.ready() and node.labels() == before, "an agent that is well again")
    return time.monotonic() - ended


def _holders(running: Agent) -> set[str]:
    return {labels["UUID"] for labels, _ in running.page().get(_HELD, ())}


def _leads(api: FakeApiServer, child: Child) -> bool:
    with api.changed:
        holder = str((api.lease or {"spec": {}})["spec"].get("holderIdentity") or "")
    return holder.endswith(f"-{child.pid}")


def _asked(url: str, seconds: float) -> Any:
    """What it answers; an empty answer is a text; None if it answers nothing good in time."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310 - our own URL
            text = answer.read()
    except OSError:
        return None
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text.decode()


def _until(holds: Callable[[], bool], what: str) -> None:
    began = time.monotonic()
    while not holds():
        _late(began, what)
        time.sleep(0.05)


def _late(began: float, what: str) -> None:
    if time.monotonic() - began > _PATIENCE_SECONDS:
        raise TimeoutError(f"{what}: not within {_PATIENCE_SECONDS:g} s")


def _path() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
