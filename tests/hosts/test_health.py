"""One health: what every machine of ``fixtures/hosts`` is, and that everybody who shows or judges it says the same."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from nvtopo.aggregator.status import status_of
from nvtopo.cluster.nodes import readable
from nvtopo.model.changes import node_events
from nvtopo.model.changes.topology import changes
from nvtopo.model.conclusions import presence
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import Derived, derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.conclusions.health import gpu_nvlink_degraded
from nvtopo.model.conclusions.health_kinds import ILL, Level
from nvtopo.model.conclusions.hierarchy import functions_of
from nvtopo.model.records.facts import PcieLink
from nvtopo.model.records.node import Gpu, GpuPair, NodeTopology
from nvtopo.model.records.record import Problem
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.document import derived as derived_document
from nvtopo.sinks.metrics import health as health_metrics
from nvtopo.sinks.metrics import pairs
from nvtopo.sinks.metrics.series import text as page_of
from nvtopo.sinks.picture import dot, svg
from nvtopo.sinks.publish import node_feature
from nvtopo.sinks.text import tree
from nvtopo.sources.capture import parse_capture
from tests.hosts.recorded import HOSTS

_SVG: Final = "{http://www.w3.org/2000/svg}"


class Well(NamedTuple):
    """What a machine is: its ``ready``, its level, and its GPUs that are not ``ok``."""

    ready: bool | None = True
    level: Level = "ok"
    gpus: Mapping[int, Level] = {}
    codes: tuple[str, ...] = ()
    """Of its reasons, each once, sorted."""


def _all(count: int, level: Level) -> dict[int, Level]:
    return dict.fromkeys(range(count), level)


#: Every other machine is well.
ODD: Final[Mapping[str, Well]] = {
    "gb200-fabric-unhealthy": Well(ready=False, level="fault", gpus=_all(4, "fault"), codes=("fabric-unhealthy",)),
    "gb200-insufficient-resources": Well(ready=False, level="fault", gpus=_all(4, "fault"), codes=("fabric-error",)),
    "gb200-fabric-not-supported": Well(
        ready=False, level="fault", gpus=_all(4, "fault"), codes=("fabric-not-supported",)
    ),
    "h100-needs-reset": Well(
        ready=False, level="fault", gpus={2: "fault", 5: "fault"}, codes=("gpu-memory-repair", "gpu-recovery")
    ),
    "gb200-mixed-fabric": Well(ready=False, level="fault", gpus={3: "fault"}, codes=("fabric-error", "fabric-mixed")),
    "gb200-rails-down": Well(ready=False, level="fault", gpus={}, codes=("ports-down", "rails-down")),
    "gb200-fabric-new-health": Well(ready=None, level="unknown", gpus=_all(4, "unknown"), codes=("fabric-unknown",)),
    "h100-nics-dead": Well(codes=("ports-down", "rail-without-ports")),
    "h100-driver-mismatch": Well(ready=False, level="fault", gpus={}, codes=("driver-problem",)),
    "h100-fabric-registering": Well(
        ready=False, level="registering", gpus=_all(8, "registering"), codes=("fabric-registering",)
    ),
    "h100-gpu-off-the-bus": Well(ready=False, level="degraded", gpus={}, codes=("modules-missing",)),
    "h100-vfio": Well(codes=("gpus-withheld",)),
    "mi300x-8gpu": Well(ready=None, level="unknown", gpus={}, codes=("accelerators-not-read", "no-gpu-read")),
    "h100-gpu-lost": Well(ready=False, level="fault", gpus={}, codes=("driver-problem",)),
    "h100-links-training": Well(
        ready=None, level="registering", gpus=_all(8, "registering"), codes=("nvlinks-training",)
    ),
    "h100-no-driver": Well(ready=False, level="fault", gpus={}, codes=("driver-problem",)),
    "h100-one-link-down": Well(ready=False, level="degraded", gpus={2: "degraded"}, codes=("nvlinks-missing",)),
    "a800-partial-bridges": Well(codes=("nvlinks-unbridged",)),
    "h100-pcie-no-bridges": Well(codes=("nvlinks-unbridged",)),
    "mixed-h200-a100-cards": Well(gpus={5: "degraded"}, codes=("pcie-below-best",)),
    "t4-single-edge": Well(gpus={0: "degraded"}, codes=("pcie-below-best",)),
    "laptop-no-gpu": Well(ready=None, level="unknown", gpus={}, codes=("no-gpu",)),
}


class Machine(NamedTuple):
    name: str
    snapshot: Snapshot
    node: NodeTopology
    derived: Derived


def machine_of(name: str, snapshot: Snapshot, node: NodeTopology | None = None) -> Machine:
    node = assemble(snapshot) if node is None else node
    return Machine(name, snapshot, node, derive(node))


def _every() -> Iterator[Machine]:
    for host in HOSTS:
        yield machine_of(host.name, parse_capture((host / "capture.json").read_bytes(), host.name))


def _with_fabric(machine: Machine, name: str, **changes: str) -> Machine:
    """The machine with something else about the fabric of its first GPU."""
    first, *rest = machine.node.gpus
    assert first.fabric is not None
    changed = replace(first, fabric=replace(first.fabric, **changes))
    return machine_of(name, machine.snapshot, replace(machine.node, gpus=(changed, *rest)))


def _with_unknown_link(machine: Machine) -> Machine:
    first, *rest = machine.node.gpus
    bundles = tuple(replace(bundle, state=None) for bundle in first.nvlinks)
    node = replace(machine.node, gpus=(replace(first, nvlinks=bundles), *rest))
    return machine_of("links-unknown", machine.snapshot, node)


def _other(name: str, **facts: object) -> Machine:
    """An H200 host with other facts of the node."""
    machine = MACHINES["hgx-h200-8gpu"]
    return machine_of(name, machine.snapshot, replace(machine.node, **facts))


MACHINES: Final = {machine.name: machine for machine in _every()}
#: Made from recorded ones: what no folder shows yet.
MADE: Final = (
    _with_fabric(MACHINES["gb200-nvl72-tray"], "limited-capacity", health_summary="limited-capacity"),
    _with_fabric(MACHINES["gb200-nvl72-tray"], "mixed-clique", cluster_uuid="00000000-0000-4000-8000-000000000001"),
    _with_fabric(MACHINES["hgx-h200-8gpu"], "limited-board", health_summary="limited-capacity"),
    _with_unknown_link(MACHINES["hgx-b200-8gpu"]),
    machine_of(
        "links-hidden",
        MACHINES["l40s-8gpu-pcie"].snapshot,
        replace(MACHINES["l40s-8gpu-pcie"].node, nvlink_hidden=True),
    ),
    _other("peer-access-refused", pairs=(GpuPair(a=0, b=1, nvlink_p2p="NS"),)),
    _other("peer-access-unknown", pairs=(GpuPair(a=0, b=1, nvlink_p2p="U"),)),
    _other("gpu-problem", problems=(Problem(source="nvml", subject="GPU0", reason="Unknown Error"),)),
    _other("pair-problem", problems=(Problem(source="nvml", subject="GPU0-GPU1", reason="Unknown Error"),)),
    _other("nics-hang", problems=(Problem(source="rdma", subject="mlx5_0", reason="no answer in time"),)),
    _other("not-shown", unseen=("nics",)),
)
ALL: Final = (*MACHINES.values(), *MADE)

_each = pytest.mark.parametrize("machine", ALL, ids=[machine.name for machine in ALL])


@pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
def test_what_each_machine_is(machine: Machine) -> None:
    right, health = ODD.get(machine.name, Well()), machine.derived.health
    assert (health.ready, health.level) == (right.ready, right.level)
    assert {index: gpu.level for index, gpu in health.gpus.items() if gpu.level != "ok"} == right.gpus
    assert tuple(sorted({reason.code for reason in health.reasons})) == right.codes


def test_the_table_names_machines_that_are_there() -> None:
    assert ODD.keys() <= MACHINES.keys()


@pytest.mark.parametrize(
    ("name", "ready", "first"),
    [
        ("limited-capacity", False, "degraded"),
        ("limited-board", False, "degraded"),
        ("mixed-clique", False, "ok"),
        ("links-unknown", None, "unknown"),
        ("links-hidden", None, "unknown"),
        ("peer-access-refused", False, "fault"),
        ("peer-access-unknown", None, "unknown"),
        ("gpu-problem", False, "fault"),
        ("pair-problem", False, "degraded"),
        ("nics-hang", None, "ok"),
        ("not-shown", None, "ok"),
    ],
)
def test_what_each_machine_made_here_is(name: str, ready: bool | None, first: Level) -> None:
    (machine,) = (machine for machine in MADE if machine.name == name)
    assert (machine.derived.health.ready, machine.derived.health.gpus[0].level) == (ready, first)


@_each
def test_label_and_condition_are_the_health_s(machine: Machine) -> None:
    health = machine.derived.health
    labels = features(machine.node, machine.derived)
    assert labels.get("nvtopo.io/ready") == {True: "true", False: "false", None: None}[health.ready]
    if "nvtopo.io/nvlink.groups" in labels:
        degraded = {True: "true", False: "false", None: None}[health.nvlink_degraded]
        assert labels.get("nvtopo.io/nvlink.degraded") == degraded
    (condition,) = status_of(readable("n", machine.node)).conditions
    assert condition.status == {True: "True", False: "False", None: "Unknown"}[health.ready]
    assert (condition.message == "") == (health.ready is True)


@_each
def test_the_node_feature_is_the_health_s(machine: Machine) -> None:
    found = node_feature.spec(machine.node, machine.derived)["features"]
    assert isinstance(found, dict)
    assert found["attributes"]["nvtopo.node"]["elements"].get("ready") == _lower(machine.derived.health.ready)
    gpus = found["instances"].get("nvtopo.gpu", {"elements": []})["elements"]
    for gpu, element in zip(machine.node.gpus, gpus, strict=True):
        lacking = gpu_nvlink_degraded(machine.derived.health.gpus[gpu.index])
        assert element["attributes"].get("nvlinkDegraded") == _lower(lacking)


def _lower(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


@_each
def test_cells_of_page_and_graph_are_the_health_s(machine: Machine) -> None:
    cells = readable("n", machine.node).health
    health = machine.derived.health
    gpus = {f"GPU{index}": gpu.level for index, gpu in health.gpus.items()}
    assert cells == gpus | {name: slot.level for name, slot in health.slots.items()}


SLOTS: Final[Mapping[str, Mapping[str, Level]]] = {
    "h100-gpu-lost": {"0000:8e:00.0": "fault"},
    "h100-gpu-off-the-bus": {"module 3": "fault"},
    "h100-vfio": {"0000:cb:00.0": "unknown", "0000:cc:00.0": "unknown"},
    "mi300x-8gpu": {},
    "station-a100-display": {},
}


@pytest.mark.parametrize("name", SLOTS)
def test_slots_of_gpus_that_do_not_answer(name: str) -> None:
    assert {slot: found.level for slot, found in MACHINES[name].derived.health.slots.items()} == SLOTS[name]


@pytest.mark.parametrize("name", ["h100-no-driver", "h100-driver-mismatch"])
def test_without_a_driver_every_gpu_of_the_bus_is_a_slot(name: str) -> None:
    assert [slot.level for slot in MACHINES[name].derived.health.slots.values()] == ["fault"] * 8


@_each
def test_every_picture_has_the_gpus_that_do_not_answer(machine: Machine) -> None:
    functions = functions_of(machine.snapshot)
    texts = [draw.render(machine.node, machine.derived, functions) for draw in (svg, dot, tree)]
    for device in machine.node.accelerators:
        for text in texts:
            assert device.pci_address in text
            assert presence.words(device) in text


@_each
def test_an_ill_gpu_is_a_finding_of_the_graph(machine: Machine) -> None:
    ill = machine.derived.health.level in ILL and bool(machine.node.gpus)
    assert bool(readable("n", machine.node).problems) or not ill


@_each
def test_the_document_has_all_levels(machine: Machine) -> None:
    health = machine.derived.health
    entry = derived_document.of(machine.derived).health
    assert (entry.level, entry.ready, len(entry.reasons)) == (health.level, health.ready, len(health.reasons))
    assert entry.gpus == {f"GPU{index}": gpu.level for index, gpu in health.gpus.items()}
    assert entry.nics == {name: nic.level for name, nic in health.nics.items()}


def shown(machine: Machine, of_level: Mapping[Level, str]) -> dict[int, str]:
    return {index: of_level[gpu.level] for index, gpu in machine.derived.health.gpus.items()}


_CLASSES: Final[Mapping[Level, str]] = {
    "ok": "ok",
    "degraded": "warn",
    "registering": "warn",
    "fault": "bad",
    "unknown": "unknown",
}


@_each
def test_svg_tiles_are_the_health_s(machine: Machine) -> None:
    root = ET.fromstring(svg.render(machine.node, machine.derived, functions_of(machine.snapshot)))  # noqa: S314
    found, said = {}, {}
    for tile in root.iter(f"{_SVG}g"):
        classes, title = tile.get("class", "").split(), tile.findtext(f"{_SVG}title", "").split(", ")
        if classes[:2] == ["tile", "gpu"]:
            found[int(title[0].removeprefix("GPU"))] = classes[2]
            said[int(title[0].removeprefix("GPU"))] = title[-1]
    assert found == shown(machine, _CLASSES)
    for index, gpu in machine.derived.health.gpus.items():
        assert (said[index] == gpu.level) or gpu.level == "ok"


_COLOURS: Final[Mapping[Level, str]] = {
    "ok": "#d8f0d0",
    "degraded": "#ffe0a0",
    "registering": "#ffe0a0",
    "fault": "#f6c0bc",
    "unknown": "#e0e0e0",
}


@_each
def test_dot_boxes_are_the_health_s(machine: Machine) -> None:
    text = dot.render(machine.node, machine.derived, functions_of(machine.snapshot))
    found = {
        int(index): colour for index, colour in re.findall(r'"GPU(\d+)" \[label="[^"]*", fillcolor="(#\w+)"', text)
    }
    assert found == shown(machine, _COLOURS)


_MOODS: Final[Mapping[Level, str]] = {
    "ok": "ok",
    "degraded": "warn",
    "registering": "warn",
    "fault": "bad",
    "unknown": "quiet",
}


@_each
def test_lines_of_the_tree_are_the_health_s(machine: Machine) -> None:
    text = tree.render(
        machine.node, machine.derived, functions_of(machine.snapshot), style=lambda text, mood: f"<{mood}>{text}"
    )
    found = {int(index): (mood, line) for mood, index, line in re.findall(r"<(\w+)>GPU(\d+) (.*)", text)}
    assert {index: mood for index, (mood, _) in found.items()} == shown(machine, _MOODS)
    for index, gpu in machine.derived.health.gpus.items():
        assert (gpu.level in found[index][1]) == (gpu.level != "ok")


@_each
def test_nics_in_pictures_are_the_health_s(machine: Machine) -> None:
    functions = functions_of(machine.snapshot)
    root = ET.fromstring(svg.render(machine.node, machine.derived, functions))  # noqa: S314
    tiles = [
        (tile.get("class", "").split(), tile.findtext(f"{_SVG}title", "").split(", ")[0])
        for tile in root.iter(f"{_SVG}g")
    ]
    boxes = re.findall(r'"Nic ([^" ]+) [^"]*" \[label="[^"]*", fillcolor="(#\w+)"', dot.render(*machine[2:], functions))
    text = tree.render(*machine[2:], functions, style=lambda text, mood: f"<{mood}>{text}")
    drawn = {name: classes[2] for classes, name in tiles if classes[:2] == ["tile", "nic"]}
    coloured, lines = dict(boxes), {name: mood for mood, name in re.findall(r"<(\w+)>(\S+) ", text)}
    ill = {name: nic.level for name, nic in machine.derived.health.nics.items() if nic.level != "ok"}
    for name, level in ill.items():
        assert (drawn[name], coloured[name], lines[name]) == (_CLASSES[level], _COLOURS[level], _MOODS[level])
    well = [nic.name for nic in machine.node.nics if nic.name not in ill]
    assert {drawn[name] for name in well} <= {"ok", "quiet", "unknown"}
    assert not {coloured[name] for name in well} & {_COLOURS["fault"], _COLOURS["degraded"]}
    assert {lines[name] for name in well} <= {"ok", "quiet"}


@_each
def test_pairs_on_the_metrics_page_are_the_health_s(machine: Machine) -> None:
    (degraded,) = (
        family for family in pairs.families(machine.node, machine.derived) if family.series is pairs.DEGRADED
    )
    ill = {index for index, gpu in machine.derived.health.gpus.items() if gpu_nvlink_degraded(gpu)}
    for labels, value in degraded.samples:
        assert value == int(any(f'="{index}"' in labels for index in ill)), labels


@_each
def test_health_on_the_metrics_page(machine: Machine) -> None:
    page = page_of(health_metrics.families(machine.node, machine.derived))
    health = machine.derived.health
    ready = re.findall(r"^nvtopo_node_ready (\d)$", page, re.MULTILINE)
    assert ready == ([] if health.ready is None else [str(int(health.ready))])
    levels = re.findall(r'^nvtopo_gpu_health{gpu="(\d+)",.*health="(\w+)"} 1$', page, re.MULTILINE)
    assert {int(index): level for index, level in levels} == {index: gpu.level for index, gpu in health.gpus.items()}


def well(gpu: Gpu) -> Gpu:
    """The GPU before anything happened to its links and its fabric."""
    fabric = gpu.fabric
    if fabric is not None and (
        fabric.status or fabric.state == "not-supported" or fabric.health_summary not in (None, "healthy")
    ):
        fabric = replace(fabric, state="completed", status=0, health_mask=None, health_summary=None)
    links = tuple(replace(bundle, state="active") for bundle in gpu.nvlinks)
    lanes = gpu.link and replace(gpu.link, width=gpu.link.max_width)
    mended = replace(gpu, nvlink_training=False, recovery_action=None, memory_repair=())
    return replace(mended, fabric=fabric, nvlinks=links, link=lanes)


@pytest.mark.parametrize(
    "machine",
    [machine for machine in ALL if any(gpu.level in ILL for gpu in machine.derived.health.gpus.values())],
    ids=lambda machine: machine.name,
)
def test_what_makes_a_gpu_ill_is_a_warning_and_its_recovery_is_none(machine: Machine) -> None:
    ill = {index for index, gpu in machine.derived.health.gpus.items() if gpu.level in ILL}
    gpus = tuple(well(gpu) if gpu.index in ill else gpu for gpu in machine.node.gpus)
    pairs = tuple(replace(pair, nvlink_p2p=None) for pair in machine.node.pairs)
    before = replace(machine.node, gpus=gpus, problems=(), pairs=pairs)
    for one, other, kind in ((before, machine.node, "Warning"), (machine.node, before, "Normal")):
        found = node_events.of_changes(one, other, changes(one, other))
        of_gpus = {
            event.type for event in found if re.search("NVLink(Down|Up)|Fabric|Recover|Repair|PCIeLink", event.reason)
        }
        assert of_gpus <= {kind}
        assert (kind == "Warning") == any(event.type == "Warning" for event in found)


def _rail(**facts: object) -> NodeTopology:
    """An H100 host, with other facts of its first rail."""
    node = MACHINES["h100-sxm-8gpu-8cx7"].node
    name = min(MACHINES["h100-sxm-8gpu-8cx7"].derived.rails)
    return replace(node, nics=tuple(replace(nic, **facts) if nic.name == name else nic for nic in node.nics))


_BEST: Final = PcieLink(generation=5, width=16, max_generation=5, max_width=16)
_WITHOUT_ACCESS: Final = (GpuPair(a=0, b=1, nvlink_p2p="NS"),)


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (_rail(link=_BEST), _rail(link=replace(_BEST, width=8)), ("PCIeLinkNarrowed", "PCIeLinkWidened")),
        (_rail(link=_BEST), _rail(link=replace(_BEST, generation=3)), ("NICChanged", "NICChanged")),
        (_rail(), _rail(ports=()), ("NICChanged", "NICChanged")),
        (_rail(), replace(_rail(), pairs=_WITHOUT_ACCESS), ("NodeChanged", "NodeChanged")),
    ],
    ids=["lanes", "generation", "no ports", "peer access"],
)
def test_a_change_that_makes_something_ill_is_a_warning_and_its_end_is_none(
    before: NodeTopology, after: NodeTopology, reasons: tuple[str, str]
) -> None:
    fell, rose = (node_events.of_changes(*sides, changes(*sides)) for sides in ((before, after), (after, before)))
    assert [event.reason for event in fell if event.type == "Warning"] == [reasons[0]]
    assert {event.type for event in rose} == {"Normal"}
    assert reasons[1] in [event.reason for event in rose]


def test_a_change_of_what_was_ill_before_is_none() -> None:
    before, after = _rail(ports=()), _rail(ports=(), firmware="20.99.1")
    (event,) = node_events.of_changes(before, after, changes(before, after))
    assert (event.type, event.reason) == ("Normal", "NICChanged")


def test_a_rail_without_a_port_is_ill_and_leaves_the_node_ready() -> None:
    machine = MACHINES["h100-sxm-8gpu-8cx7"]
    name = min(machine.derived.rails)
    nics = tuple(
        replace(nic, ports=tuple(replace(port, state="DOWN") for port in nic.ports)) if nic.name == name else nic
        for nic in machine.node.nics
    )
    health = derive(replace(machine.node, nics=nics)).health
    assert {nic: found.level for nic, found in health.nics.items() if found.level != "ok"} == {name: "fault"}
    assert (health.ready, health.level) == (True, "ok")


def test_a_storage_nic_may_be_down() -> None:
    machine = MACHINES["h100-sxm-8gpu-8cx7"]
    assert machine.derived.nic_roles["mlx5_9"] == "storage"
    assert machine.derived.health.nics["mlx5_9"].level == "ok"
