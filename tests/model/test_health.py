"""Every reason of ``KINDS``: a node that has it, what it makes of GPU and node, and its words."""

from collections.abc import Mapping
from itertools import combinations
from typing import Final, NamedTuple, get_args

import pytest
from msgspec.structs import replace

from nvtopo.model.conclusions import health, health_kinds, health_words, nvlink
from nvtopo.model.conclusions.health_kinds import Code, Level
from nvtopo.model.conclusions.unread import SOURCE_HANGS
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.expected import Expected, PcieExpectation, VersionExpectation
from nvtopo.model.records.facts import GpuFabric, PcieLink
from nvtopo.model.records.node import Accelerator, GpuPair, Host, Nic, NicPort, NodeTopology
from nvtopo.model.records.record import Problem
from tests.cluster.machines import all_changed, bundle, changed, fabric, tray


def with_problem(subject: str, reason: str = "unknown error", source: str = "nvml") -> NodeTopology:
    return replace(tray(), problems=(Problem(source=source, subject=subject, reason=reason),))


def with_nics(*nics: Nic) -> NodeTopology:
    return replace(tray(), nics=nics)


def with_modules(*modules: int) -> NodeTopology:
    gpus = (replace(gpu, module_id=module) for gpu, module in zip(tray().gpus, modules, strict=True))
    return replace(tray(), gpus=tuple(gpus))


def refused(why: str, *pairs: tuple[int, int]) -> tuple[GpuPair, ...]:
    return tuple(GpuPair(a=a, b=b, nvlink_p2p=why) for a, b in pairs)


class Case(NamedTuple):
    """A node with one reason, and what that makes of it."""

    node: NodeTopology
    level: Level
    """The node's."""
    ready: bool | None
    gpu: Level = "ok"
    """GPU 0's, or NIC 0's where there is one."""
    text: str = ""
    """Of the first such reason."""


CX7: Final = "15b3:1021"
DOWN: Final = NicPort(number=1, state="DOWN")
UP: Final = NicPort(number=1, state="ACTIVE")
#: What always comes with another reason.
WITH: Final[Mapping[Code, Code]] = {"rails-down": "ports-down", "no-gpu-read": "accelerators-not-read"}
VFIO: Final = Accelerator(pci_address=PciAddress("0000:01:00.0"), model="10de:2330", driver="vfio-pci")
AMD: Final = Accelerator(pci_address=PciAddress("0000:02:00.0"), model="1002:74a1", driver="amdgpu")
NARROW: Final = PcieLink(width=8, max_width=16)
RAIL: Final = Nic(
    name="mlx5_0",
    mtu_bytes=4200,
    link=PcieLink(width=8, max_width=8, generation=4, max_generation=4),
    ports=(NicPort(number=1, state="ACTIVE", link_layer="Ethernet", active_mtu_bytes=1024, gid_index=1),),
)
ONE_LINK_DOWN: Final = (bundle("0-16"), bundle("17", "inactive"))

CASES: Final[Mapping[Code, Case]] = {
    "no-gpu": Case(NodeTopology(), "unknown", None, text="this node has no GPU"),
    "no-gpu-answers": Case(
        NodeTopology(host=Host(driver_version="580.0")),
        "fault",
        ready=False,
        text="this node has an NVIDIA driver, and no GPU answers",
    ),
    "no-gpu-read": Case(
        NodeTopology(accelerators=(AMD,)),
        "unknown",
        None,
        text="this node has no GPU that is read here",
    ),
    "gpus-withheld": Case(
        replace(tray(), accelerators=(VFIO, VFIO)), "ok", ready=True, text="this node has 2 GPUs that vfio-pci holds"
    ),
    "accelerators-not-read": Case(
        replace(tray(), accelerators=(AMD,)), "ok", ready=True, text="this node has 1 AMD GPU, not read"
    ),
    "modules-missing": Case(
        with_modules(1, 2, 4, 6),
        "degraded",
        ready=False,
        text="this node lacks the GPU of module 3, 5",
    ),
    "gpus-missing": Case(
        replace(tray(), expected=Expected(gpus=5)),
        "fault",
        ready=False,
        text="this node has 4 of 5 GPUs",
    ),
    "driver-problem": Case(
        with_problem("0000:8e:00.0", "no answer"), "fault", ready=False, text="0000:8e:00.0: no answer"
    ),
    "gpu-problem": Case(with_problem("GPU0"), "fault", ready=False, gpu="fault", text="GPU0: unknown error"),
    "gpu-recovery": Case(
        changed(tray(), 0, recovery_action="gpu-reset"),
        "fault",
        ready=False,
        gpu="fault",
        text="GPU0 needs this to recover: gpu-reset",
    ),
    "gpu-memory-repair": Case(
        changed(tray(), 0, memory_repair=("row-remap-pending",)),
        "fault",
        ready=False,
        gpu="fault",
        text="GPU0 has memory that is not repaired: row-remap-pending",
    ),
    "pair-problem": Case(
        with_problem("GPU0-GPU2"), "degraded", ready=False, gpu="degraded", text="GPU0-GPU2: unknown error"
    ),
    "fabric-registering": Case(
        all_changed(tray(), fabric=GpuFabric(state="in-progress")),
        "registering",
        ready=False,
        gpu="registering",
        text="GPU0 has not finished registering with the NVLink fabric",
    ),
    "fabric-in-progress": Case(
        all_changed(tray(), fabric=GpuFabric(state="in-progress"), fabric_overdue=True),
        "degraded",
        ready=False,
        gpu="degraded",
        text="GPU0 stays in progress with the NVLink fabric, for longer than the grace",
    ),
    "fabric-error": Case(
        all_changed(tray(), fabric=fabric(status=3)),
        "fault",
        ready=False,
        gpu="fault",
        text="GPU0 got an error when registering with the NVLink fabric",
    ),
    "fabric-unhealthy": Case(
        all_changed(tray(), fabric=fabric(health_summary="unhealthy")),
        "fault",
        ready=False,
        gpu="fault",
        text="GPU0 is unhealthy to the NVLink fabric",
    ),
    "fabric-limited-capacity": Case(
        all_changed(tray(), fabric=fabric(health_summary="limited-capacity")),
        "degraded",
        ready=False,
        gpu="degraded",
        text="GPU0 has limited capacity in the NVLink fabric",
    ),
    "fabric-unknown": Case(
        changed(tray(), 0, fabric=GpuFabric()),
        "unknown",
        None,
        "unknown",
        "GPU0 has an NVLink fabric whose state is not known",
    ),
    "fabric-mixed": Case(
        changed(tray(), 0, fabric=None),
        "degraded",
        ready=False,
        text="this node has GPUs in different states towards the NVLink fabric",
    ),
    "fabric-not-supported": Case(
        replace(
            all_changed(tray(), fabric=GpuFabric(state="not-supported")),
            pairs=refused("NS", *combinations(range(4), 2)),
        ),
        "fault",
        ready=False,
        gpu="fault",
        text="GPU0 has no NVLink fabric, although links to switches need one",
    ),
    "domains-differ": Case(changed(tray(), 0, fabric=fabric(2)), "degraded", ready=False),
    "nvlinks-training": Case(
        changed(tray(), 0, nvlink_training=True, nvlinks=ONE_LINK_DOWN),
        "registering",
        None,
        "registering",
        "GPU0 has NVLinks that may still train",
    ),
    "not-shown": Case(
        replace(tray(), unseen=("nics", "health")),
        "unknown",
        None,
        text="this node is read from an input that does not show its nics, health",
    ),
    "nvlinks-hidden": Case(
        replace(tray(), nvlink_hidden=True), "unknown", None, "unknown", "GPU0 does not show its NVLinks"
    ),
    "nvlinks-unknown": Case(
        changed(tray(), 0, nvlinks=(bundle("0-16"), bundle("17", None))),
        "unknown",
        None,
        "unknown",
        "GPU0 has 1 NVLink whose state is not known",
    ),
    "nvlinks-missing": Case(
        changed(tray(), 0, nvlinks=ONE_LINK_DOWN),
        "degraded",
        ready=False,
        gpu="degraded",
        text="GPU0 has 17 of 18 NVLinks",
    ),
    "nvlinks-down": Case(
        changed(tray(), 0, nvlinks=(bundle("0-17", "inactive"),)),
        "fault",
        ready=False,
        gpu="fault",
        text="GPU0 has 0 of 18 NVLinks",
    ),
    "nvlinks-unbridged": Case(
        all_changed(tray(), fabric=None, nvlinks=(replace(bundle("0-17", "inactive"), remote=None),)),
        "ok",
        ready=True,
        text="GPU0 has no NVLink that is up, and it is not known whether there ever was a bridge",
    ),
    "nvlink-ends-unknown": Case(
        changed(tray(), 0, nvlinks=(bundle("0-16"), replace(bundle("17"), remote=None))),
        "unknown",
        None,
        "unknown",
        "GPU0 has 1 NVLink of which it is not known where they lead",
    ),
    "nvlink-p2p-refused": Case(
        replace(tray(), pairs=refused("GNS", (0, 2), (0, 3))),
        "fault",
        ready=False,
        gpu="fault",
        text="GPU0 is refused peer access over NVLink to GPU2, GPU3",
    ),
    "nvlink-p2p-unknown": Case(
        replace(tray(), pairs=refused("U", (0, 2))),
        "unknown",
        None,
        "unknown",
        "GPU0 may or may not have peer access over NVLink to GPU2",
    ),
    "ports-down": Case(
        with_nics(Nic(name="mlx5_0", ports=(DOWN,)), Nic(name="mlx5_1", ports=(UP,))),
        "ok",
        ready=True,
        gpu="fault",
        text="mlx5_0 has no active port",
    ),
    "rails-down": Case(
        with_nics(Nic(name="mlx5_0", ports=(DOWN,)), Nic(name="mlx5_1", ports=(DOWN,))),
        "fault",
        ready=False,
        gpu="fault",
        text="this node has 2 rails, none with an active port",
    ),
    "rails-unknown": Case(
        with_nics(Nic(name="mlx5_0", ports=(NicPort(number=1),))),
        "unknown",
        None,
        text="this node has no rail of which it is known that a port is active",
    ),
    "rail-without-ports": Case(
        with_nics(Nic(name="mlx5_0", model=CX7), Nic(name="mlx5_1", model=CX7, ports=(UP,))),
        "ok",
        ready=True,
        gpu="fault",
        text="mlx5_0 has no RDMA device, which others of its model have",
    ),
    "pcie-below-best": Case(
        with_nics(Nic(name="mlx5_0", link=NARROW)),
        "ok",
        ready=True,
        gpu="degraded",
        text="mlx5_0 has a PCIe link of x8, and both ends support x16",
    ),
    "nics-missing": Case(
        replace(with_nics(RAIL), expected=Expected(nics=2)), "ok", ready=True, text="this node has 1 of 2 NICs"
    ),
    "rails-missing": Case(
        replace(with_nics(RAIL), expected=Expected(rails=2)), "fault", ready=False, text="this node has 1 of 2 rails"
    ),
    "mtu-differs": Case(
        replace(with_nics(RAIL), expected=Expected(mtu_bytes=9000)),
        "ok",
        ready=True,
        gpu="degraded",
        text="mlx5_0 has an MTU of 4200, and should have 9000",
    ),
    "rdma-mtu-differs": Case(
        replace(with_nics(RAIL), expected=Expected(rdma_mtu_bytes=4096)),
        "ok",
        ready=True,
        gpu="degraded",
        text="mlx5_0 has an RDMA MTU of 1024, and should have 4096",
    ),
    "gid-index-differs": Case(
        replace(with_nics(RAIL), expected=Expected(gid_index=3)),
        "degraded",
        ready=False,
        gpu="degraded",
        text="mlx5_0 has GID index 1, and should have 3",
    ),
    "pcie-below-expected": Case(
        replace(with_nics(RAIL), expected=Expected(pcie=PcieExpectation(width=16, generation=5))),
        "ok",
        ready=True,
        gpu="degraded",
        text="mlx5_0 has a PCIe link of x8 and generation 4, and should have x16 and generation 5",
    ),
    "version-differs": Case(
        replace(tray(), host=Host(kernel="6.8.0"), expected=Expected(versions=VersionExpectation(kernel="6.14.0"))),
        "ok",
        ready=True,
        text="this node has kernel 6.8.0, and should have 6.14.0",
    ),
    "facts-unread": Case(
        with_problem("net", SOURCE_HANGS, "net"),
        "unknown",
        None,
        text="this node has devices of which nothing is known: net could not be read",
    ),
    "side-facts-unread": Case(
        with_problem("nvme0", SOURCE_HANGS, "storage"),
        "ok",
        ready=True,
        text="this node does not answer for storage, which could not be read in time",
    ),
}


def test_every_reason_has_a_case_and_a_kind() -> None:
    assert set(CASES) == set(get_args(Code)) == set(health_kinds.KINDS)


@pytest.mark.parametrize("code", CASES)
def test_what_a_reason_makes_of_node_and_part(code: Code) -> None:
    case = CASES[code]
    found = health.of(case.node, {nic.name: "compute" for nic in case.node.nics})
    assert {reason.code for reason in found.reasons} - {WITH.get(code)} == {code}
    assert (found.level, found.ready) == (case.level, case.ready)
    if case.node.gpus:
        first = found.nics["mlx5_0"] if case.node.nics else found.gpus[0]
        assert first.level == case.gpu
    if case.text:
        assert health_words.sentence(found.reasons[0]) == case.text


def test_a_healthy_node_has_no_reason() -> None:
    found = health.of(tray())
    assert (found.level, found.ready, found.reasons, found.nvlink_degraded) == ("ok", True, (), False)
    assert [gpu.level for gpu in found.gpus.values()] == ["ok"] * 4


def test_the_worst_of_several_reasons_is_the_level_and_ill_is_never_unknown() -> None:
    node = changed(CASES["nvlinks-training"].node, 1, fabric=fabric(status=3))
    found = health.of(node)
    assert (found.level, found.ready) == ("fault", False)
    assert (found.gpus[0].level, found.gpus[1].level, found.gpus[2].level) == ("registering", "fault", "ok")


def test_links_of_unknown_state_count_as_neither_up_nor_down() -> None:
    lacking = (bundle("0-14"), bundle("15-16", "inactive"), bundle("17", None))
    found = health.of(changed(tray(), 0, nvlinks=lacking))
    assert {reason.code: reason.values for reason in found.reasons} == {
        "nvlinks-missing": (15, 18),
        "nvlinks-unknown": (1, 18),
    }
    assert (found.level, found.ready, found.nvlink_degraded) == ("degraded", False, True)


def test_problems_of_other_sources_and_foreign_gpus_leave_the_gpus_well() -> None:
    assert health.of(with_problem("GPU0", source="rdma")).ready is True
    lost = health.of(with_problem("GPU7"))
    assert (lost.ready, [gpu.level for gpu in lost.gpus.values()]) == (False, ["ok"] * 4)


def test_links_of_which_nothing_is_known_are_hidden_and_not_missing() -> None:
    """The driver gave errors (nvlinks_unknown), or no link of a GPU that is in a fabric."""
    none = {"nvlink_count": None, "nvlinks": ()}
    for node in (
        changed(tray(), 0, nvlinks_unknown=True, fabric=None, **none),
        all_changed(tray(), **none),
        replace(all_changed(tray(), fabric=None, **none), nvswitches=(PciAddress("0000:07:00.0"),)),
    ):
        found = health.of(node)
        assert {reason.code for reason in found.reasons} >= {"nvlinks-hidden"}
        assert (found.ready, found.nvlink_degraded, nvlink.groups(node)) != (True, False, ())
        assert nvlink.groups(node) is None


@pytest.mark.parametrize(
    ("hidden_by", "text"),
    [
        ("no-driver", "mlx5_0 is on the bus, and no driver is bound to it"),
        ("no-device", "mlx5_0 is on the bus, and its driver made no network device and no RDMA device of it"),
    ],
)
def test_rails_that_are_all_without_a_port_make_a_node_that_is_not_ready(hidden_by: str, text: str) -> None:
    node = with_nics(*(Nic(name=f"mlx5_{number}", model=CX7, hidden_by=hidden_by) for number in range(2)))
    found = health.of(node, {nic.name: "compute" for nic in node.nics})
    assert [reason.code for reason in found.reasons] == ["rails-down", "rail-without-ports", "rail-without-ports"]
    assert (found.ready, health_words.sentence(found.reasons[1])) == (False, text)


def test_rails_whose_ports_are_elsewhere_may_be_up() -> None:
    node = with_nics(Nic(name="mlx5_0", model=CX7, hidden_by="netns"), Nic(name="mlx5_1", model=CX7, ports=(DOWN,)))
    assert health.of(node, {nic.name: "compute" for nic in node.nics}).ready is True


def test_a_health_of_the_fabric_that_is_new_is_not_well() -> None:
    found = health.of(changed(tray(), 0, fabric=fabric(health_not_known=True)))
    assert (found.level, found.ready, found.nvlink_degraded) == ("unknown", None, None)
    assert health_words.sentence(found.reasons[0]) == "GPU0 has an NVLink fabric whose health is not known"


def test_a_fabric_that_refuses_one_gpu_is_a_reason_of_that_gpu_alone() -> None:
    node = replace(changed(tray(), 1, fabric=fabric(status=3)), pairs=refused("NS", (0, 1), (1, 2), (1, 3)))
    assert {reason.gpu for reason in health.of(node).reasons if reason.gpu is not None} == {1}


def test_old_links_to_switches_need_no_fabric() -> None:
    """An A100, whose driver reports no fabric (hgx-a100-8gpu): refused, and that is all."""
    links = (replace(bundle(), version="3.1"),)
    node = replace(all_changed(tray(), fabric=None, nvlinks=links), pairs=refused("NS", (0, 1)))
    assert {reason.code for reason in health.of(node).reasons} == {"nvlink-p2p-refused"}


def test_mig_has_no_links_to_lack() -> None:
    node = all_changed(tray(), mig=True, nvlinks=(bundle(state=None),))
    assert health.of(node).ready is True


@pytest.mark.parametrize("role", ["storage", "front", "other"])
def test_only_a_rail_has_to_have_a_port_that_is_up(role: str) -> None:
    node = CASES["ports-down"].node
    assert health.of(node, {"mlx5_0": role}).nics["mlx5_0"].level == "ok"


@pytest.mark.parametrize("states", [("ACTIVE", "DOWN"), ("", "DOWN"), ()])
def test_one_port_that_is_up_or_not_known_is_enough(states: tuple[str, ...]) -> None:
    ports = tuple(NicPort(number=number, state=state) for number, state in enumerate(states, 1))
    node = with_nics(Nic(name="mlx5_0", ports=ports))
    assert health.of(node, {"mlx5_0": "compute"}).nics["mlx5_0"].level == "ok"
