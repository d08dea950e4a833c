"""What placement takes of the graph: the GPUs that are well and free, and why a node takes no pods."""

import pytest
from msgspec.structs import replace

from nvtopo.cluster.events import Event, Listed, Silent, Unreadable
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, fold_all
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.node import NodeTopology
from nvtopo.placement import hosts, links
from nvtopo.placement.fleet import Host
from nvtopo.placement.links import Link
from nvtopo.sources.capture import read_capture
from tests.hosts.recorded import FIXTURES

WELL = "h100-sxm-8gpu-8cx7"


def machine(name: str = WELL) -> NodeTopology:
    return assemble(read_capture(FIXTURES / "hosts" / name / "capture.json"))


def graph(name: str = WELL, *events: Event) -> ClusterGraph:
    return build(fold_all(Inventory(), [Listed({"a": machine(name)}), *events]))


def only(of: ClusterGraph, *, degraded: bool = False) -> Host:
    (host,) = hosts.of_graph(of, degraded=degraded).hosts.values()
    return host


def test_a_well_machine_has_all_its_gpus_in_one_group() -> None:
    host = only(graph())
    assert (host.excluded, host.free, host.group_size) == (None, (tuple(range(8)),), 8)
    assert host.labels == {"kubernetes.io/hostname": "a"}


def test_gpus_that_are_held_are_not_free() -> None:
    (host,) = hosts.of_graph(graph(), {"a": (0, 7), "elsewhere": (1,)}).hosts.values()
    assert host.free == ((1, 2, 3, 4, 5, 6),)
    assert host.groups == (tuple(range(8)),)


@pytest.mark.parametrize(
    ("name", "events", "reason"),
    [
        (WELL, [Silent({"a": None})], "stale"),
        (WELL, [Unreadable("a", "torn")], "its NodeTopology is not readable"),
        ("h100-fabric-registering", [], "not ready"),
        ("h100-one-link-down", [], "not ready"),
        ("laptop-no-gpu", [], "no GPU"),
        ("h100-no-driver", [], "its GPUs do not answer"),
        ("h100-driver-mismatch", [], "its GPUs do not answer"),
        ("mi300x-8gpu", [], "none of its GPUs is the NVIDIA driver's"),
    ],
)
def test_why_a_node_takes_no_pods(name: str, events: list[Event], reason: str) -> None:
    host = only(graph(name, *events))
    assert (host.excluded, host.room(1)) == (reason, 0)


@pytest.mark.parametrize("name", [WELL, "l40s-8gpu-pcie"])
def test_a_node_with_a_gpu_in_mig_mode_takes_no_gang(name: str) -> None:
    of = machine(name)
    first, *others = of.gpus
    sliced = replace(of, gpus=(replace(first, mig=True), *others))
    host = only(build(fold_all(Inventory(), [Listed({"a": sliced})])))
    assert (host.excluded, host.room(1)) == ("its NVLink groups are not known", 0)


def test_degraded_gpus_serve_only_if_that_is_allowed() -> None:
    of = graph("h100-one-link-down")
    assert only(of).room(1) == 0
    assert only(of, degraded=True).room(8) == 1


def test_a_gpu_that_two_nodes_claim_serves_nobody() -> None:
    both = build(fold_all(Inventory(), [Listed({"a": machine(), "b": machine()})]))
    assert {host.room(1) for host in hosts.of_graph(both).hosts.values()} == {0}


def test_a_farther_level_is_never_better_than_a_closer_one() -> None:
    given = {"leaf": Link(1, 10**15), "node": Link(7, 10**9)}
    table = links.table(("node", "leaf", "fleet"), given)
    assert [link.latency_ps for link in table] == sorted(link.latency_ps for link in table)
    assert [link.bytes_per_second for link in table] == sorted((link.bytes_per_second for link in table), reverse=True)
