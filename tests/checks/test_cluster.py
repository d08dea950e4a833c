"""Nodes beside their peers: what is odd is named, what is alike is not, and halves are nobody's fault."""

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.checks import cluster, peers
from nvtopo.checks.check import Machine
from nvtopo.checks.rows import row
from nvtopo.findings.finding import Finding
from nvtopo.model.records.facts import ImexFacts
from nvtopo.model.records.snapshot import Snapshot
from tests.checks.recorded import machine_of, snapshot_of
from tests.checks.test_each_check import flow_control, hangs, mtu, overlay, ports, rdma, together, without

Mutation = Callable[[Snapshot], Snapshot]


def _driver(snapshot: Snapshot) -> Snapshot:
    assert snapshot.nvml is not None
    return replace(snapshot, nvml=replace(snapshot.nvml, driver_version="570.10.01"))


def _imex(digest: str) -> Mutation:
    facts = ImexFacts(channels=True, daemons=1, nodes=18, nodes_digest=digest)
    return lambda snapshot: replace(snapshot, imex=facts)


def _no_driver(snapshot: Snapshot) -> Snapshot:
    assert snapshot.nvml is not None
    return replace(snapshot, nvml=replace(snapshot.nvml, driver_version=""))


def infiniband(mtu_bytes: int | None) -> Mutation:
    """The last two rails are InfiniBand, with that active MTU."""
    return ports(
        lambda port: replace(port, link_layer="InfiniBand", gids=port.gids[:1], active_mtu_bytes=mtu_bytes),
        "mlx5_6",
        "mlx5_7",
    )


_ROCE: Final = "h100-sxm-8gpu-8cx7"
_RACK: Final = "gb200-nvl72-tray"
#: Check → a shape, and what hides from it what it compares.
UNKNOWN: Final[dict[str, tuple[str, Mutation]]] = {
    "rail-mtu-skew": (_ROCE, mtu(None)),
    "rail-rdma-mtu-skew": (_ROCE, infiniband(None)),
    "rail-gid-skew": (_ROCE, ports(lambda port: replace(port, gids=()))),
    "domain-driver-skew": (_RACK, _no_driver),
    "domain-imex-skew": (_RACK, without("imex")),
    "nic-firmware-skew": (_ROCE, rdma(lambda device: replace(device, firmware=""))),
    "rail-pfc-skew": (_ROCE, without("qos")),
    "overlay-mtu-skew": (_ROCE, overlay(None)),
}


def _machine(shape: str, mutation: Mutation | None = None) -> Machine:
    """A machine of the shape that shows all that is compared."""
    snapshot = together(flow_control(), _imex("aa"), infiniband(4096))(snapshot_of(shape))
    if mutation is None or "overlay" not in mutation.__qualname__:
        snapshot = overlay(8950)(snapshot)
    return machine_of(mutation(snapshot) if mutation else snapshot)


def found(shape: str, mutation: Mutation, *, good: int = 4, odd: int = 1) -> dict[str, Finding]:
    well, ill = row(_machine(shape)), row(_machine(shape, mutation))
    rows = {f"n{number}": well for number in range(good)} | {f"odd{number}": ill for number in range(odd)}
    return {finding.id: finding for finding in cluster.compared(rows).findings}


@pytest.mark.parametrize(
    ("shape", "mutation", "name", "severity"),
    [
        ("h100-sxm-8gpu-8cx7", mtu(1500, "mlx5_3"), "rail-mtu-skew", "warning"),
        ("gb200-nvl72-tray", _driver, "domain-driver-skew", "warning"),
        (
            "h100-sxm-8gpu-8cx7",
            rdma(lambda device: replace(device, firmware="28.40.0001")),
            "nic-firmware-skew",
            "warning",
        ),
        (
            "h100-sxm-8gpu-8cx7",
            ports(lambda port: replace(port, gids=tuple(replace(gid, index=gid.index + 2) for gid in port.gids))),
            "rail-gid-skew",
            "info",
        ),
        ("h100-sxm-8gpu-8cx7", flow_control(pfc=0), "rail-pfc-skew", "warning"),
        ("gb200-nvl72-tray", _imex("bb"), "domain-imex-skew", "warning"),
        ("h100-sxm-8gpu-8cx7", overlay(1450), "overlay-mtu-skew", "warning"),
        ("h100-sxm-8gpu-8cx7", infiniband(2048), "rail-rdma-mtu-skew", "warning"),
    ],
)
def test_the_odd_node_is_named(shape: str, mutation: Mutation, name: str, severity: str) -> None:
    finding = found(shape, mutation)[name]
    assert (finding.subject, finding.severity) == ("odd0", severity)


def test_the_table_has_every_check() -> None:
    assert {one.check.id for one in cluster.CHECKS} == UNKNOWN.keys()


@pytest.mark.parametrize("name", UNKNOWN)
def test_alike_passes_and_what_one_node_does_not_show_is_unknown(name: str) -> None:
    shape, hidden = UNKNOWN[name]
    well, dark = row(_machine(shape)), row(_machine(shape, hidden))
    assert cluster.compared({"a": well, "b": well}).checks[name] == "passed"
    compared = cluster.compared({"a": well, "b": well, "dark": dark})
    assert compared.checks[name] == "unknown"
    assert {one.subject for one in compared.unknown if one.id == name} == {"dark"}
    assert compared.findings == ()


_OF_RAILS: Final = ("rail-mtu-skew", "rail-rdma-mtu-skew", "rail-gid-skew", "nic-firmware-skew", "rail-pfc-skew")


def _held(snapshot: Snapshot) -> Snapshot:
    """A rail that a guest has: its port, rate and MTU are not to be seen from here."""
    assert snapshot.pci is not None
    assert snapshot.rdma is not None
    assert snapshot.net is not None
    (rail,) = (device for device in snapshot.rdma.devices if device.name == "mlx5_3")
    functions = tuple(
        replace(one, driver="vfio-pci") if one.address == rail.pci_address else one for one in snapshot.pci.devices
    )
    netdevs = tuple(one for one in snapshot.net.devices if one.pci_address != rail.pci_address)
    return replace(
        snapshot,
        pci=replace(snapshot.pci, devices=functions),
        rdma=replace(snapshot.rdma, devices=tuple(one for one in snapshot.rdma.devices if one is not rail)),
        net=replace(snapshot.net, devices=netdevs),
    )


@pytest.mark.parametrize(
    "mutation",
    [hangs("pci"), _held, ports(lambda port: replace(port, state=""), "mlx5_3")],
    ids=["pci", "held", "port"],
)
@pytest.mark.parametrize("name", _OF_RAILS)
def test_a_node_of_which_a_rail_is_not_known_is_named(mutation: Mutation, name: str) -> None:
    well, dark = row(_machine(_ROCE)), row(_machine(_ROCE, mutation))
    compared = cluster.compared({"a": well, "b": well, "dark": dark})
    assert compared.checks[name] == "unknown"
    assert {one.subject for one in compared.unknown if one.id == name} == {"dark"}
    assert compared.findings == ()
    assert cluster.compared({"a": well, "dark": dark}).checks[name] == "unknown"
    assert cluster.compared({"dark": dark}).unknown == ()


def test_a_resource_does_not_show_the_devices_of_the_pod_network() -> None:
    machine = _machine(_ROCE)
    compared = cluster.compared({"a": row(machine), "b": row(machine), "dark": row(Machine(machine.node))})
    assert compared.checks["overlay-mtu-skew"] == "unknown"
    assert {one.subject for one in compared.unknown if one.id == "overlay-mtu-skew"} == {"dark"}


def test_one_node_is_compared_with_nobody() -> None:
    compared = cluster.compared({"a": row(_machine("h100-sxm-8gpu-8cx7"))})
    assert set(compared.checks.values()) == {"not-applicable"}
    assert compared.unknown == ()


def test_a_difference_outweighs_what_is_not_shown() -> None:
    rows = {name: row(_machine("h100-sxm-8gpu-8cx7")) for name in "abc"}
    rows["odd"] = row(_machine("h100-sxm-8gpu-8cx7", mtu(1500)))
    rows["dark"] = row(_machine("h100-sxm-8gpu-8cx7", mtu(None)))
    compared = cluster.compared(rows)
    assert compared.checks["rail-mtu-skew"] == "failed"
    assert "dark" in {one.subject for one in compared.unknown}


def test_alike_nodes_have_no_finding() -> None:
    assert found("h100-sxm-8gpu-8cx7", lambda snapshot: snapshot) == {}


def test_two_servers_of_a_rail_with_two_mtus_are_a_warning_though_neither_is_odd() -> None:
    finding = found("h100-sxm-8gpu-8cx7", mtu(1500), good=1)["rail-mtu-skew"]
    assert finding.severity == "warning"
    assert "1 x 1500" in finding.evidence
    assert "1 x 9000" in finding.evidence


def test_what_a_node_does_not_show_is_not_odd() -> None:
    assert "rail-mtu-skew" not in found("h100-sxm-8gpu-8cx7", mtu(None))


def test_another_shape_is_no_peer() -> None:
    rows = {f"n{number}": row(machine_of(snapshot_of(_ROCE))) for number in range(3)}
    rows["other"] = row(machine_of(snapshot_of("hgx-h200-8gpu")))
    assert cluster.compared(rows).findings == ()


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.integers(0, 3), max_size=9))
def test_the_odd_are_always_fewer_than_half(values: dict[str, int]) -> None:
    odd = peers.odd(values)
    assert 2 * len(odd) < len(values) or not odd
    most = peers.common(values.values())
    assert all(value != most for value in odd.values())
