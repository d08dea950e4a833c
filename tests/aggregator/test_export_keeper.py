"""Exported objects that the aggregator keeps applied: written on change, restored, pruned; others' stay."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
import pytest

from nvtopo.aggregator import export_metrics, exported
from nvtopo.aggregator.export_keeper import CHECK_SECONDS, ExportKeeper
from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster.claims import Claim, Reading
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.errors import Forbidden, NotFound, ParseError
from nvtopo.exporters.schedulers import kinds, owned
from nvtopo.exporters.schedulers.owned import Owner
from nvtopo.kube.client import Client, ListMetadata, ListPage, Response
from tests.cluster import machines

OWNER: Final = Owner("gpus", "nvtopo")
HYPER_NODES: Final = "/apis/topology.volcano.sh/v1alpha1/hypernodes"
FEATURES: Final = "/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/gpus/nodefeatures"


class FakeClient(Client):
    """Keeps what is applied, and counts requests that write."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.written: list[str] = []
        self.refusing = False
        self.answer: bytes | None = None
        """What every list is answered with instead."""

    def get(self, path: str, *, seconds: float = 0) -> bytes:
        del seconds
        if path not in self.objects:
            raise NotFound(path, status=404)
        return msgspec.json.encode(self.objects[path])

    def apply(self, path: str, document: bytes, *, manager: str, seconds: float = 0) -> Response:
        del seconds
        assert manager == exported.MANAGER
        self.objects[path] = msgspec.json.decode(document)
        self.written.append(path)
        return Response(200, document)

    def delete(self, path: str) -> None:
        if path not in self.objects:
            raise NotFound(path, status=404)
        del self.objects[path]
        self.written.append(path)

    def pages(self, path: str, *, selector: str = "", fields: str = "", accept: str = "") -> Iterator[ListPage]:
        del fields, accept
        if self.refusing:
            raise Forbidden(f"GET {path}: may not list", status=403)
        if self.answer is not None:
            raise ParseError(f"GET {path}: expected a list of objects: {self.answer!r}")
        key, _, value = selector.partition("=")
        found = [
            msgspec.Raw(msgspec.json.encode(one))
            for at, one in self.objects.items()
            if at.rpartition("/")[0] == path and one["metadata"].get("labels", {}).get(key) == value
        ]
        yield ListPage(ListMetadata(), found)


class Kept:
    """A keeper, its API server, and a clock."""

    def __init__(self, *kinds: str, owner: Owner = OWNER) -> None:
        self.client = FakeClient()
        self.now = 0.0
        self.term = 1
        source: Any = None
        self.keeper = ExportKeeper(
            Aggregator(source),
            self.client,
            lambda: self.term,
            kinds,
            owner,
            clock=lambda: self.now,
            wall_clock=lambda: 1_800_000_000,
        )

    def keep(self, graph: ClusterGraph, seconds: float = 0) -> list[str]:
        """What is written for a graph, so much later."""
        self.now += seconds
        self.client.written.clear()
        self.keeper.keep(graph, self.term)
        self.write_all()
        return list(self.client.written)

    def write_all(self) -> None:
        """As the threads of the applier do, as fast as its limits let them."""
        queue = self.keeper.applier._queue
        while queue.waiting:
            write = queue.next(self.now, self.term)
            if write is None:
                self.now += 1
            else:
                self.keeper.applier._send(write)


def graph(racks: Mapping[str, int], generation: int = 1) -> ClusterGraph:
    """Rack → number of nodes; each below one leaf."""
    claims = []
    for rack, count in racks.items():
        for number in range(count):
            claims += [Claim(f"{rack}-{number}", "rack", rack, "file"), Claim(f"{rack}-{number}", "leaf", "l1", "file")]
    inventory = fold(Inventory(generation=generation - 1), Listed({}, {}))
    return build(inventory, None, {"file": Reading(tuple(claims))})


@pytest.fixture(name="volcano")
def _volcano() -> Kept:
    return Kept("volcano")


def test_only_what_changed_is_written(volcano: Kept) -> None:
    assert len(volcano.keep(graph({"a": 2, "b": 2}))) == 3
    assert volcano.keep(graph({"a": 2, "b": 2}), CHECK_SECONDS) == []
    assert volcano.keep(graph({"a": 2, "b": 3}, 2)) == [f"{HYPER_NODES}/nvtopo-rack-b"]


@pytest.mark.slow
def test_a_renamed_rack_concerns_its_own_objects_of_ten_thousand_nodes() -> None:
    kept = Kept("nfd", "volcano")
    racks = {f"r{number:04}": 18 for number in range(556)}
    whole = graph(racks)
    export = kept.keeper._export(whole)
    for kind in ("nfd", "volcano"):
        kept.client.objects |= owned.marked(kinds.OBJECTS[kind](export), kind, OWNER)
    assert len(kept.client.objects) == 10_008 + 557
    assert kept.keep(whole) == []  # a new leader finds all as it wants it
    written = kept.keep(_renamed(racks, "r0007", "x0007"), 5)
    assert len([path for path in written if path.startswith(FEATURES)]) == 18
    assert {path for path in written if path.startswith(HYPER_NODES)} == {
        f"{HYPER_NODES}/nvtopo-rack-r000007",
        f"{HYPER_NODES}/nvtopo-rack-x000007",
        f"{HYPER_NODES}/nvtopo-leaf-l000001",
    }


def _renamed(racks: Mapping[str, int], old: str, new: str) -> ClusterGraph:
    """The nodes keep their names."""
    claims = []
    for rack, count in racks.items():
        for number in range(count):
            name = f"{rack}-{number}"
            claims += [Claim(name, "rack", new if rack == old else rack, "file"), Claim(name, "leaf", "l1", "file")]
    return build(fold(Inventory(generation=1), Listed({}, {})), None, {"file": Reading(tuple(claims))})


def test_what_others_edit_delete_or_add_to_comes_back(volcano: Kept) -> None:
    whole = graph({"a": 2, "b": 2})
    volcano.keep(whole)
    before = json.loads(json.dumps(volcano.client.objects))
    volcano.client.objects[f"{HYPER_NODES}/nvtopo-rack-a"]["spec"]["tier"] = 7
    volcano.client.objects[f"{HYPER_NODES}/nvtopo-leaf-l000001"]["spec"]["extra"] = 1
    del volcano.client.objects[f"{HYPER_NODES}/nvtopo-rack-b"]
    assert volcano.keep(whole) == []
    assert len(volcano.keep(whole, CHECK_SECONDS)) == 3
    assert volcano.client.objects == before


def test_an_object_that_lost_its_domain_goes_and_others_objects_stay(volcano: Kept) -> None:
    theirs = {"metadata": {"name": "theirs"}, "spec": {}}
    other = Kept("volcano", owner=Owner("elsewhere", "nvtopo"))
    other.keep(graph({"z": 1}))
    volcano.client.objects |= {f"{HYPER_NODES}/theirs": theirs, **other.client.objects}
    volcano.keep(graph({"a": 2, "b": 2}))
    assert volcano.keep(graph({"a": 2}, 2)) != []
    names = {path.rpartition("/")[2] for path in volcano.client.objects}
    assert names == {"theirs", "nvtopo-rack-a", "nvtopo-leaf-l000001", "nvtopo-rack-z"}


def test_an_object_of_that_name_that_is_not_ours_is_left_alone(volcano: Kept) -> None:
    path = f"{HYPER_NODES}/nvtopo-rack-a"
    volcano.client.objects[path] = {"metadata": {"name": "nvtopo-rack-a"}, "spec": {"by": "hand"}}
    whole = graph({"a": 1})
    assert path not in volcano.keep(whole)
    assert volcano.client.objects[path]["spec"] == {"by": "hand"}
    assert volcano.keeper.applier.figures.refused == 1
    assert volcano.keep(graph({"b": 1}, 2)) != []
    assert path in volcano.client.objects


def test_a_graph_without_nodes_deletes_nothing(volcano: Kept) -> None:
    volcano.keep(graph({"a": 2}))
    assert volcano.keep(machines.graph({}), CHECK_SECONDS) == []
    assert volcano.client.objects


def test_prune_deletes_ours_and_no_other(volcano: Kept) -> None:
    volcano.keep(graph({"a": 2}))
    volcano.client.objects[f"{HYPER_NODES}/theirs"] = {"metadata": {"name": "theirs"}}
    assert exported.prune(volcano.client, "volcano", OWNER) == 2
    assert list(volcano.client.objects) == [f"{HYPER_NODES}/{quote('theirs')}"]


def test_a_kind_that_cannot_be_read_stops_no_other_and_is_told() -> None:
    kept = Kept("volcano", "kai")
    kept.client.refusing = True
    assert kept.keep(graph({"a": 2})) == []
    assert kept.keeper.failed_at.keys() == {"volcano", "kai"}
    kept.client.refusing = False
    assert len(kept.keep(graph({"a": 2}), CHECK_SECONDS)) == 3
    samples = {family.series.name: family for family in export_metrics.families(kept.keeper)}
    assert samples.keys() == {series.name for series in export_metrics.SERIES}


def test_an_answer_that_is_no_list_stops_nothing(volcano: Kept) -> None:
    volcano.client.answer = b"<html>"
    assert volcano.keep(graph({"a": 2})) == []
    assert volcano.keeper.failed_at.keys() == {"volcano"}
    volcano.client.answer = None
    assert len(volcano.keep(graph({"a": 2}), CHECK_SECONDS)) == 2


@pytest.mark.parametrize("metadata", ["x", [], {"labels": "x", "annotations": []}, {"labels": {}, "annotations": 7}])
def test_an_object_whose_metadata_is_none_is_not_ours(metadata: object) -> None:
    assert not owned.is_ours({"metadata": metadata}, "volcano", OWNER)


def test_a_kind_that_cannot_be_made_deletes_nothing_and_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept("volcano", "kai")
    kept.keep(graph({"a": 2}))
    before = dict(kept.client.objects)
    fails = {**kinds.OBJECTS, "volcano": lambda _: [{"kind": "HyperNode"}]}
    monkeypatch.setattr(kinds, "OBJECTS", fails)
    written = kept.keep(graph({"a": 2, "b": 2}, 2), CHECK_SECONDS)
    assert not [path for path in written if path.startswith(HYPER_NODES)]
    assert kept.keeper.failed_at.keys() == {"volcano"}
    assert kept.client.objects.keys() >= before.keys()
