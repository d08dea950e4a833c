"""A bundle of a cluster: objects, Events, graph and history of the API server; a part that is refused is named."""

from typing import Any

import msgspec
import pytest

from nvtopo.cli import bundle_parts
from nvtopo.errors import UsageError
from nvtopo.kube.client import Client
from nvtopo.kube.connection import Connection
from nvtopo.kube.v1alpha1 import spec_document
from nvtopo.reports import bundle
from tests.cluster.machines import tray
from tests.kube.fake_api_server import FakeApiServer

pytestmark = pytest.mark.slow


def event(node: str, controller: str) -> dict[str, Any]:
    return {"metadata": {"name": f"{node}.1"}, "regarding": {"name": node}, "reportingController": controller}


@pytest.fixture
def client(api_server: FakeApiServer) -> Client:
    for number, name in enumerate(("tray-a", "tray-b")):
        spec = msgspec.json.decode(spec_document(name, tray(number, 4), "uid"))["spec"]
        api_server.put(name, spec)
    api_server.events = {
        "1": event("tray-a", "nvtopo.io/agent"),
        "2": event("tray-b", "nvtopo.io/agent"),
        "3": event("tray-a", "kubelet"),
    }
    return Client(Connection(host=api_server.url))


def test_a_node_that_is_named_comes_with_its_events_and_the_whole_graph(client: Client) -> None:
    gathered = bundle_parts.of_client(client, ("tray-a",))
    assert gathered.nodes.keys() == {"tray-a"}
    assert gathered.nodes["tray-a"]["kind"] == "NodeTopology"
    assert [one["metadata"]["name"] for one in gathered.documents["events.json"]] == ["tray-a.1"]
    assert gathered.documents["graph.json"]["nodes"].keys() == {"tray-a", "tray-b"}
    assert gathered.documents["history.json"] == {"entries": [], "leftOff": 0}
    assert [problem.partition(":")[0] for problem in gathered.problems] == ["version"]


def test_without_a_name_all_nodes_come(client: Client) -> None:
    gathered = bundle_parts.of_client(client, ())
    assert gathered.nodes.keys() == {"tray-a", "tray-b"}
    content = bundle.made(gathered.contents(), "1").content
    assert content == bundle.made(gathered.contents(), "1").content
    assert b"tray-a" not in content


def test_a_part_that_is_refused_is_named_and_the_others_stand(client: Client, api_server: FakeApiServer) -> None:
    api_server.refuse("list", 403)
    gathered = bundle_parts.of_client(client, ())
    assert [problem.partition(":")[0] for problem in gathered.problems] == ["version", "objects"]
    assert gathered.documents["graph.json"]["nodes"].keys() == {"tray-a", "tray-b"}


def test_a_node_that_is_nowhere_is_refused(client: Client) -> None:
    with pytest.raises(UsageError, match="no such node: tray-z"):
        bundle_parts.of_client(client, ("tray-z",)).contents()
