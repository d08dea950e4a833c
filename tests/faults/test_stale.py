"""A killed agent at a real API server: stale in graph, condition and metrics. The test probes it as a kubelet would."""

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults.cluster import Member
from tests.faults.node import Agent
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child, LabError, free_port

pytestmark = pytest.mark.lab

STALE_AFTER_SECONDS: Final = 2
PODS: Final = "/api/v1/namespaces/nvtopo/pods"
LABELS: Final = {"app.kubernetes.io/name": "nvtopo", "app.kubernetes.io/component": "agent"}


class Aggregator:
    """An aggregator process with its own account."""

    def __init__(self, plane: ControlPlane, directory: Path) -> None:
        token = plane.service_account_token("nvtopo", "nvtopo-aggregator")
        self.url = f"http://127.0.0.1:{free_port()}"
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        given = ("--kubeconfig", str(plane.kubeconfig(token)), "--listen", self.url.removeprefix("http://"))
        command = (sys.executable, "-m", "nvtopo", "aggregator", *given, "--stale-after", str(STALE_AFTER_SECONDS))
        self.child = Child("aggregator", command, log=directory / "aggregator.log")

    def get(self, path: str) -> str:
        """What it answers; nothing while it does not."""
        self.child.check()
        try:
            with self._open(self.url + path, timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    def node(self, name: str) -> Any:
        """The node in its graph; None while it is not there."""
        return json.loads(self.get("/v1/graph") or '{"nodes": {}}')["nodes"].get(name)


@pytest.fixture
def aggregator(plane: ControlPlane, tmp_path: Path) -> Iterator[Aggregator]:
    running = Aggregator(plane, tmp_path)
    yield running
    running.child.stop()


@pytest.fixture
def pod(member: Member) -> Iterator[str]:
    """The path of the agent's pod, which is on the node and not ready yet."""
    name = f"agent-{member.machine.name}"
    spec = {"nodeName": member.machine.name, "containers": [{"name": "agent", "image": "none"}]}
    document = {"metadata": {"name": name, "labels": LABELS}, "spec": spec}
    member.api.create(PODS, document)
    yield f"{PODS}/{name}"
    member.api.delete(f"{PODS}/{name}")


def probe(member: Member, pod: str, agent: Agent) -> bool:
    """Write what /readyz says into the pod's condition, and return it."""
    try:
        ready = agent.ready()
    except (OSError, LabError):  # it does not answer, or has ended
        ready = False
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    member.api.patch(f"{pod}/status", {"status": {"conditions": [condition]}})
    return ready


def readiness(member: Member) -> tuple[str, str]:
    """Status and reason of the resource's condition."""
    conditions = ((member.resource() or {}).get("status") or {}).get("conditions") or [{"status": "", "reason": ""}]
    return conditions[0]["status"], conditions[0]["reason"]


def test_a_killed_agent_is_stale_and_one_that_comes_back_is_not(
    member: Member, pod: str, aggregator: Aggregator
) -> None:
    name = member.machine.name
    agent = member.start()
    agent.eventually(lambda: probe(member, pod, agent), "an agent that is ready")
    kube.wait_for(lambda: readiness(member) == ("True", "AllWell"), what="the condition")
    assert aggregator.node(name)["stale"] is False
    version = (member.resource() or {})["metadata"]["generation"]
    agent.child.kill()
    probe(member, pod, agent)
    found = kube.wait_for(lambda: (node := aggregator.node(name)) and node["stale"] and node, what="a stale node")
    assert found["lastHeard"]
    assert set(found["health"].values()) == {"stale"}
    assert f'nvtopo_node_stale{{node="{name}"}} 1' in aggregator.get("/metrics")
    kube.wait_for(lambda: readiness(member) == ("Unknown", "Stale"), what="the condition")
    assert (member.resource() or {})["metadata"]["generation"] == version, "the resource itself is not written for it"
    again = member.start(name="again")
    again.eventually(lambda: probe(member, pod, again), "an agent that is ready again")
    kube.wait_for(lambda: aggregator.node(name)["stale"] is False, what="a node that is heard")
    kube.wait_for(lambda: readiness(member) == ("True", "AllWell"), what="the condition again")
