"""NodeAllocations as documents: what is written is read, and what can't be read is known to be unknown."""

import msgspec
import pytest

from nvtopo.errors import ParseError
from nvtopo.kube import allocations
from nvtopo.kube.following import Read
from nvtopo.model.records.allocation import Allocation, Held

HOLDS = Allocation(containers=(Held(namespace="jobs", pod="a", container="c", gpus=(0, 3), nics=("mlx5_0",)),))


def read(document: object) -> Read[Allocation]:
    return allocations.read(msgspec.Raw(msgspec.json.encode(document)))


def test_what_is_written_is_read() -> None:
    document = msgspec.json.decode(allocations.document("node-a", HOLDS, "uid-1"))
    assert document["metadata"] == {
        "name": "node-a",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-a", "uid": "uid-1"}],
    }
    assert read(document) == Read("node-a", "", HOLDS)


def test_an_object_that_can_t_be_read_says_that_nothing_is_known() -> None:
    for spec in (None, {"containers": "all"}, {"containers": [{"namespace": "a", "pod": "b", "gpus": [0]}]}):
        found = read({"metadata": {"name": "node-a", "resourceVersion": "7"}, "spec": spec})
        assert (found.name, found.version, found.value.gpus) == ("node-a", "7", None)
        assert "expected" in found.value.unknown.lower()


def test_one_that_is_too_large_is_not_decoded() -> None:
    found = read({"metadata": {"name": "node-a"}, "spec": {}, "x": "y" * allocations._LARGEST_BYTES})
    assert found.value.unknown.startswith("expected an object of at most ")


def test_what_has_no_metadata_is_no_object() -> None:
    with pytest.raises(ParseError):
        read({"spec": {}})
