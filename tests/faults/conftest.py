"""A node for each test, and a cluster with it for those that ask for one."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import nvtopo
from tests.faults.cluster import Member
from tests.faults.node import Node
from tests.faults.proxy import ApiProxy
from tests.lab import credentials, kube
from tests.lab.control_plane import ControlPlane

DAEMONSET: Final = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
_NUMBERS: Final = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.lab.fixtures")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """The recorded machine with a healthy driver."""
    with Node(tmp_path) as machine:
        machine.install_driver()
        machine.driver_is_like()
        yield machine


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """With our definitions and accounts in it."""
    api = control_plane.api()
    for manifest in ("crd.yaml", "rbac.yaml"):
        api.apply_file(DAEMONSET / manifest)
    account = "/api/v1/namespaces/nvtopo/serviceaccounts/nvtopo-agent"
    kube.wait_for(lambda: api.find(account), what="the agent's account")
    return control_plane


@pytest.fixture
def proxy(plane: ControlPlane) -> Iterator[ApiProxy]:
    with ApiProxy(plane) as running:
        yield running


@pytest.fixture
def member(plane: ControlPlane, proxy: ApiProxy, node: Node, tmp_path: Path) -> Iterator[Member]:
    node.name = f"faults-{next(_NUMBERS)}"
    api = plane.api()
    kube.create_node(api, node.name)
    token = plane.service_account_token("nvtopo", "nvtopo-agent")
    member = Member(node, api, credentials.write_kubeconfig(tmp_path, proxy.url, plane.ca_file, token))
    yield member
    api.delete(member.path)
    api.delete(f"/api/v1/nodes/{node.name}")
