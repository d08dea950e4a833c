"""What the aggregator costs beside a real API server that holds ten thousand NodeTopologies.

It starts a control plane of its own on loopback, fills it with GB200 trays and HGX boards as recorded machines have
them, half each, and measures in one run:

``list``   a bare HTTP list of the collection, page by page, whose bytes nobody reads;
``sync``   from the first request of the same list to the complete graph, in turn with it;
``heard``  from the receipt of a node's change, off the watch, to the bytes at each of the subscribers.
"""

import argparse
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from bench import served
from bench.aggregator import with_link_down
from bench.timing import ProgramFailed
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.server import GraphServer
from nvtopo.cluster.events import Applied, Event
from nvtopo.kube import v1alpha1
from nvtopo.kube.client import Client, connect
from nvtopo.kube.store import KubeStore
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.spec import compact
from nvtopo.runtime.gc_tuning import freeze_settled, freeze_startup
from nvtopo.runtime.switching import switch_often
from nvtopo.sources.capture import parse_capture
from tests.cluster import machines

Json = dict[str, Any]

NODES: Final = 10_000
ROUNDS: Final = 3
_ROOT: Final = Path(__file__).resolve().parents[1]
_TRAY: Final = _ROOT / "fixtures/hosts/gb200-nvl72-tray/capture.json"
_BOARD: Final = _ROOT / "fixtures/hosts/h100-sxm-8gpu-8cx7/capture.json"
_WRITERS: Final = 8
_MERGE: Final = "application/merge-patch+json"


class Synced(NamedTuple):
    """Seconds, medians of all rounds."""

    bytes: int
    bare: float
    sync: float
    ratio: float
    """The median of the rounds' own ratios."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="bench/api_server", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print all figures as one JSON object, as the last line")
    parser.add_argument("--nodes", type=int, default=NODES, metavar="N", help="NodeTopologies")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="lists and syncs, in turn")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long subscribers listen")
    parser.add_argument("--rate", type=int, default=served.RATE, metavar="N", help="changes a second that they hear")
    parser.add_argument("--subscribers", type=int, default=served.SUBSCRIBERS, metavar="N", help="how many listen")
    options = parser.parse_args()
    from tests.lab import build
    from tests.lab.control_plane import ControlPlane

    plan = served.Plan(options.nodes, options.seconds, options.rate, options.subscribers)
    with (
        tempfile.TemporaryDirectory(prefix="nvtopo-bench-") as directory,
        ControlPlane(build.ensure(build.say), Path(directory)) as plane,
    ):
        config = str(plane.admin_kubeconfig)
        filled = _fill(plane.admin_kubeconfig, plan.nodes)
        synced = Synced(**_child("sync", config, str(options.rounds)))
        print(f"{plan.nodes} NodeTopologies with {filled} GPUs, {synced.bytes / 1e6:.1f} MB in a list")
        print(f"bare list {synced.bare:.2f} s, sync {synced.sync:.2f} s: {synced.ratio:.2f} times")
        heard = _heard(config, plan) if plan.seconds else None
        if heard is not None:
            milliseconds = [f"{seconds * 1e3:.1f}" for seconds in heard[:3]]
            print(f"{plan.subscribers} subscribers, {plan.rate} changes a second, {heard.changes} times:", end=" ")
            print("heard after {} ms, p99 {} ms, longest {} ms".format(*milliseconds))
    if options.json:
        figures = {"nodes": plan.nodes, "gpus": filled, "sync": synced._asdict()}
        print(json.dumps(figures | {"heard": heard and heard._asdict()}))
    return 0


def fleet(size: int) -> Iterator[tuple[str, NodeTopology]]:
    """Trays and boards in turn: recorded facts, with places and UUIDs of their own."""
    recorded, board = (assemble(parse_capture(path.read_bytes(), path.name)) for path in (_TRAY, _BOARD))
    for number in range(size):
        index = number // 2
        if number % 2:
            gpus = tuple(replace(gpu, uuid=f"{gpu.uuid[:-6]}{index:06x}") for gpu in board.gpus)
            yield f"hgx-{index:05}", replace(board, gpus=gpus)
        else:
            placed = machines.tray(index // machines.TRAYS + 1, index % machines.TRAYS).gpus
            both = zip(recorded.gpus, placed, strict=True)
            gpus = tuple(replace(a, uuid=b.uuid, fabric=b.fabric, platform=b.platform) for a, b in both)
            yield tray_name(index), replace(recorded, gpus=gpus)


def tray_name(index: int) -> str:
    """Of the tray with this number."""
    return f"tray-{index:05}"


def _fill(kubeconfig: Path, nodes: int) -> int:
    """Creates the objects; how many GPUs they have."""
    from tests.lab import kube

    with connect(kubeconfig) as client, ThreadPoolExecutor(_WRITERS) as pool:
        crd = v1alpha1_crd()
        client.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        kube.wait_for(lambda: _listed(client), what="the collection of NodeTopologies")

        def create(entry: tuple[str, NodeTopology]) -> None:
            client.create(v1alpha1.COLLECTION, document(*entry))

        made = list(fleet(nodes))
        gpus = sum(len(topology.gpus) for _, topology in made)
        list(pool.map(create, made))
    return gpus


def v1alpha1_crd() -> bytes:
    """The definition as it is shipped."""
    import yaml

    text = (_ROOT / "daemonset/crd.yaml").read_text(encoding="utf-8")
    return msgspec.json.encode(yaml.safe_load(text))


def _listed(client: Client) -> bool:
    from nvtopo.errors import ApiError

    try:
        client.get(v1alpha1.COLLECTION)
    except ApiError:
        return False
    return True


def document(name: str, topology: NodeTopology) -> bytes:
    """An object as an agent's, without an owner: there is no Node here that it could go with."""
    head = {"apiVersion": v1alpha1.API_VERSION, "kind": v1alpha1.KIND, "metadata": {"name": name}}
    return msgspec.json.encode(head | {"spec": compact(topology)})


def _child(*arguments: str) -> Json:
    done = subprocess.run(
        [sys.executable, "-m", "bench.api_server", "--child", *arguments], stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise ProgramFailed(f"bench/api_server: {arguments[0]} ended with {done.returncode}")
    found: Json = json.loads(done.stdout.splitlines()[-1])
    return found


def _sync(kubeconfig: str, rounds: str) -> None:
    """Bare lists and syncs, in turn, after one of each that does not count."""
    logging.getLogger("nvtopo").addHandler(logging.NullHandler())
    taken = list[tuple[float, float]]()
    size = 0
    for _ in range(int(rounds) + 1):
        began = time.monotonic()
        with connect(Path(kubeconfig)) as client:
            size = sum(_bare(client))
        between = time.monotonic()
        _synced(Path(kubeconfig))
        taken.append((between - began, time.monotonic() - between))
    counted = taken[1:]
    bare, sync = (statistics.median(one) for one in zip(*counted, strict=True))
    ratio = statistics.median(sync / bare for bare, sync in counted)
    served.say(Synced(size, bare, sync, ratio)._asdict())


def _bare(client: Client) -> Iterator[int]:
    """The size of each page of the same list, of which only the mark of the next page is looked for."""
    query = {"limit": str(500)}
    while True:
        body = client.request("GET", v1alpha1.COLLECTION, query=query).body
        yield len(body)
        mark = body.rfind(b'"continue":"')  # the list's metadata stand before its items or after them
        token = body[mark + 12 : mark + 4096].partition(b'"')[0].decode() if mark >= 0 else ""
        if not token:
            return
        query["continue"] = token


def _synced(kubeconfig: Path) -> None:
    """Until the graph of the whole list is there."""
    stop = threading.Event()
    with connect(kubeconfig) as client, switch_often():
        store = KubeStore(client, coming=lambda nodes: aggregator.coming(nodes))  # noqa: PLW0108 - made below
        aggregator = Aggregator(store, settle=freeze_settled)
        loop = threading.Thread(target=aggregator.run, args=(stop,))
        loop.start()
        graph = aggregator.wait(0, 600)
        stop.set()
        if graph is None:
            raise ProgramFailed("bench/api_server: no graph in ten minutes")
    loop.join()


class _Stamped:
    """A store that says when each change came off the watch."""

    def __init__(self, store: KubeStore) -> None:
        self._store = store
        self.received: list[tuple[str, int]] = []

    def events(self, stop: threading.Event) -> Iterator[Event]:
        """Those of the store."""
        for event in self._store.events(stop):
            if isinstance(event, Applied):
                self.received.append((event.name, time.monotonic_ns()))
            yield event


def _serve(kubeconfig: str) -> None:
    """An aggregator with its API; it says what it received once its standard input has a line."""
    logging.getLogger("nvtopo").addHandler(logging.NullHandler())
    stop = threading.Event()
    with connect(Path(kubeconfig)) as client, switch_often():
        store = _Stamped(KubeStore(client))
        aggregator = Aggregator(store, settle=freeze_settled)
        with GraphServer(aggregator) as server:
            loop = threading.Thread(target=aggregator.run, args=(stop,))
            loop.start()
            aggregator.wait(0)
            freeze_startup()
            served.say({"port": server.port})
            sys.stdin.readline()
            served.say({"received": store.received})
            stop.set()
    loop.join()


def _change(kubeconfig: str, nodes: str, seconds: str, rate: str) -> None:
    """Links of trays that fall and rise, one tray after the other, at that rate."""
    trays = [entry for entry in fleet(int(nodes)) if entry[0].startswith("tray")]
    each = [
        (name, [msgspec.json.encode({"spec": compact(one)}) for one in (with_link_down(tray), tray)])
        for name, tray in trays
    ]
    with connect(Path(kubeconfig)) as client, ThreadPoolExecutor(_WRITERS) as pool:
        begin = time.monotonic()
        for number in range(int(float(rate) * float(seconds))):
            time.sleep(max(0.0, begin + number / float(rate) - time.monotonic()))
            name, bodies = each[number % len(each)]
            body = bodies[number // len(each) % 2]
            pool.submit(client.request, "PATCH", v1alpha1.path(name), body=body, content_type=_MERGE)
    served.say({"seconds": time.monotonic() - begin})


def _heard(kubeconfig: str, plan: served.Plan) -> served.Heard:
    """How soon each subscriber has each change, from its receipt."""
    arguments = [sys.executable, "-m", "bench.api_server", "--child", "serve", kubeconfig]
    with ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert process.stdin is not None
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        received = stack.enter_context(served.subscribed(port, plan.subscribers))
        change = ("change", kubeconfig, str(plan.nodes), str(plan.seconds), str(plan.rate))
        changing = threading.Thread(target=_child, args=change)
        changing.start()
        received.until_silent(10.0, plan.seconds * 10 + 120)
        changing.join()
        process.stdin.write(b"\n")
        process.stdin.close()
        sent = json.loads(process.stdout.readline())["received"]
    return served.timed([(name, at) for name, at in sent], received)


_CHILDREN: Final[Mapping[str, Callable[..., None]]] = {"sync": _sync, "serve": _serve, "change": _change}


def _run(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["--child"]:
        _CHILDREN[arguments[1]](*arguments[2:])
        return 0
    return main()


if __name__ == "__main__":
    raise SystemExit(_run(sys.argv[1:]))
