"""The whole line on real parts: agents → feature files → NFD → labels → the scheduler; resources → the rack graph."""

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.tray import Tray
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.nfd import NfdMaster
from tests.lab.process import Child, free_port

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

DAEMONSET = Path(__file__).resolve().parents[2] / "daemonset"
RESOURCES = "/apis/nvtopo.io/v1alpha1/nodetopologies"
RACKS = ("e2e-r01", "e2e-r02")


class Aggregator:
    """A real ``nvtopo aggregator`` process with its own account."""

    def __init__(self, plane: ControlPlane, log: Path) -> None:
        token = plane.service_account_token("nvtopo", "nvtopo-aggregator")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.child = Child(
            "aggregator",
            (
                *(sys.executable, "-m", "nvtopo", "aggregator"),
                *("--kubeconfig", str(plane.kubeconfig(token))),
                *("--listen", self.url.removeprefix("http://")),
            ),
            log=log,
        )

    def graph(self) -> Any:
        """What it serves; None while it does not."""
        self.child.check()
        try:
            with urllib.request.urlopen(f"{self.url}/v1/graph", timeout=5) as answer:  # noqa: S310 - our own URL
                return json.load(answer)
        except OSError:
            return None

    def domains(self) -> dict[str, set[str]]:
        """NVLink domain → its nodes."""
        graph = self.graph() or {"domains": {}}
        return {
            name: set(domain["nodes"]) for name, domain in graph["domains"].items() if domain["tier"] == "nvlinkDomain"
        }


@pytest.fixture(scope="module")
def trays(
    control_plane: ControlPlane, nfd_master: NfdMaster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Tray]]:
    """Two trays in each of two NVLink domains, with agents that have the agent's own account and no more."""
    api = control_plane.api()
    api.apply_file(DAEMONSET / "crd.yaml")
    api.apply_file(DAEMONSET / "rbac.yaml")
    kube.wait_for(
        lambda: api.find("/api/v1/namespaces/nvtopo/serviceaccounts/nvtopo-agent"), what="the agent's account"
    )
    directory = tmp_path_factory.mktemp("trays")
    with ExitStack() as stack:
        up = [stack.enter_context(Tray(number, rack, directory)) for rack in RACKS for number in range(2)]
        yield [tray.start(control_plane, nfd_master, agent_kubeconfig(control_plane)) for tray in up]


@pytest.fixture(scope="module")
def aggregator(
    control_plane: ControlPlane, trays: list[Tray], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Aggregator]:
    del trays
    running = Aggregator(control_plane, tmp_path_factory.mktemp("aggregator") / "aggregator.log")
    yield running
    running.child.stop()


def agent_kubeconfig(plane: ControlPlane) -> Path:
    return plane.kubeconfig(plane.service_account_token("nvtopo", "nvtopo-agent"))


def expected(trays: list[Tray]) -> dict[str, set[str]]:
    domains: dict[str, set[str]] = {}
    for tray in trays:
        domains.setdefault(tray.domain, set()).add(tray.name)
    return domains


def running_agent(tray: Tray) -> Child:
    assert tray.agent is not None
    tray.agent.check()
    return tray.agent


def labels_of(api: kube.Api, tray: Tray) -> dict[str, str]:
    """The Node's labels; empty before ours are among them."""
    running_agent(tray)
    labels: dict[str, str] = api.get(f"/api/v1/nodes/{tray.name}")["metadata"]["labels"]
    return labels if "nvtopo.io/nvlink.domain" in labels else {}


def resource_of(api: kube.Api, tray: Tray) -> Any:
    running_agent(tray)
    return api.find(f"{RESOURCES}/{tray.name}")


def scheduled(api: kube.Api, path: str) -> Any:
    """The scheduler's condition on a pod; None before it looked."""
    conditions = api.get(path)["status"].get("conditions") or []
    return next((one for one in conditions if one["type"] == "PodScheduled"), None)


def test_every_node_gets_its_labels(control_plane: ControlPlane, trays: list[Tray]) -> None:
    api = control_plane.api()
    for tray in trays:
        labels = kube.wait_for(partial(labels_of, api, tray), what=f"labels of {tray.name}", seconds=60)
        assert labels["nvtopo.io/nvlink.domain"] == tray.domain
        assert labels["nvtopo.io/gpu.count"] == "4"
        assert labels["nvtopo.io/ready"] == "true"
        assert labels["feature.node.kubernetes.io/gpu.nvlink.group"] == "G0"


def test_the_scheduler_places_pods_by_our_labels(control_plane: ControlPlane, trays: list[Tray]) -> None:
    api = control_plane.api()
    for tray in trays:
        kube.wait_for(partial(labels_of, api, tray), what=f"labels of {tray.name}", seconds=60)
    pods = f"/api/v1/namespaces/{kube.create_namespace(api, 'e2e-pods')}/pods"
    wanted = {f"pod-{number}": domain for number, domain in enumerate(sorted(expected(trays)))}
    for pod, domain in (wanted | {"nowhere": "00000000-0000-0000-0000-000000000000.0"}).items():
        kube.create_pod(api, "e2e-pods", pod, nodeSelector={"nvtopo.io/nvlink.domain": domain})
    for pod, domain in wanted.items():
        kube.wait_for(lambda: api.get(f"{pods}/{pod}")["spec"].get("nodeName"), what=f"a node for {pod}")  # noqa: B023
        assert api.get(f"{pods}/{pod}")["spec"]["nodeName"] in expected(trays)[domain]
    verdict = kube.wait_for(lambda: scheduled(api, f"{pods}/nowhere"), what="the scheduler's word on the third pod")
    assert (verdict["status"], verdict["reason"]) == ("False", "Unschedulable")
    assert "nodeName" not in api.get(f"{pods}/nowhere")["spec"]
    for pod in (*wanted, "nowhere"):
        api.delete(f"{pods}/{pod}")


def test_every_node_has_its_resource(control_plane: ControlPlane, trays: list[Tray]) -> None:
    api = control_plane.api()
    for tray in trays:
        found = kube.wait_for(partial(resource_of, api, tray), what=f"resource of {tray.name}", seconds=60)
        owner = found["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"]) == ("Node", tray.name)
        assert len(found["spec"]["gpus"]) == 4
        assert "problems" not in found["spec"]


def test_the_graph_has_exactly_the_two_domains(aggregator: Aggregator, trays: list[Tray]) -> None:
    kube.wait_for(lambda: aggregator.domains() == expected(trays), what="two domains of two nodes", seconds=60)
    graph = aggregator.graph()
    assert {name: node["gpus"] for name, node in graph["nodes"].items()} == {tray.name: 4 for tray in trays}
    assert graph["drift"] == []


def test_the_aggregator_writes_every_node_s_status(
    control_plane: ControlPlane, trays: list[Tray], aggregator: Aggregator
) -> None:
    api = control_plane.api()
    kube.wait_for(lambda: aggregator.domains() == expected(trays), what="the whole graph", seconds=60)
    for tray in trays:
        status = kube.wait_for(lambda: resource_of(api, tray).get("status"), what=f"status of {tray.name}", seconds=60)  # noqa: B023
        assert status["domain"] == tray.domain
        assert [(one["type"], one["status"]) for one in status["conditions"]] == [("Ready", "True")]


def test_a_node_that_goes_takes_its_resource_and_its_place_in_the_graph_with_it(
    control_plane: ControlPlane, nfd_master: NfdMaster, trays: list[Tray], aggregator: Aggregator, tmp_path: Path
) -> None:
    api = control_plane.api()
    with Tray(2, RACKS[1], tmp_path) as gone:
        gone.start(control_plane, nfd_master, agent_kubeconfig(control_plane))
        kube.wait_for(lambda: aggregator.domains() == expected([*trays, gone]), what="the fifth node", seconds=60)
        running_agent(gone).kill()
        api.delete(f"/api/v1/nodes/{gone.name}")
        kube.wait_for(
            lambda: api.find(f"{RESOURCES}/{gone.name}") is None,
            what="the garbage collector",
            seconds=120,
            interval=0.5,
        )
        kube.wait_for(lambda: aggregator.domains() == expected(trays), what="the graph without it")
        assert gone.name not in aggregator.graph()["nodes"]
