"""The real kube-scheduler asks the extender: a pod goes to the one node whose GPUs no reservation holds."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pytest

from nvtopo.aggregator.desk import Desk
from nvtopo.aggregator.placements import Placements
from nvtopo.aggregator.server import GraphServer
from nvtopo.cluster.inventory import Listed
from nvtopo.kube.client import Client
from nvtopo.kube.reservations import Reservations
from nvtopo.placement import document
from tests.aggregator.running import PATIENCE, Script, running
from tests.cluster import machines
from tests.kube.config_map import ConfigMapServer
from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child

pytestmark = pytest.mark.lab

NAMES: Final = [machines.name(1, number) for number in range(3)]
SCHEDULER: Final = "with-nvtopo"
GPU: Final = "nvidia.com/gpu"
OURS: Final = "example.com/extender-test"
"""Of the nodes of this test alone: others of the same control plane have GPUs too."""


@pytest.fixture
def desk() -> Iterator[tuple[Desk, GraphServer]]:
    with ExitStack() as stack:
        aggregator = stack.enter_context(running(Script(Listed(machines.racks(1, 3)))))
        assert aggregator.wait(0, PATIENCE) is not None
        books = Reservations(cast("Client", ConfigMapServer()), "nvtopo", lambda: 0.0)
        desk = Desk(lambda: aggregator.graph, books, lambda: 0.0)
        placements = stack.enter_context(Placements(desk, None, for_scheduler=True))
        yield desk, stack.enter_context(GraphServer(aggregator, more=placements.routes))


def configuration(plane: ControlPlane, url: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(plane.admin_kubeconfig)},
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": SCHEDULER}],
        "extenders": [
            {
                "urlPrefix": f"{url}/scheduler",
                "filterVerb": "filter",
                "prioritizeVerb": "prioritize",
                "weight": 5,
                "enableHTTPS": False,
                "httpTimeout": "2s",
                "nodeCacheCapable": True,
                "ignorable": True,
                "managedResources": [{"name": GPU, "ignoredByScheduler": False}],
            }
        ],
    }


def test_the_scheduler_heeds_reservations(
    control_plane: ControlPlane, lab_binaries: Binaries, desk: tuple[Desk, GraphServer], tmp_path: Path
) -> None:
    places, server = desk
    content = b'{"metadata":{"name":"a"},"spec":{"pods":2,"gpusPerPod":4}}'
    held = places.place("a", content, document.parse(content, "a")).answer
    places.look(document.parse(content, "a"))  # the ledger, as this process last saw it
    taken = {rank.node for rank in held.ranks}  # type: ignore[union-attr]
    api = control_plane.api()
    for name in NAMES:
        kube.create_node(api, name, allocatable={GPU: "4", OURS: "9"})
    kube.create_namespace(api, "extender")
    file = tmp_path / "scheduler.yaml"
    file.write_bytes(msgspec.yaml.encode(configuration(control_plane, server.url)))
    argv = (str(lab_binaries.programs["kube-scheduler"]), f"--config={file}", "--secure-port=0")
    child = Child("kube-scheduler with the extender", argv, log=tmp_path / "scheduler.log")
    try:
        kube.create_pod(api, "extender", "fits", requests={GPU: "4", OURS: "1"}, schedulerName=SCHEDULER)
        pods = "/api/v1/namespaces/extender/pods"
        node = kube.wait_for(lambda: api.get(f"{pods}/fits")["spec"].get("nodeName"), what="a node for the pod")
        assert {node} == {*NAMES} - taken
        kube.create_pod(api, "extender", "waits", requests={GPU: "4", OURS: "1"}, schedulerName=SCHEDULER)

        def why() -> str | None:
            conditions = api.get(f"{pods}/waits").get("status", {}).get("conditions", [])
            return next((one.get("message") for one in conditions if one["type"] == "PodScheduled"), None)

        assert "free of reservations" in kube.wait_for(why, what="the reason why a pod waits")
    finally:
        child.stop()
        for name in NAMES:
            api.delete(f"/api/v1/nodes/{name}")
