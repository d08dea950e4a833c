"""Where an agent of a soak lives: a machine, a network namespace, a gate to the API server."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from bench.soaking import apart
from bench.soaking.apart import Apart, Gate
from tests.faults.node import Agent, Node
from tests.lab import credentials, kube
from tests.lab.control_plane import ControlPlane

_DAEMONSET: Final = Path(__file__).resolve().parents[2] / "daemonset"
_ACCOUNT: Final = ("nvtopo", "nvtopo-agent")


class Place(NamedTuple):
    """An agent and what is around it."""

    node: Node
    apart: Apart
    gate: Gate
    """The agent's way to the API server."""
    agent: Agent
    api: kube.Api
    """The same API server as its administrator sees it."""
    path: str
    """Where the agent's resource is."""

    @property
    def process(self) -> psutil.Process:
        """The agent's."""
        return psutil.Process(self.agent.child.pid)

    @property
    def port(self) -> int:
        """Of its page."""
        (line,) = self.agent.eventually(lambda: self.agent.said("serving"), "the page's address in the log")
        return int(line["url"].rpartition(":")[2])


def install(plane: ControlPlane) -> None:
    """What agents need of a cluster."""
    api = plane.api()
    for name in ("crd.yaml", "rbac.yaml"):
        api.apply_file(_DAEMONSET / name)
    namespace, account = _ACCOUNT
    kube.wait_for(
        lambda: api.find(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}"), what="the agent's account"
    )


@contextlib.contextmanager
def place(plane: ControlPlane, directory: Path, name: str, *options: str) -> Iterator[Place]:
    """A Node of that name, its machine, and an agent with these options."""
    kube.create_node(plane.api(), name)
    with (
        Apart(directory / "netns.log") as namespace,
        namespace.within(apart.listening) as listener,
        Node(directory) as node,
    ):
        gate = Gate(listener, int(plane.server.rpartition(":")[2]))
        node.name = name
        node.install_driver()
        node.driver_is_like()
        kubeconfig = credentials.write_kubeconfig(
            directory, f"https://127.0.0.1:{gate.port}", plane.ca_file, plane.service_account_token(*_ACCOUNT)
        )
        agent = node.start(
            *("--kubeconfig", str(kubeconfig), "--sample-interval", "1", *options),
            before=namespace.command,
            name=name,
            resource=True,
        )
        yield Place(node, namespace, gate, agent, plane.api(), f"/apis/nvtopo.io/v1alpha1/nodetopologies/{name}")
