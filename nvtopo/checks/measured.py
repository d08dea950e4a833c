"""What was measured beside what the topology promises: the slowest link of a collective, of a copy, of a rail."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.checks.check import Machine, NotKnown, Outcome
from nvtopo.checks.fleet import R, added
from nvtopo.checks.promised import LARGE_BYTES, promised
from nvtopo.checks.ratio import RATIO, ratios
from nvtopo.findings.finding import Check, Finding
from nvtopo.model.conclusions.pcie import bytes_per_second
from nvtopo.model.samples.measured import Collective, Copies, Diagnosis, Measured, Rdma, Storage

#: Of a link's rate, the least that is left: where all is well, rings have 80 % of NVLink, verbs 95 % of a port.
COLLECTIVE_PERCENT: Final = 60
COPY_PERCENT: Final = 60
RDMA_PERCENT: Final = 80
#: Below that, what a program measures is how long one message takes.
_LARGE_RDMA_BYTES: Final = 16 << 10
_HOST: Final = -1
_PASSED: Final = frozenset({"pass", "skip"})
_FAILED: Final = frozenset({"fail", "warn"})
#: Sums of both directions are no rate of one.
_BOTH_WAYS: Final = "bidirectional"

COLLECTIVE: Final = Check(
    "measured-collective-slow",
    "warning",
    "gpu-fabric",
    f"a bus bandwidth of at least {COLLECTIVE_PERCENT} % of the slowest link on the way",
    "Run it with NCCL_DEBUG=INFO: is the transport P2P or NET/IB with GDRDMA? Then look at links, ACS and rails.",
)
WRONG: Final = Check(
    "measured-values-wrong",
    "warning",
    "host",
    "no wrong value in a collective",
    "Drain the nodes. Look at XIDs, ECC counters and `dcgmi diag -r 3`; repeat with half of the GPUs to find the one.",
)
COPY: Final = Check(
    "measured-copy-slow",
    "warning",
    "pcie",
    f"copies at {COPY_PERCENT} % of the link's rate or more",
    "Look at the link's width and generation under load (`nvidia-smi -q -d PCIE`), at ACS, and at the CPU that copied.",
)
RDMA: Final = Check(
    "measured-rdma-slow",
    "warning",
    "network-fabric",
    f"{RDMA_PERCENT} % of the port's rate or more",
    "Look at MTU, PFC and ECN of both ends, at the PCIe link of the NIC, and repeat with several queue pairs (-q 4).",
)
STORAGE: Final = Check(
    "measured-storage-failed",
    "warning",
    "storage",
    "a run of fio or gdsio without an error",
    "Look up the error's number (errno), then the mount, its server and the kernel's log.",
)
DIAGNOSIS: Final = Check(
    "measured-diagnostic-failed",
    "warning",
    "host",
    "every test of DCGM's diagnostics passed or skipped",
    "Do what the test says, then repeat `dcgmi diag -r 3`; a GPU that fails twice goes to its vendor.",
)
CHECKS: Final = (COLLECTIVE, WRONG, COPY, RDMA, STORAGE, DIAGNOSIS, RATIO)


class Judgement(NamedTuple):
    """What is slower than promised, and what can't be compared."""

    findings: tuple[Finding, ...]
    unknown: tuple[NotKnown, ...]


def judged(measured: Measured, machines: Mapping[str, Machine]) -> Judgement:
    """What is slower than promised, and what can't be compared. ``machines`` are the nodes by name."""
    found: list[Finding] = []
    unknown: list[NotKnown] = []
    answers = (
        *(one for run in measured.collectives for one in _collective(run, machines)),
        *(one for table in measured.copies for one in _copies(table, machines)),
        *(one for run in measured.rdma for one in _rdma(run, machines)),
        *ratios(measured.collectives, machines),
        *(one for run in measured.storage for one in _storage(run)),
        *(one for one_test in measured.diagnoses for one in _diagnosis(one_test)),
    )
    for one in answers:
        if isinstance(one, Finding):
            found.append(one)
        else:
            unknown.append(one)
    return Judgement(tuple(found), tuple(unknown))


def with_measured(report: R, measured: Measured, machines: Mapping[str, Machine]) -> R:
    """The report on these nodes, with what was measured there."""
    judgement: Judgement = judged(measured, machines)
    return added(report, judgement.findings, judgement.unknown, _outcomes(measured, judgement))


def _outcomes(measured: Measured, judgement: Judgement) -> dict[str, Outcome]:
    """Id of each check that something was measured for → how it ended."""
    failed = {one.id for one in judgement.findings if one.severity != "info"}
    open_ = {one.id for one in judgement.unknown}
    there = {
        COLLECTIVE.id: bool(measured.collectives),
        WRONG.id: bool(measured.collectives),
        COPY.id: bool(measured.copies),
        RDMA.id: any(run.bytes_per_second is not None for run in measured.rdma),
        RATIO.id: any(one.id == RATIO.id for one in judgement.findings),
        STORAGE.id: bool(measured.storage),
        DIAGNOSIS.id: bool(measured.diagnoses),
    }
    return {
        name: "failed" if name in failed else "unknown" if name in open_ else "passed"
        for name, is_there in there.items()
        if is_there
    }


def shown(measured: Measured) -> dict[str, str]:
    """Column of the acceptance report → what was measured, the slowest of each kind."""
    collectives = [run.bytes_per_second for run in measured.collectives]
    rates = [f"collective {rate(min(collectives))}"] if collectives else []
    copies = [rate for table in measured.copies if _BOTH_WAYS not in table.name for rate in table.pairs.values()]
    rates += [f"copies {rate(min(copies))}"] if copies else []
    rdma = [one.bytes_per_second for one in measured.rdma if one.bytes_per_second is not None]
    rates += [f"RDMA {rate(min(rdma))}"] if rdma else []
    stored = [one.bytes_per_second for one in measured.storage if one.bytes_per_second is not None]
    rates += [f"storage {rate(min(stored))}"] if stored else []
    latencies = [one.latency_us for one in measured.rdma if one.latency_us is not None]
    count = sum(map(len, measured))
    found = {"throughput": ", ".join(rates), "latency": f"RDMA {max(latencies):g} µs" if latencies else ""}
    return {name: said for name, said in found.items() if said} | {"evidence": f"{count} runs imported"}


def _collective(run: Collective, machines: Mapping[str, Machine]) -> Iterator[Finding | NotKnown]:
    where = ", ".join(f"{host} GPUs {','.join(map(str, indices))}" for host, indices in run.ranks.items()) or "all GPUs"
    if run.wrong:
        yield WRONG.finding(where, f"{run.wrong} values of a collective were wrong")
    due, why = promised(run.ranks, machines)
    if run.largest_bytes < LARGE_BYTES:
        yield _not_compared(COLLECTIVE, where, f"its largest message has {run.largest_bytes} bytes: that is latency")
    elif due is None:
        yield _not_compared(COLLECTIVE, where, why)
    elif 100 * run.bytes_per_second < COLLECTIVE_PERCENT * due:
        yield COLLECTIVE.finding(
            where, f"a bus bandwidth of {rate(run.bytes_per_second)}, and {why} carries {rate(due)}"
        )


def _copies(table: Copies, machines: Mapping[str, Machine]) -> Iterator[Finding | NotKnown]:
    if _BOTH_WAYS in table.name:
        return
    if len(machines) != 1:
        yield _not_compared(COPY, table.name, "the output does not say of which node it is")
        return
    (machine,) = machines.values()
    pairs = {(pair.a, pair.b): pair.bytes_per_second for pair in machine.derived.gpu_pairs}
    links = host_links(machine)
    unknown = 0
    for (one, other), speed in sorted(table.pairs.items()):
        due = links.get(other) if one == _HOST else pairs.get((min(one, other), max(one, other)))
        if due is None:
            unknown += 1
        elif 100 * speed < COPY_PERCENT * due:
            subject = f"GPU{other}" if one == _HOST else f"GPU{one}-GPU{other}"
            yield COPY.finding(subject, f"{table.name}: {rate(speed)}, and the link carries {rate(due)}")
    if unknown:
        yield _not_compared(
            COPY, table.name, f"the rate of the link of {unknown} of {len(table.pairs)} copies is not known"
        )


def _rdma(run: Rdma, machines: Mapping[str, Machine]) -> Iterator[Finding | NotKnown]:
    if run.bytes_per_second is None:
        return
    if len(machines) != 1:
        yield _not_compared(RDMA, run.device, "the output does not say of which node it is")
        return
    if run.message_bytes < _LARGE_RDMA_BYTES:
        yield _not_compared(RDMA, run.device, f"its messages have {run.message_bytes} bytes: that is latency")
        return
    (machine,) = machines.values()
    ports = [port for nic in machine.node.nics if nic.name == run.device for port in nic.ports]
    rates = [port.rate_bytes_per_second for port in ports if port.rate_bytes_per_second is not None]
    if not rates:
        yield _not_compared(RDMA, run.device, "the rate of its port is not known here")
    elif 100 * run.bytes_per_second < RDMA_PERCENT * max(rates):
        yield RDMA.finding(run.device, f"{rate(run.bytes_per_second)}, and its port carries {rate(max(rates))}")


def _storage(run: Storage) -> Iterator[Finding | NotKnown]:
    subject = f"{run.program} {run.name}"
    if run.error:
        yield STORAGE.finding(subject, f"it ended with error {run.error}")
    elif run.bytes_per_second is None:
        yield _not_compared(STORAGE, subject, "it moved nothing")


def _diagnosis(one: Diagnosis) -> Iterator[Finding | NotKnown]:
    if one.status in _PASSED:
        return
    subject, said = one.gpu or "node", f"{one.test}: {one.status}{': ' if one.said else ''}{one.said}"
    if one.status in _FAILED:
        yield DIAGNOSIS.finding(subject, said)
    else:
        yield _not_compared(DIAGNOSIS, subject, f"{one.test} ended with {one.status or 'no status'}")


def _not_compared(check: Check, subject: str, reason: str) -> NotKnown:
    remedy = "Give the captures of all nodes that took part (--from FOLDER), or of the one node."
    return NotKnown(id=check.id, domain=check.domain, subject=subject, reason=reason, remedy=remedy)


def host_links(machine: Machine) -> dict[int, int | None]:
    """GPU → what its PCIe link carries; None if that is not known, or C2C is the way to the CPU."""
    return {gpu.index: None if gpu.c2c_links else bytes_per_second(gpu.link) for gpu in machine.node.gpus}


def rate(value: int) -> str:
    """A rate in words: ``47.5 GB/s``."""
    return f"{value / 1e9:.1f} GB/s"
