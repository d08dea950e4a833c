"""A Node's uid: what is asked, and answers that are no object."""

import pytest

from nvtopo.errors import NotFound, ParseError
from nvtopo.kube.client import Client
from nvtopo.kube.node_uid import node_uid
from tests.kube.fake_api_server import FakeApiServer


def test_uid_of_the_node_of_that_name(api_server: FakeApiServer, client: Client) -> None:
    api_server.nodes["n1"] = "uid-1"
    assert node_uid(client, "n1") == "uid-1"
    with pytest.raises(NotFound):
        node_uid(client, "n2")


@pytest.mark.parametrize("name", ["n1?watch=true", "n1#x", "../nodes/n1", "n1%2e"])
def test_name_is_one_segment_of_the_path(api_server: FakeApiServer, client: Client, name: str) -> None:
    api_server.nodes["n1"] = "uid-1"
    with pytest.raises(NotFound):
        node_uid(client, name)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"metadata": {"uid": 1}}', b"\xff"])
def test_answer_that_is_no_object_is_an_error(api_server: FakeApiServer, client: Client, body: bytes) -> None:
    api_server.refuse("node", 200, body=body)
    with pytest.raises(ParseError, match="GET /api/v1/nodes/n1: expected an object with metadata"):
        node_uid(client, "n1")
