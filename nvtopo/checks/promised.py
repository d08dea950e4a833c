"""What the topology promises a collective: the rate of the slowest link on its way."""

from collections.abc import Mapping
from typing import Final

from nvtopo.checks.check import Machine

#: Below that, what a program measures is how long one message takes.
LARGE_BYTES: Final = 64 << 20


def promised(ranks: Mapping[str, tuple[int, ...]], machines: Mapping[str, Machine]) -> tuple[int | None, str]:
    """The rate of the slowest link on the way, and which that is; None and why it is not known."""
    if not ranks and len(machines) == 1:
        ranks = {name: tuple(gpu.index for gpu in one.node.gpus) for name, one in machines.items()}
    here = {host: _machine(host, machines, alone=len(ranks) == 1) for host in ranks}
    missing = [host for host, machine in here.items() if machine is None]
    if missing or not ranks:
        return None, f"no facts of {', '.join(missing) or 'the nodes that took part'}"
    nodes = {host: machine for host, machine in here.items() if machine is not None}
    domains = {machine.derived.nvlink_domain for machine in nodes.values()}
    if len(nodes) > 1 and (None in domains or len(domains) > 1):
        return _over_network(ranks, nodes)
    return _within(ranks, nodes)


def _machine(host: str, machines: Mapping[str, Machine], *, alone: bool) -> Machine | None:
    """A node by its name, or by its name without a domain; if there is one host and one node, it is that."""
    short = {name.partition(".")[0]: machine for name, machine in machines.items()}
    found = machines.get(host) or short.get(host.partition(".")[0])
    return next(iter(machines.values())) if found is None and alone and len(machines) == 1 else found


def _over_network(ranks: Mapping[str, tuple[int, ...]], nodes: Mapping[str, Machine]) -> tuple[int | None, str]:
    """What the rails of a node carry for each of its GPUs that took part."""
    rates: dict[str, int] = {}
    for host, machine in nodes.items():
        ports = [
            port.rate_bytes_per_second for nic in machine.known_rails for port in nic.ports if port.state == "ACTIVE"
        ]
        known = [rate for rate in ports if rate is not None]
        if not known or len(known) < len(ports):
            return None, f"the rate of the rails of {host} is not known"
        rates[host] = min(sum(known) // len(ranks[host]), max(known))
    slowest = min(rates, key=lambda host: rates[host])
    return rates[slowest], f"a rail of {slowest}"


def _within(ranks: Mapping[str, tuple[int, ...]], nodes: Mapping[str, Machine]) -> tuple[int | None, str]:
    """The slowest pair. Where some pairs have NVLink and others not, NCCL's way is not told by one pair."""
    found = []
    for host, machine in nodes.items():
        used = set(ranks[host])
        found += [pair for pair in machine.derived.gpu_pairs if pair.a in used and pair.b in used]
    if not found:
        return None, "one GPU has no link to another"
    if len({pair.nvlinks is None for pair in found}) > 1:
        return None, "some pairs of its GPUs have NVLink and others have not"
    rates = [pair.bytes_per_second for pair in found if pair.bytes_per_second is not None]
    if len(rates) < len(found):
        return None, "the rate of a link between its GPUs is not known"
    return min(rates), "NVLink" if found[0].nvlinks is not None else "PCIe"
