"""Replicas as processes on a real API server, what changes there, and who looks on."""

import contextlib
import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

import nvtopo
from nvtopo.aggregator.status import status_of
from nvtopo.errors import ApiError
from nvtopo.kube import v1alpha1
from nvtopo.kube.client import Client, connect
from nvtopo.kube.store import KubeStore
from nvtopo.model.records.node import NodeTopology
from tests import yaml_text
from tests.cluster import machines
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child, free_port
from tests.replicas.judge import Generations, Watched, version

Json = dict[str, Any]

LEASE: Final = "/apis/coordination.k8s.io/v1/namespaces/nvtopo/leases/nvtopo-aggregator"
_DAEMONSET: Final = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
#: Staleness has no part in this: no agent's pod runs.
_QUIET: Final = ("--drift-after", "1e6", "--stale-after", "1e6", "--history-entries", "256", "--no-events")
_ASK_SECONDS: Final = 0.1


class Replica:
    """One of several; each life is a process."""

    def __init__(self, plane: ControlPlane, name: str, folder: Path) -> None:
        self.name = name
        self._kubeconfig = plane.admin_kubeconfig
        self._log = folder / f"{name}.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.generations = Generations(name)
        self.start()

    def start(self) -> None:
        """A new life, at the same address."""
        program = (sys.executable, "-m", "nvtopo", "aggregator", "--kubeconfig", str(self._kubeconfig))
        where = ("--listen", self.url.removeprefix("http://"))
        self.child = Child(self.name, (*program, *where, *_QUIET), log=self._log)

    def leads(self, holder: str) -> bool:
        """Whether the Lease names this life."""
        return holder.endswith(f"-{self.child.pid}")

    def ask(self) -> None:
        """Its generation now, if it answers; one that is killed may do so in the middle of an answer."""
        url = f"{self.url}/v1/drift"
        with contextlib.suppress(OSError, HTTPException), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own URL
            self.generations.see(json.load(answer)["generation"])

    def metric(self, name: str) -> float:
        """The value of a series."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:  # noqa: S310 - our own URL
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


class Cluster:
    """The nodes and how often each changed."""

    def __init__(self, plane: ControlPlane, racks: int) -> None:
        self._api = plane.api()
        for manifest in ("crd.yaml", "rbac.yaml"):
            for document in yaml_text.read_all((_DAEMONSET / manifest).read_text(encoding="utf-8")):
                self._api.apply(document)
        kube.wait_for(self._served, what="the collection of NodeTopologies")
        self._client = connect(plane.admin_kubeconfig)
        self._store = KubeStore(self._client)
        self.changes = dict.fromkeys(machines.racks(racks), 0)
        self._bare = machines.racks(racks)
        for name in self.changes:
            kube.create_node(self._api, name)
            self._store.apply(name, self.topology(name))

    def close(self) -> None:
        """Ends its connections."""
        self._client.close()

    def topology(self, name: str) -> NodeTopology:
        """What the node says now: the link of a GPU is down after every other change.

        Each node is a product of its own, so that none is compared with others: what differs from peers when a replica
        starts is drift at once, and the others have not seen it begin.
        """
        count, node = self.changes[name], self._bare[name]
        if count % 2:
            node = machines.changed(node, 1, nvlinks=(machines.bundle("0-16"), machines.bundle("17", "inactive")))
        return replace(node, host=replace(node.host, driver_version=version(count), product=f"product of {name}"))

    def change(self, name: str) -> None:
        """One more change of a node."""
        self.changes[name] += 1
        self._store.apply(name, self.topology(name))

    def holder(self) -> str:
        """Who leads, by the Lease; empty where nobody does."""
        found = self._api.find(LEASE) or {}
        spec = found.get("spec") or {}
        return str(spec.get("holderIdentity") or "")

    def statuses(self) -> dict[str, Json]:
        """As the API server has them."""
        listed = json.loads(self._client.get(v1alpha1.COLLECTION))
        return {item["metadata"]["name"]: item.get("status", {}) for item in listed["items"]}

    def wanted(self) -> dict[str, Json]:
        """What follows from the facts as they are now, concluded here and from nothing else."""
        graph = machines.graph({name: self.topology(name) for name in self.changes})
        made = {name: json.loads(msgspec.json.encode(status_of(node))) for name, node in graph.nodes.items()}
        return {name: {key: one[key] for key in ("gpus", "domain", "conditions")} for name, one in made.items()}

    def _served(self) -> bool:
        try:
            self._api.get(v1alpha1.COLLECTION)
        except kube.ApiError:
            return False
        return True


def looking(watched: Watched, client: Client, stop: threading.Event) -> None:
    """Follows every object until ``stop`` is set; a watch that ends is begun again from a list."""
    while not stop.is_set():
        listed = json.loads(client.get(v1alpha1.COLLECTION))
        for item in listed["items"]:
            watched.see(item["metadata"]["name"], item.get("status", {}))
        with contextlib.suppress(ApiError):
            for event in client.watch(v1alpha1.COLLECTION, listed["metadata"]["resourceVersion"], stop):
                item = json.loads(bytes(event.object))
                if event.type in ("ADDED", "MODIFIED"):
                    watched.see(item["metadata"]["name"], item.get("status", {}))


def asking(replica: Replica, stop: threading.Event) -> None:
    """Asks one replica again and again."""
    while not stop.wait(_ASK_SECONDS):
        replica.ask()


def until(holds: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Wait for it.

    Raises:
        TimeoutError: it did not come.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)
