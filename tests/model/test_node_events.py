"""What Kubernetes Events say, as a golden file: one machine before and after."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from msgspec.structs import replace

from nvtopo.cluster.drift_events import BEGAN, ENDED
from nvtopo.model.changes import event_reasons
from nvtopo.model.changes.node_events import DROPPED, LONGEST_NOTE_BYTES, REASONS, NodeEvent, of_nvml
from nvtopo.model.changes.node_events import of_changes as of_found_changes
from nvtopo.model.changes.topology import changes
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.facts import GpuFabric
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.nvml_events import XIDS, Kind, NvmlEvent
from nvtopo.model.records.record import Problem
from nvtopo.sources.capture import read_capture
from tests import golden
from tests.daemonset import shipped
from tests.hosts.recorded import FIXTURES

GOLDEN: Final = Path(__file__).parent / "golden" / "node_events.txt"
HEALTHY: Final = read_capture(FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "capture.json")
assert HEALTHY.nvml is not None
assert HEALTHY.rdma is not None
NVML, RDMA = HEALTHY.nvml, HEALTHY.rdma
SILENT: Final = Problem(source="nvml", subject="driver", reason="no answer within 20 s: the driver hangs")


def gpu(index: int, change: Callable[[Any], Any]) -> NodeTopology:
    """The node, with that GPU's facts changed."""
    gpus = tuple(change(one) if one.index == index else one for one in NVML.gpus)
    return assemble(replace(HEALTHY, nvml=replace(NVML, gpus=gpus)))


def link_down(facts: Any) -> Any:
    links = list(facts.nvlinks)
    links[7] = replace(links[7], state="inactive", bytes_per_second=None, remote=None, remote_address=None)
    return replace(facts, nvlinks=tuple(links))


def without(*indices: int) -> NodeTopology:
    gpus = tuple(one for one in NVML.gpus if one.index not in indices)
    pairs = tuple(pair for pair in NVML.pairs if not {pair.a, pair.b} & set(indices))
    return assemble(replace(HEALTHY, nvml=replace(NVML, gpus=gpus, pairs=pairs, lost=len(indices))))


def port_down() -> NodeTopology:
    devices = tuple(
        replace(one, ports=(replace(one.ports[0], state="DOWN"),)) if one.name == "mlx5_2" else one
        for one in RDMA.devices
    )
    return assemble(replace(HEALTHY, rdma=replace(RDMA, devices=devices)))


HEALTHY_NODE: Final = assemble(HEALTHY)
HUNG: Final = assemble(replace(HEALTHY, nvml=None, problems=(SILENT,)))
UNHEALTHY: Final = GpuFabric(state="completed", status=0, health_summary="unhealthy")
AFTER: Final = {
    "a link goes down": gpu(2, link_down),
    "a GPU falls off the bus": without(3),
    "the fabric calls a GPU unhealthy": gpu(0, lambda facts: replace(facts, fabric=UNHEALTHY)),
    "a GPU's PCIe link narrows": gpu(1, lambda facts: replace(facts, link=replace(facts.link, width=8))),
    "MIG is switched on": gpu(5, lambda facts: replace(facts, mig=True)),
    "a port goes down": port_down(),
    "the driver is upgraded": assemble(replace(HEALTHY, nvml=replace(NVML, driver_version="590.48.01"))),
    "the driver hangs": HUNG,
    "every GPU is gone": without(*range(8)),
}
EVENTS: Final = (
    NvmlEvent(kind="xid", gpu=3, uuid="GPU-3", xid=79),
    NvmlEvent(kind="xid", gpu=3, uuid="GPU-3", xid=31),
    NvmlEvent(kind="xid", gpu=3, uuid="GPU-3", xid=4711),
    NvmlEvent(kind="double-bit-ecc", gpu=0, uuid="GPU-0"),
    NvmlEvent(kind="recovery-action", gpu=0, uuid="GPU-0"),
    NvmlEvent(kind="gpu-lost"),
)


def of_changes(
    before: NodeTopology, after: NodeTopology, answered: NodeTopology | None = None
) -> tuple[NodeEvent, ...]:
    return of_found_changes(before, after, changes(before, after), answered)


def rendered(found: tuple[NodeEvent, ...]) -> str:
    return "".join(f"  {one.type:7} {one.reason}: {one.note}\n" for one in found)


def test_what_is_said_of_each_change_and_of_its_end() -> None:
    text = "".join(
        f"{name}:\n{rendered(of_changes(HEALTHY_NODE, node))}and back:\n{rendered(of_changes(node, HEALTHY_NODE))}\n"
        for name, node in AFTER.items()
    )
    golden.check(text + "NVML:\n" + rendered(tuple(map(of_nvml, EVENTS))), GOLDEN)


def test_a_driver_that_hangs_took_no_gpu_away_and_what_it_took_is_said_when_it_answers() -> None:
    said = of_changes(HEALTHY_NODE, HUNG) + of_changes(HUNG, HEALTHY_NODE, HEALTHY_NODE)
    assert {one.reason for one in said} == {"Unreadable", "ReadableAgain"}
    after = of_changes(HUNG, without(3), HEALTHY_NODE)
    assert "GPUGone" in {one.reason for one in after}


def test_nothing_changed_is_nothing_said() -> None:
    assert of_changes(HEALTHY_NODE, HEALTHY_NODE) == ()


def test_a_note_is_never_too_long_and_says_what_it_leaves_out() -> None:
    long = tuple(Problem(source="pci", subject=f"device {n}", reason=f"{n}" + "ü" * 100) for n in range(30))
    (said,) = of_changes(HEALTHY_NODE, replace(HEALTHY_NODE, problems=long))
    assert len(said.note.encode()) <= LONGEST_NOTE_BYTES == 1024, "the API server refuses longer ones"
    assert said.note.endswith(" more")
    (one,) = of_changes(HEALTHY_NODE, replace(HEALTHY_NODE, problems=(replace(long[0], reason="ü" * 3000),)))
    assert 900 < len(one.note.encode()) <= LONGEST_NOTE_BYTES


def test_every_known_xid_is_said_with_its_meaning() -> None:
    for number, meaning in XIDS.items():
        assert of_nvml(NvmlEvent(kind="xid", gpu=0, uuid="GPU-0", xid=number)).note.endswith(f"{number}: {meaning}")


def test_every_reason_is_in_the_documentation() -> None:
    listed = (FIXTURES.parent / "docs" / "events.md").read_text()
    reasons = {line.split()[1].rstrip(":") for line in GOLDEN.read_text().splitlines() if line.startswith("  ")}
    every = {of_nvml(NvmlEvent(kind=kind)).reason for kind in get_args(Kind)}
    assert len(reasons | every) > 20
    assert [reason for reason in sorted(reasons | every) if f"`{reason}`" not in listed] == []


def test_documentation_and_policy_list_the_same_reasons() -> None:
    golden = {line.split()[1].rstrip(":") for line in GOLDEN.read_text().splitlines() if line.startswith("  ")}
    assert golden <= REASONS
    rows = (
        line for line in (FIXTURES.parent / "docs" / "events.md").read_text().splitlines() if line.startswith("| `")
    )
    documented = {reason for row in rows for reason in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert documented == REASONS | {BEGAN, ENDED}
    (policy,) = (
        each
        for each in shipped.base()
        if each["metadata"]["name"] == "nvtopo-agent-events" and "variables" in each["spec"]
    )
    (listed,) = (each["expression"] for each in policy["spec"]["variables"] if each["name"] == "reasons")
    assert set(re.findall(r"'(\w+)'", listed)) == REASONS


def test_the_aggregators_policy_lists_its_reasons() -> None:
    (policy,) = (
        each
        for each in shipped.base()
        if each["metadata"]["name"] == "nvtopo-aggregator-events" and "validations" in each["spec"]
    )
    (expression,) = (one["expression"] for one in policy["spec"]["validations"] if "object.reason" in one["expression"])
    listed = re.findall(r"'(\w+)'", expression.partition(" in [")[2])
    assert set(listed) == {BEGAN, ENDED, DROPPED}


def test_every_reason_that_the_code_can_give_is_listed() -> None:
    said = set(re.findall(r'\("(?:Normal|Warning)", "(\w+)"\)', Path(event_reasons.__file__).read_text()))
    assert len(said) > 10
    assert said <= REASONS


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({7: "active"}, {7: "inactive"}, "NVLinkDown"),
        ({7: "inactive"}, {7: "active"}, "NVLinkUp"),
        ({7: "active", 8: "inactive"}, {7: "inactive", 8: "active"}, "NVLinkDown"),
        ({7: "active"}, {7: None}, "GPUChanged"),
        ({7: None}, {7: "active"}, "GPUChanged"),
        ({7: None}, {7: "inactive"}, "GPUChanged"),
        ({7: "active"}, {7: "sleep"}, "GPUChanged"),
        ({7: "active"}, {7: "traffic-disabled"}, "NVLinkDown"),
    ],
)
def test_a_link_is_down_or_up_where_that_is_known(
    before: dict[int, str | None], after: dict[int, str | None], reason: str
) -> None:
    (said,) = of_changes(with_states(before), with_states(after))
    assert said.reason == reason


def with_states(states: dict[int, str | None]) -> NodeTopology:
    """The node, with these states of links of GPU 2; its other links are active."""

    def change(facts: Any) -> Any:
        links = (replace(link, state=states.get(link.link, "active")) for link in facts.nvlinks)
        return replace(facts, nvlinks=tuple(links))

    return gpu(2, change)


@pytest.mark.parametrize(("width", "reason"), [(8, "PCIeLinkNarrowed"), (32, "PCIeLinkWidened"), (None, "GPUChanged")])
def test_a_pcie_link_is_narrow_where_its_width_is_known(width: int | None, reason: str) -> None:
    (said,) = of_changes(HEALTHY_NODE, gpu(1, lambda facts: replace(facts, link=replace(facts.link, width=width))))
    assert said.reason == reason
