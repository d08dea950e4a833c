"""Objects made to stop the aggregator, written with an agent's token at a real API server while honest nodes change.

What is beyond the limits the API server refuses. What it takes makes one node unreadable at most: the honest nodes'
graph and status are right within seconds, and stay so.
"""

import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from nvtopo.errors import ApiError
from nvtopo.kube import client as client_module
from nvtopo.kube.client import Client
from nvtopo.kube.node_uid import node_uid
from nvtopo.kube.store import KubeStore
from nvtopo.kube.v1alpha1 import path, spec_document
from nvtopo.model.formats import limits
from nvtopo.model.records.node import NodeTopology
from tests.cluster import machines
from tests.hosts.recorded import HOSTS
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child, free_port
from tests.properties import largest_node

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

DAEMONSET: Final = Path(__file__).resolve().parents[2] / "daemonset"
HONEST: Final = 50
#: More than without the hostile object, on a machine as busy as this one is.
SECONDS: Final = 2.0
LIAR: Final = "hostile-liar"
ADDRESS: Final = "0000:01:00.0"
GPU: Final = {"index": 0, "uuid": "GPU-0"}
OTHER_GPU: Final = {"index": 1, "uuid": "GPU-1"}


def gpu(**facts: Any) -> dict[str, Any]:
    return GPU | facts


BEYOND: Final[dict[str, dict[str, Any]]] = {
    "peers without a list": {"gpus": [gpu(nvlinks=[{"links": "0", "state": "active", "peers": {ADDRESS: "x"}}])]},
    "a million links": {"gpus": [gpu(nvlinks=[{"links": "0-1048576"}])]},
    "thousands of GPUs": {"gpus": [{"index": n, "uuid": f"GPU-{n}"} for n in range(3000)]},
    "thousands of NICs": {"nics": [{"name": f"eth{n}"} for n in range(3000)]},
    "a bundle for each link": {"gpus": [gpu(nvlinks=[{"links": str(n), "version": str(n)} for n in range(64)])]},
    "too many ends": {
        "gpus": [
            gpu(
                nvlinks=[
                    {"links": "0", "version": v, "peers": {f"{n:04x}:01:00.0": "0" for n in range(33)}} for v in "ab"
                ]
            )
        ]
    },
    "one index twice": {"gpus": [GPU, GPU | {"uuid": "GPU-1"}]},
    "one GPU's UUID twice": {"gpus": [GPU, gpu(index=1)]},
    "one GPU's address twice": {"gpus": [gpu(pciBusID=ADDRESS), gpu(index=1, uuid="GPU-1", pciBusID=ADDRESS)]},
    "one NIC's name twice": {"nics": [{"name": "eth0"}, {"name": "eth1"}, {"name": "eth0"}]},
    "one controller's name twice": {"nvmes": [{"name": "nvme0", "pciBusID": f"0000:0{n}:00.0"} for n in range(2)]},
    "one controller's address twice": {"nvmes": [{"name": f"nvme{n}", "pciBusID": ADDRESS} for n in range(2)]},
    "one accelerator twice": {"accelerators": [{"pciBusID": ADDRESS}] * 2},
    "one NUMA node twice": {"numa": [{"index": 1}, {"index": 0}, {"index": 1}]},
    "a pair in reverse": {"gpus": [GPU, OTHER_GPU], "pairs": [{"a": 1, "b": 0}]},
    "a far CPU": {"numa": [{"index": 0, "cpus": "0-1048576"}]},
    "a deep path": {"gpus": [gpu(path="/".join(["x"] * 400))]},
    "a long reason": {"problems": [{"source": "nvml", "subject": "GPU0", "reason": "x" * 100_000}]},
    "a nested attribute": {"attributes": {"x": {"y": [[[[1]]]]}}},
    "a far module": {"gpus": [gpu(moduleId=1 << 31)]},
    "GPUs expected without end": {"expected": {"gpus": 1 << 31}},
}
#: What the schema takes, and why nothing is concluded from it; None for what is a node.
TAKEN: Final[dict[str, tuple[dict[str, Any], str | None]]] = {
    "the largest node": (largest_node.spec(), None),
    "as many NICs as there may be, with the kernel's longest names": (
        {"nics": [{"name": f"{n:064}"} for n in range(limits.MOST_NICS)]},
        None,
    ),
    "links twice": (
        {"gpus": [gpu(nvlinks=[{"links": "0-63"}, {"links": "0-63", "version": "5.0"}])]},
        "at most 64 NVLinks",
    ),
    "one pair twice": ({"gpus": [GPU, OTHER_GPU], "pairs": [{"a": 0, "b": 1}] * 2}, "each pair once"),
    "sub-functions of one NIC, and GPUs of which nothing tells them apart but their numbers": (
        {
            "nics": [{"name": f"mlx5_{n}", "pciBusID": ADDRESS} for n in range(2)],
            "gpus": [{"index": n, "uuid": ""} for n in range(2)],
        },
        None,
    ),
    "a pair of others": ({"gpus": [GPU], "pairs": [{"a": 0, "b": 7}]}, "two GPUs of this node"),
    "an end that is no address": ({"gpus": [gpu(nvlinks=[{"links": "0", "peers": {"x": "0"}}])]}, "a PCI address"),
    "more than an object": (
        {
            "problems": [
                {"source": "nvml", "subject": "GPU0", "reason": "é" * limits.LONGEST_REASON}
                for _ in range(limits.MOST_PROBLEMS)
            ],
        },
        "bytes",
    ),
}


class Cluster:
    """Honest nodes and one that lies, all with the agent's account; the aggregator with its own."""

    def __init__(self, plane: ControlPlane, agent: Client, directory: Path) -> None:
        self.api = plane.api()
        self.agent = agent
        self.store = KubeStore(agent)
        for name in (*(f"hostile-{number:02d}" for number in range(HONEST)), LIAR):
            kube.create_node(self.api, name)
        self.topologies: dict[str, NodeTopology] = {}
        self.url = f"http://127.0.0.1:{free_port()}"
        token = plane.service_account_token("nvtopo", "nvtopo-aggregator")
        self.child = Child(
            "aggregator",
            (
                *(sys.executable, "-m", "nvtopo", "aggregator", "--kubeconfig", str(plane.kubeconfig(token))),
                *("--listen", self.url.removeprefix("http://")),
            ),
            log=directory / "aggregator.log",
        )

    def get(self, where: str) -> Any:
        """What the aggregator answers; None while it does not."""
        self.child.check()
        try:
            with urllib.request.urlopen(f"{self.url}{where}", timeout=5) as answer:  # noqa: S310 - our own URL
                return json.load(answer)
        except OSError:
            return None

    def graph_nodes(self) -> dict[str, Any]:
        return (self.get("/v1/graph") or {"nodes": {}})["nodes"]  # type: ignore[no-any-return]

    def write(self, name: str, topology: NodeTopology) -> None:
        self.topologies[name] = topology
        self.store.apply(name, topology)

    def write_spec(self, name: str, spec: dict[str, Any]) -> None:
        document = msgspec.json.decode(spec_document(name, NodeTopology(), node_uid(self.agent, name))) | {"spec": spec}
        self.agent.apply(path(name), msgspec.json.encode(document), manager="nvtopo-agent")

    def honest_change(self) -> None:
        """Each loses a GPU, or has it again."""
        for number in range(HONEST):
            name = f"hostile-{number:02d}"
            whole = machines.tray(1 + number // 18, number % 18)
            lost = len(self.topologies.get(name, NodeTopology()).gpus) == len(whole.gpus)
            self.write(name, replace(whole, gpus=whole.gpus[1:]) if lost else whole)

    def right(self) -> bool:
        """Whether graph and status of each honest node are as it wrote."""
        nodes = self.graph_nodes()
        wanted = {name: len(topology.gpus) for name, topology in self.topologies.items()}
        if {name: nodes.get(name, {}).get("gpus") for name in wanted} != wanted:
            return False
        items = self.api.get("/apis/nvtopo.io/v1alpha1/nodetopologies")["items"]
        status = {one["metadata"]["name"]: one.get("status", {}).get("gpus") for one in items}
        return {name: status.get(name) for name in wanted} == wanted


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    api = control_plane.api()
    for manifest in ("crd.yaml", "rbac.yaml"):
        api.apply_file(DAEMONSET / manifest)
    account = "/api/v1/namespaces/nvtopo/serviceaccounts"
    for name in ("nvtopo-agent", "nvtopo-aggregator"):
        kube.wait_for(partial(api.find, f"{account}/{name}"), what=name)
    kube.wait_for(lambda: served(api), what="the collection")
    token = control_plane.service_account_token("nvtopo", "nvtopo-agent")
    with client_module.connect(control_plane.kubeconfig(token)) as agent:
        found = Cluster(control_plane, agent, tmp_path_factory.mktemp("hostile"))
        found.honest_change()
        kube.wait_for(found.right, what="the honest nodes", seconds=60)
        yield found
        found.child.stop()
        for name in (*found.topologies, LIAR):
            api.delete(path(name))
            api.delete(f"/api/v1/nodes/{name}")


def served(api: kube.Api) -> bool:
    """Whether the collection is there, after a change of its schema too."""
    try:
        api.get("/apis/nvtopo.io/v1alpha1/nodetopologies")
    except kube.ApiError:
        return False
    return True


def seconds_until(holds: Callable[[], bool]) -> float:
    began = time.monotonic()
    kube.wait_for(holds, what="the honest nodes", seconds=60)
    return time.monotonic() - began


@pytest.mark.parametrize("spec", BEYOND.values(), ids=BEYOND.keys())
def test_what_is_beyond_the_limits_is_refused_by_the_schema(cluster: Cluster, spec: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as refused:
        cluster.write_spec(LIAR, spec)
    assert refused.value.status == 422, refused.value


@pytest.mark.parametrize(("spec", "reason"), TAKEN.values(), ids=TAKEN.keys())
def test_the_honest_nodes_are_right_within_seconds(cluster: Cluster, spec: dict[str, Any], reason: str | None) -> None:
    cluster.honest_change()
    quiet = seconds_until(cluster.right)
    cluster.write_spec(LIAR, spec)
    cluster.honest_change()
    took = seconds_until(cluster.right)
    assert took < SECONDS + 4 * quiet, (took, quiet)
    liar = kube.wait_for(lambda: cluster.graph_nodes().get(LIAR), what="the liar's node")
    assert cluster.get(f"/v1/nodes/{LIAR}") is not None
    if reason is not None:
        assert liar["gpus"] is None
        assert reason in liar["problems"][0]["evidence"], liar["problems"]

        def condition() -> Any:
            found = cluster.api.get(path(LIAR)).get("status", {}).get("conditions", [{}])[0]
            return found if found.get("reason") == "Unreadable" else None

        assert kube.wait_for(condition, what="its status")["status"] == "Unknown"
    assert cluster.get("/healthz") == {"status": "ok"}


def test_what_every_recorded_machine_s_agent_wrote_is_taken(cluster: Cluster) -> None:
    """Agents of earlier versions go on writing it."""
    for host in HOSTS:
        written = json.loads((host / "expected" / "topology.json").read_text(encoding="utf-8"))
        cluster.write_spec(LIAR, written["spec"])
