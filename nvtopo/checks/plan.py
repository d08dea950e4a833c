"""What to run to see if the links carry what they promise: programs of others, with what is expected of each.

Each ends by itself within a minute or so. ``doctor --measured`` reads what it prints.
"""

from collections.abc import Iterator, Mapping
from itertools import islice, pairwise
from typing import Final, NamedTuple

from nvtopo.checks import measured
from nvtopo.checks.check import Machine
from nvtopo.checks.promised import promised
from nvtopo.model.conclusions.ports import is_up
from nvtopo.model.records.node import Nic, NicPort
from nvtopo.model.records.record import Record

_SECONDS: Final = 5
_MOST_STEPS: Final = 256


class Step(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One program to run."""

    node: str
    """Where; of two nodes, where the client runs."""
    what: str
    """What it measures."""
    commands: dict[str, str]
    """Node → command; of two nodes the server's first."""
    carries_bytes_per_second: int | None
    """What the slowest link on the way carries; null if it can't be known."""
    least_bytes_per_second: int | None
    """Less than this is a finding."""


class Plan(NamedTuple):
    """What to run, node by node and then rail by rail."""

    steps: tuple[Step, ...]
    left_off: int
    """Further steps of so many nodes."""


def of(machines: Mapping[str, Machine]) -> Plan:
    """The plan for these nodes, by name."""
    steps = (*(step for name, one in sorted(machines.items()) for step in _alone(name, one)), *_between(machines))
    return Plan(tuple(islice(steps, _MOST_STEPS)), max(0, len(steps) - _MOST_STEPS))


def _alone(name: str, machine: Machine) -> Iterator[Step]:
    gpus = tuple(gpu.index for gpu in machine.node.gpus)
    if not gpus or any(gpu.mig for gpu in machine.node.gpus):
        return
    if len(gpus) > 1:
        due, _ = promised({name: gpus}, {name: machine})
        command = f"all_reduce_perf -b 1G -e 4G -f 2 -g {len(gpus)}"
        yield _step(name, "an all-reduce over the GPUs of a node", {name: command}, due, measured.COLLECTIVE_PERCENT)
        copies = "nvbandwidth -t device_to_device_memcpy_read_ce"
        rates = [pair.bytes_per_second for pair in machine.derived.gpu_pairs]
        yield _step(name, "copies between GPUs", {name: copies}, _least(rates), measured.COPY_PERCENT)
    links = list(measured.host_links(machine).values())
    copies = "nvbandwidth -t host_to_device_memcpy_ce"
    yield _step(name, "copies to GPUs", {name: copies}, _least(links), measured.COPY_PERCENT)


def _between(machines: Mapping[str, Machine]) -> Iterator[Step]:
    """Each rail from each node to the next: a node whose rail is bad is slow with both its neighbours."""
    rails: dict[int, list[tuple[str, Nic, NicPort]]] = {}
    for name, machine in sorted(machines.items()):
        for nic in machine.known_rails:
            number = machine.derived.rails.get(nic.name)
            port = next((port for port in nic.ports if is_up(port)), None)
            if number is not None and port is not None:
                rails.setdefault(number, []).append((name, nic, port))
    for number, members in sorted(rails.items()):
        for (server, its, one), (client, other, port) in pairwise(members):
            commands = {server: _perftest(its, one), client: f"{_perftest(other, port)} {server}"}
            due = _least([one.rate_bytes_per_second, port.rate_bytes_per_second])
            yield _step(client, f"rail {number} from {client} to {server}", commands, due, measured.RDMA_PERCENT)


def _perftest(nic: Nic, port: NicPort) -> str:
    gid = "" if port.gid_index is None or port.link_layer != "Ethernet" else f" -x {port.gid_index}"
    return f"ib_write_bw -d {nic.name} -i {port.number}{gid} -s 65536 -q 4 -D {_SECONDS} -F --report_gbits"


def _least(rates: list[int | None]) -> int | None:
    known = [rate for rate in rates if rate is not None]
    return min(known) if known and len(known) == len(rates) else None


def _step(node: str, what: str, commands: dict[str, str], due: int | None, percent: int) -> Step:
    least = None if due is None else due * percent // 100
    return Step(node=node, what=what, commands=commands, carries_bytes_per_second=due, least_bytes_per_second=least)
