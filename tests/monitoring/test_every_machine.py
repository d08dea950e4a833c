"""On each machine that has rails, links or GPUs: the port, P2P and recovery alerts fire for one of them, and for all.

An alert fires for exactly the ports, pairs and GPUs that the health names.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families as parse

from monitoring import prometheus_rule
from nvtopo.model.conclusions import nvlink
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import Derived, derive
from nvtopo.model.observation import Observation
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.metrics import observation, rdma
from nvtopo.sinks.metrics.series import text
from nvtopo.sources.capture import parse_capture
from tests.hosts.recorded import HOSTS
from tests.monitoring.shipped import Json
from tests.monitoring.test_promtool import run

pytestmark = pytest.mark.lab

T = TypeVar("T")

_MINUTES: Final = 5
#: Series that the three alerts are made of.
_SERIES: Final = (
    "nvtopo_rdma_port_active",
    "nvtopo_rail_info",
    "nvtopo_rail_port_unused",
    "nvtopo_gpu_pair_peer_access",
    "nvtopo_gpu_recovery_action",
)
_ACTION: Final = "gpu-reset"


class Fault(NamedTuple):
    """What is changed of a machine, and where an alert then fires: its labels."""

    name: str
    alert: str
    by: str
    snapshot: Snapshot
    said: Callable[[NodeTopology, Derived], set[tuple[str, ...]]]


def _ports(_: NodeTopology, derived: Derived) -> set[tuple[str, ...]]:
    down = [reason for reason in derived.health.reasons if reason.code == "ports-down"]
    return {(str(reason.nic), str(number)) for reason in down for number in reason.values[:-1]}


def _pairs(_: NodeTopology, derived: Derived) -> set[tuple[str, ...]]:
    refused = [reason for reason in derived.health.reasons if reason.code == "nvlink-p2p-refused"]
    found = {tuple(sorted((int(reason.gpu or 0), int(other)))) for reason in refused for other in reason.values}
    return {(str(a), str(b)) for a, b in found}


def _gpus(_: NodeTopology, derived: Derived) -> set[tuple[str, ...]]:
    return {(str(reason.gpu), _ACTION) for reason in derived.health.reasons if reason.code == "gpu-recovery"}


def _with_ports_down(snapshot: Snapshot, devices: Iterable[str]) -> Snapshot:
    assert snapshot.rdma is not None
    chosen = set(devices)
    changed = tuple(
        replace(device, ports=tuple(replace(port, state="DOWN") for port in device.ports))
        if device.name in chosen
        else device
        for device in snapshot.rdma.devices
    )
    return replace(snapshot, rdma=replace(snapshot.rdma, devices=changed))


def _with_pairs_refused(snapshot: Snapshot, pairs: Iterable[tuple[int, int]]) -> Snapshot:
    assert snapshot.nvml is not None
    chosen = set(pairs)
    changed = tuple(
        replace(pair, nvlink_p2p="NS") if (pair.a, pair.b) in chosen else pair for pair in snapshot.nvml.pairs
    )
    return replace(snapshot, nvml=replace(snapshot.nvml, pairs=changed))


def _with_recovery(snapshot: Snapshot, indices: Iterable[int]) -> Snapshot:
    assert snapshot.nvml is not None
    chosen = set(indices)
    changed = tuple(replace(gpu, recovery_action=_ACTION) if gpu.index in chosen else gpu for gpu in snapshot.nvml.gpus)
    return replace(snapshot, nvml=replace(snapshot.nvml, gpus=changed))


def _faults(snapshot: Snapshot) -> Iterator[Fault]:
    """One and all of what the machine has, of which nothing is wrong yet."""
    node = assemble(snapshot)
    derived = derive(node)
    up = [name for name in derived.rails if not any(nic == name for nic, _ in _ports(node, derived))]
    devices = [nic.name for nic in node.nics if nic.name in up and nic.ports]
    for name, some in _one_and_all(devices):
        yield Fault(f"port: {name}", "NvtopoRdmaPortDown", "device, port", _with_ports_down(snapshot, some), _ports)
    access = nvlink.pair_access(node)
    joined = list(access) if all(access.values()) else []  # where the fabric is the reason, that is said
    for name, some_pairs in _one_and_all(joined):
        changed = _with_pairs_refused(snapshot, some_pairs)
        yield Fault(f"P2P: {name}", "NvtopoPeerAccessLost", "gpu, peer", changed, _pairs)
    for name, some_gpus in _one_and_all([gpu.index for gpu in node.gpus]):
        changed = _with_recovery(snapshot, some_gpus)
        yield Fault(f"recovery: {name}", "NvtopoGpuRecoveryNeeded", "gpu, action", changed, _gpus)


def _one_and_all(things: list[T]) -> list[tuple[str, list[T]]]:
    return [("one", things[:1]), ("all", things)] if things else []


def _unit_test(fault: Fault) -> Json:
    node = assemble(fault.snapshot)
    derived = derive(node)
    said = fault.said(node, derived)
    assert said, f"{fault.name}: the health says nothing"
    made = Observation(fault.snapshot, node, derived, 0.25, 1_800_000_000)
    page = text([*observation.families(made), *rdma.families(rdma.remembered(node), node)])
    samples = [sample for family in parse(page) for sample in family.samples if sample.name in _SERIES]
    labels = fault.by.split(", ")
    return {
        "name": fault.name,
        "interval": "1m",
        "input_series": [
            {
                "series": sample.name + _labels({**sample.labels, "node": "a"}),
                "values": f"{sample.value!r}x{_MINUTES}",
            }
            for sample in samples
        ],
        "promql_expr_test": [
            {
                "expr": f'group by ({fault.by}) (ALERTS{{alertname="{fault.alert}", alertstate="firing"}})',
                "eval_time": f"{_MINUTES}m",
                "exp_samples": [
                    {"labels": _labels(dict(zip(labels, values, strict=True))), "value": 1} for values in sorted(said)
                ],
            }
        ],
    }


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"


def _snapshot(host: Path) -> Snapshot:
    return parse_capture((host / "capture.json").read_bytes(), host.name)


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_one_and_all(host: Path, promtool: str, tmp_path: Path) -> None:
    faults = list(_faults(_snapshot(host)))
    if not faults:
        pytest.skip("it has no GPU that answers, no rail and no link")
    rules = [str(path) for path in prometheus_rule.RULES]
    document = {"rule_files": rules, "evaluation_interval": "1m", "tests": [_unit_test(fault) for fault in faults]}
    path = tmp_path / "faults.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    run(promtool, "test", "rules", str(path))


def test_most_machines_have_all_three() -> None:
    kinds = [{fault.alert for fault in _faults(_snapshot(host))} for host in HOSTS]
    assert sum(len(kind) == 3 for kind in kinds) >= len(HOSTS) // 2
