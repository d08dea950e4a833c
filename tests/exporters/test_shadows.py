"""What our DRA driver says of each machine of ``fixtures/hosts``, and what it leaves out."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from nvtopo.aggregator import fleet
from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.slices import doubts
from nvtopo.exporters.resource_slices import MOST_DEVICES, slices
from nvtopo.exporters.shadows import BUS_ID, DRIVER, Shadow, Shadows, shadows
from nvtopo.kube import resource_slices
from nvtopo.model.conclusions import health, nvlink
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.records.expected import Expected, PcieExpectation
from nvtopo.model.records.node import GpuPair, NodeTopology
from tests import golden
from tests.exporters.clusters import HOSTS

GOLDEN: Final = Path(__file__).parent / "golden" / "shadows"
MACHINES: Final = sorted(path.parent.name for path in HOSTS.glob("*/capture.json"))


@cache
def machine(name: str) -> NodeTopology:
    """One of ``fixtures/hosts``."""
    (node,) = fleet.read(HOSTS / name / "capture.json").listed.nodes.values()
    return node


def line(one: Shadow) -> str:
    told = {key.rpartition("/")[2]: value for key, value in one.attributes.items()}
    left_out = ("type", "uuid", "pciBusID", "pciAddress")
    words = [f"{key}={value}" for key, value in told.items() if key not in left_out]
    return " ".join((one.name, *words, *([f"[{one.ill.code}: {one.words}]"] if one.ill else [])))


def test_all_machines() -> None:
    lines = list[str]()
    for name in MACHINES:
        found = shadows(machine(name))
        lines += [f"{name}:", *(f"  {line(one)}" for one in (*found.nodes, *found.gpus, *found.nics)), ""]
    golden.check("\n".join(lines), GOLDEN / "machines.txt")


@pytest.mark.parametrize("name", ["h100-one-link-down", "gb300-nvl72-tray"])
def test_slices(name: str) -> None:
    documents = slices("node-1", shadows(machine(name)))
    golden.check(json.dumps(documents, indent=1) + "\n", GOLDEN / f"{name}.json")


@pytest.mark.parametrize("name", MACHINES)
def test_two_of_a_group_are_joined_by_nvlink(name: str) -> None:
    """Where a third GPU joins two (a cube mesh), they are in no group together."""
    node = machine(name)
    index_of = {gpu.pci_address: gpu.index for gpu in node.gpus}
    joined = nvlink.paths(node)
    group_of = {
        index_of[one.attributes[BUS_ID]]: one.attributes["nvlinkGroup"]  # type: ignore[index]
        for one in shadows(node).gpus
        if "nvlinkGroup" in one.attributes
    }
    same = {(a, b) for a, group in group_of.items() for b, other in group_of.items() if a < b and group == other}
    assert same <= joined.keys()


def test_a_gpu_in_mig_mode_has_no_shadow() -> None:
    assert shadows(machine("a100-mig-on")).gpus == ()


@pytest.mark.parametrize("name", MACHINES)
def test_the_whole_node_is_avoided_as_long_as_it_is_not_ready(name: str) -> None:
    node = machine(name)
    found = shadows(node).nodes
    if not node.gpus or any(gpu.mig for gpu in node.gpus):
        assert found == ()
        return
    (whole,) = found
    assert whole.attributes["gpus"] == len(node.gpus)
    assert (whole.ill is not None) == (derive(node).health.ready is False)


def test_both_gpus_of_one_sided_links_are_tainted() -> None:
    node = machine("h100-nvl-pairs")
    problems = (*node.problems, *nvlink.one_sided(node.gpus))
    assert not any(one.ill for one in shadows(replace(node, problems=problems)).gpus)
    first, second, *others = node.gpus
    lame = replace(first, nvlinks=tuple(replace(one, peers=dict.fromkeys(one.peers, "0")) for one in first.nvlinks))
    gpus = (lame, second, *others)
    found = shadows(replace(node, gpus=gpus, problems=nvlink.one_sided(gpus)))
    assert [one.ill is not None for one in found.gpus[:4]] == [True, True, False, False]


def test_what_is_not_known_is_not_said() -> None:
    node = machine("h100-sxm-8gpu-8cx7")
    blind = replace(
        node,
        nics=(),
        gpus=tuple(replace(gpu, path="", numa_node=None, uuid="u" * 65) for gpu in node.gpus),
        pairs=tuple(GpuPair(a=a, b=b, nvlink_p2p="U") for a in range(8) for b in range(a + 1, 8)),
    )
    assert {key for one in shadows(blind).gpus for key in one.attributes} == {"type", BUS_ID}


def test_a_gpu_without_address_can_t_be_tied_and_is_left_out() -> None:
    node = machine("t4-single-edge")
    (gpu,) = node.gpus
    assert shadows(replace(node, gpus=(replace(gpu, pci_address=None),))).gpus == ()


def test_each_pool_is_one_slice_of_what_one_may_hold() -> None:
    many = tuple(Shadow(f"nic-{number}", {}) for number in range(MOST_DEVICES + 1))
    documents = slices("node-1", Shadows(nics=many))
    pools = [one["spec"]["pool"]["name"] for one in documents]
    assert pools == ["node-1/nics", "node-1/nics-1"]
    assert [len(one["spec"]["devices"]) for one in documents] == [MOST_DEVICES, 1]


def test_names_fit_for_the_longest_name_of_a_node() -> None:
    longest = ".".join(["n" * 60] * 4)
    first, second = (slices(name, Shadows(gpus=(Shadow("gpu", {}),)))[0] for name in (longest, f"m{longest[1:]}"))
    assert _names(first) & _names(second) == set()
    assert all(len(name) <= 253 for name in _names(first))


def _names(document: dict[str, Any]) -> set[str]:
    return {document["metadata"]["name"], document["spec"]["pool"]["name"]}


def test_the_driver_s_name_is_the_one_of_the_classes() -> None:
    assert DRIVER == "topo.nvtopo.io"


@pytest.mark.parametrize("name", MACHINES)
def test_what_we_publish_is_what_nvtopo_itself_expects_of_drivers(name: str) -> None:
    """The aggregator compares every driver's slices with the nodes, and finds nothing to say of ours."""
    node = machine(name)
    published = [
        resource_slices.read(msgspec.Raw(msgspec.json.encode(document))).value
        for document in slices("node-1", shadows(node))
    ]
    assert doubts(published, GraphNode("node-1", node)) == frozenset()


def test_what_is_not_as_expected_and_in_no_job_s_way_is_no_taint() -> None:
    node = replace(machine("h100-sxm-8gpu-8cx7"), expected=Expected(pcie=PcieExpectation(width=32)))
    assert {one.level for one in health.of(node).gpus.values()} == {"degraded"}
    assert not any(one.ill for one in shadows(node).gpus)
