from pathlib import Path

import msgspec
import pytest

from nvtopo.aggregator import fleet
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, fold
from nvtopo.errors import ParseError, ReadError
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.facts import GpuFacts, HostFacts, NvmlFacts, RdmaDevice, RdmaFacts, RdmaPort
from nvtopo.model.records.snapshot import VERSION, Snapshot
from nvtopo.model.records.spec import compact
from tests.fabrics import ibfabric
from tests.hosts.recorded import FIXTURES

SMALL = ibfabric.Shape(racks=2, hosts=2, rails=2, spines=1)


def capture(directory: Path, file: str, name: str, gpus: int = 4) -> None:
    snapshot = Snapshot(
        capture=VERSION,
        host=HostFacts(name=name) if name else None,
        nvml=NvmlFacts(gpus=tuple(GpuFacts(index=index, uuid=f"GPU-{name}-{index}") for index in range(gpus))),
    )
    (directory / file).write_bytes(msgspec.json.encode(snapshot))


def test_every_capture_is_a_node(tmp_path: Path) -> None:
    capture(tmp_path, "1.json", "a")
    capture(tmp_path, "2.json", "b", gpus=8)
    (tmp_path / "README.md").write_text("not a capture")
    assert {name: len(node.gpus) for name, node in fleet.read(tmp_path).listed.nodes.items()} == {"a": 4, "b": 8}


def test_of_two_captures_of_one_node_the_first_stands_and_both_are_named(tmp_path: Path) -> None:
    capture(tmp_path, "1.json", "a")
    capture(tmp_path, "2.json", "a", gpus=8)
    found = fleet.read(tmp_path)
    assert len(found.listed.nodes["a"].gpus) == 4
    reason = found.readings["2.json"].refused or ""
    assert "node 'a' is in" in reason
    assert "1.json already" in reason
    assert not found.listed.unreadable


def test_a_folder_holds_captures_resources_and_files_of_the_network(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.json").write_text("{")
    capture(tmp_path, "1.json", "node-0-00")
    resource = {"kind": "NodeTopology", "metadata": {"name": "node-0-01.example"}, "spec": {"gpus": []}}
    (tmp_path / "deep" / "list.json").write_bytes(msgspec.json.encode({"kind": "List", "items": [resource]}))
    (tmp_path / "deep" / "er" / "ib.txt").write_text(ibfabric.text(ibfabric.wired(SMALL)))
    (tmp_path / "bad.json").write_text('{"capture": 1, "host"')
    (tmp_path / "notes.txt").write_text("rack 3 is warm")
    found = fleet.read(tmp_path)
    assert sorted(found.listed.nodes) == ["node-0-00", "node-0-01.example"]
    assert "expected a capture" in found.listed.unreadable["bad"]
    refused = {name for name, reading in found.readings.items() if reading.refused is not None}
    assert refused == {"bad.json", "notes.txt"}
    graph = build(fold(Inventory(), found.listed), None, found.readings)
    assert graph.nodes["node-0-00"].tiers["leaf"] == graph.nodes["node-0-01.example"].tiers["leaf"]
    assert {"bad.json", "notes.txt"} <= {one.finding.subject for one in graph.drift}


@pytest.mark.parametrize("form", ["capture", "resource"])
def test_captures_and_resources_name_the_hosts_of_a_fabric_by_guid(tmp_path: Path, form: str) -> None:
    fabric = ibfabric.wired(SMALL)
    nameless = {key: "ConnectX" if key.startswith("H") else said for key, said in fabric.said.items()}
    (tmp_path / "ib.txt").write_text(ibfabric.text(fabric._replace(said=nameless)))
    with pytest.raises(ParseError, match=r"ib\.txt: no host names; 8 adapters on 4 leaves"):
        fleet.read(tmp_path)
    for name in ("node-0-00", "node-0-01", "node-1-00", "node-1-01"):
        keys = [key for key, said in fabric.said.items() if said.startswith(name)]
        ports = (RdmaPort(number=1, link_layer="InfiniBand"),)
        devices = tuple(
            RdmaDevice(name=f"mlx5_{at}", node_guid=_dotted(key[2:]), ports=ports) for at, key in enumerate(keys)
        )
        snapshot = Snapshot(capture=VERSION, host=HostFacts(name=name), rdma=RdmaFacts(devices=devices))
        node = {"kind": "NodeTopology", "metadata": {"name": name}, "spec": compact(assemble(snapshot))}
        written = node if form == "resource" else snapshot
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(written))
    found = fleet.read(tmp_path)
    leaves = {claim.node: claim.id for claim in found.readings["ib.txt"].claims if claim.tier == "leaf"}
    assert leaves["node-0-00"] == leaves["node-0-01"] != leaves["node-1-00"] == leaves["node-1-01"]
    assert {port.nic for port in found.readings["ib.txt"].ports} == {"mlx5_0", "mlx5_1"}


def _dotted(guid: str) -> str:
    """As the kernel writes it: ``b83f:d203:0000:0001``."""
    return ":".join(guid[at : at + 4] for at in range(0, 16, 4))


def test_a_capture_without_a_name_is_an_error(tmp_path: Path) -> None:
    capture(tmp_path, "1.json", "")
    with pytest.raises(ParseError, match=r"1\.json: expected the host's name"):
        fleet.read(tmp_path)


def test_a_malformed_capture_names_file_and_position(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text('{"capture": 1, "host": {"name": 5}}')
    with pytest.raises(ParseError, match=r"1\.json: .*\$\.host\.name"):
        fleet.read(tmp_path)


def test_an_empty_directory_holds_no_captures(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="found none"):
        fleet.read(tmp_path)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="nowhere: No such file or directory"):
        fleet.read(tmp_path / "nowhere")


def test_a_file_that_tells_of_the_others_is_no_machine(tmp_path: Path) -> None:
    capture = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "capture.json"
    (tmp_path / "a.json").write_bytes(capture.read_bytes())
    for name in ("README", "README.md", "PROVENANCE", "a.json.src", "License.txt"):
        (tmp_path / name).write_text("of the machines in this folder\n", encoding="utf-8")
    found = fleet.read(tmp_path)
    assert len(found.listed.nodes) == 1
    assert not found.listed.unreadable
    assert not found.readings
