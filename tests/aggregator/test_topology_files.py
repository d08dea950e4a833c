import gzip
import json
import os
import shutil
from pathlib import Path

import pytest

from nvtopo.aggregator import topology_files
from nvtopo.aggregator.known import KnownNodes
from nvtopo.aggregator.topology_files import TopologyFiles
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.inventory import Listed
from nvtopo.fabrics.fabric import Known
from tests.aggregator.running import PATIENCE, Script, looping, running
from tests.cluster import machines
from tests.fabrics import ibfabric

OWN = "apiVersion: nvtopo.io/v1alpha1\nkind: ClusterTopology\ntiers:\n  zone:\n    {zone}: node-[0-1]\n"
SLURM = "SwitchName=s0 Nodes=node-0\nSwitchName=s1 Nodes=node-1\nSwitchName=top Switches=s[0-1]\n"


class Folder:
    """A folder that is looked at when the test says so."""

    def __init__(self, path: Path, known: Known | None = None) -> None:
        self.path = path
        self.known = known
        self.published: list[dict[str, Reading]] = []
        self._files = TopologyFiles(path, lambda: self.known, lambda said: self.published.append(dict(said)))

    def write(self, name: str, text: str) -> None:
        """As an editor and the kubelet do: another file under the same name."""
        (self.path / ".new").write_text(text)
        (self.path / ".new").replace(self.path / name)

    def look(self) -> dict[str, Reading]:
        self._files.look()
        return self.published[-1] if self.published else {}

    def claimed(self) -> set[tuple[str, str, str]]:
        return {(one.node, one.tier, one.id) for reading in self.look().values() for one in reading.claims}

    def complaints(self) -> list[tuple[str, str]]:
        found = [one for reading in self.look().values() for one in reading.findings if one.kind == "source"]
        return [(one.finding.subject, one.reason) for one in found]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_every_kind_of_file_counts_and_one_that_is_none_is_named(folder: Folder) -> None:
    folder.write("own.yaml", OWN.format(zone="hall-1"))
    folder.write("topology.conf", SLURM)
    folder.write("notes.txt", "call Bob")
    assert {("node-0", "zone", "hall-1"), ("node-1", "zone", "hall-1"), ("node-0", "leaf", "s0")} <= folder.claimed()
    [(subject, reason)] = folder.complaints()
    assert subject == "notes.txt"
    assert "expected a source of the network" in reason


def test_nothing_is_published_twice(folder: Folder) -> None:
    folder.write("own.yaml", OWN.format(zone="hall-1"))
    folder.look()
    folder.look()
    folder.write("own.yaml", OWN.format(zone="hall-1"))
    folder.look()
    assert len(folder.published) == 1


def test_a_file_that_breaks_keeps_its_last_good_version_in_force_and_says_so(folder: Folder) -> None:
    folder.write("own.yaml", OWN.format(zone="hall-1"))
    folder.write("topology.conf", SLURM)
    before = folder.claimed()
    folder.write("own.yaml", "kind: ClusterTopology\ntiers: [")
    assert folder.claimed() == before
    [(subject, reason)] = folder.complaints()
    assert subject == "own.yaml"
    assert reason.endswith("what its last good version said stays in force")
    folder.write("own.yaml", OWN.format(zone="hall-2"))
    assert ("node-0", "zone", "hall-2") in folder.claimed()
    assert folder.complaints() == []


def test_broken_json_says_where_it_is_broken(folder: Folder) -> None:
    folder.write("netq.json", '{"nodes": [')
    [(subject, reason)] = folder.complaints()
    assert subject == "netq.json"
    assert "truncated" in reason


def test_a_file_that_never_was_good_says_nothing_of_a_good_version(folder: Folder) -> None:
    folder.write("own.yaml", "kind: ClusterTopology\ntiers: [")
    [(_, reason)] = folder.complaints()
    assert "stays in force" not in reason


def test_a_file_that_is_gone_says_nothing_any_more(folder: Folder) -> None:
    folder.write("own.yaml", OWN.format(zone="hall-1"))
    assert folder.claimed()
    (folder.path / "own.yaml").unlink()
    assert folder.look() == {}


def test_a_folder_that_can_not_be_read_takes_nothing_back(folder: Folder) -> None:
    folder.write("own.yaml", OWN.format(zone="hall-1"))
    before = folder.claimed()
    shutil.rmtree(folder.path)
    assert folder.claimed() == before
    [refused] = [reading.refused for reading in folder.look().values() if reading.refused is not None]
    assert refused == "No such file or directory; what its last good version said stays in force"


def test_a_file_may_be_packed_and_what_all_unpack_to_is_bounded(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = OWN.format(zone="hall-1").encode()
    monkeypatch.setattr(topology_files, "MOST_BYTES_IN_ALL", 2 * len(text) + 1000)
    (folder.path / "a.yaml.gz").write_bytes(gzip.compress(text))
    assert ("node-0", "zone", "hall-1") in folder.claimed()
    (folder.path / "b.yaml.gz").write_bytes(gzip.compress(text + b"#" * 10_000))
    [(subject, reason)] = folder.complaints()
    assert subject == "b.yaml.gz"
    assert "unpacked, got more" in reason
    assert ("node-0", "zone", "hall-1") in folder.claimed()


@pytest.mark.parametrize("labels", [{"rack": "r1"}, {"rack": "r1", "topology.kubernetes.io/zone": "z"}])
def test_hypernodes_choose_by_the_labels_of_nodes_in_another_file(folder: Folder, labels: dict[str, str]) -> None:
    folder.known = Known({}, frozenset())
    members = [{"type": "Node", "selector": {"labelMatch": {"matchLabels": {"rack": "r1"}}}}]
    hyper = {"apiVersion": "topology.volcano.sh/v1alpha1", "kind": "HyperNode", "metadata": {"name": "s1"}}
    folder.write("hyper.json", json.dumps(hyper | {"spec": {"tier": 1, "members": members}}))
    [(subject, _reason)] = folder.complaints()
    assert subject == "hyper.json"
    nodes = {"kind": "List", "items": [{"kind": "Node", "metadata": {"name": "node-0", "labels": labels}}]}
    folder.write("nodes.json", json.dumps(nodes))
    assert folder.complaints() == []
    assert ("node-0", "leaf", "s1") in folder.claimed()


@pytest.mark.parametrize("bound", ["MOST_FILES", "MOST_BYTES_IN_ALL"])
def test_a_folder_beyond_a_bound_is_refused_as_a_whole(
    folder: Folder, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology_files, bound, 1)
    for name in ("a.yaml", "b.yaml"):
        folder.write(name, OWN.format(zone="hall-1"))
    [refused] = [reading.refused for reading in folder.look().values()]
    assert "found more" in (refused or "")


def test_a_mounted_config_map_is_followed_through_its_links(folder: Folder) -> None:
    for version, zone in (("..1", "hall-1"), ("..2", "hall-2")):
        (folder.path / version).mkdir()
        (folder.path / version / "own.yaml").write_text(OWN.format(zone=zone))
    (folder.path / "..data").symlink_to("..1")
    (folder.path / "own.yaml").symlink_to("..data/own.yaml")
    assert ("node-0", "zone", "hall-1") in folder.claimed()
    (folder.path / "..new").symlink_to("..2")
    (folder.path / "..new").replace(folder.path / "..data")
    assert ("node-0", "zone", "hall-2") in folder.claimed()


def test_what_needs_the_nodes_waits_for_them_without_a_complaint(folder: Folder) -> None:
    folder.write("fabric.txt", ibfabric.text(ibfabric.wired(ibfabric.Shape(racks=2, hosts=2, rails=2, spines=1))))
    assert folder.look() == {}
    folder.known = Known({}, frozenset())
    assert folder.claimed()


def test_a_file_is_no_file(folder: Folder) -> None:
    os.mkfifo(folder.path / "pipe.yaml")
    assert folder.look() == {}


@pytest.mark.slow
def test_the_running_loop_folds_what_files_say_and_takes_it_back(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN.format(zone="hall-1"))
    script = Script(Listed({"node-0": machines.tray(), "node-1": machines.tray(number=1)}))

    def zones(graph: ClusterGraph | None) -> set[str | None]:
        assert graph is not None
        return {node.tiers.get("zone") for node in graph.nodes.values()}

    with running(script) as aggregator:
        files = TopologyFiles(
            tmp_path,
            KnownNodes(lambda: aggregator.graph),
            lambda said: aggregator.tell(topology_files.SOURCE, said),
            look_seconds=0.01,
        )
        with looping(files.run):
            graph = aggregator.wait(1, PATIENCE)
            assert zones(graph) == {"hall-1"}
            path.unlink()
            graph = aggregator.wait(2, PATIENCE)
            assert zones(graph) == {None}
