"""Walks the NVML calls of a reading through error codes: ``python -m tests.nvml.walk`` prints what came of each.

One call fails at a time, on every GPU or on the first alone, and again under a driver that answers no batch of fields.
No label may then say "no", "0" or "ready" of what was not read: ``claims`` finds those that do.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import product, takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from msgspec.structs import replace

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import PREFIX, features
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.capture import parse_capture
from nvtopo.sources.nvml import answer
from tests.hosts.recorded import FIXTURES
from tests.nvml import build

Json = dict[str, Any]
Labels = Mapping[str, str]

NOT_SUPPORTED: Final = 3
#: What the driver or the hardware does not have. Everything else is an error, and no node that had one is ready.
ABSENT: Final = frozenset({NOT_SUPPORTED, 6, 13, 25, 26})
INVALID_ARGUMENT: Final = 2
FEW_CODES: Final = (NOT_SUPPORTED, 15, 999, INVALID_ARGUMENT)
ALL_CODES: Final = (*range(1, 30), 999)
MACHINES: Final = ("h100-sxm-8gpu-8cx7", "hgx-a100-8gpu", "gb200-nvl72-tray", "h100-nvl-pairs")
#: Of the other end of a link: what is there, and its address. A bridge leads to the GPU at that address.
_END, _ADDRESS = "nvmlDeviceGetNvLinkRemoteDeviceType", "nvmlDeviceGetNvLinkRemotePciInfo_v2"
BATCH: Final = "nvmlDeviceGetFieldValues"
#: A driver that lacks them is an older one, and what it does tell makes a node that is ready.
NOT_NEEDED: Final = frozenset({"nvmlShutdown", "nvmlErrorString"})
#: Label → the calls without which it can't be known. A value that it had before is no better than another one.
_NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "mig": frozenset({"nvmlDeviceGetMigMode"}),
    "pcie.generation": frozenset({"nvmlDeviceGetMaxPcieLinkGeneration"}),
    "numa.gpu-aligned": frozenset({"nvmlDeviceGetPciInfo_v3"}),
    "nvlink.fabric": frozenset({"nvmlDeviceGetGpuFabricInfoV"}),
    "nvlink.degraded": frozenset(
        {
            "nvmlDeviceGetGpuFabricInfoV",
            _END,
            "nvmlDeviceGetNvLinkState",
            "nvmlDeviceGetP2PStatus",
        }
    ),
    "nvlink.groups": frozenset({_END, "nvmlDeviceGetP2PStatus"}),
}

_FORKS: Final = """
import contextlib, os, sys
import pynvml
from nvtopo.sources.nvml import worker
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.environ["NVTOPO_NVML_FIXTURE"] = line.strip()
        worker.main()
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
        os._exit(0)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


class Fault(NamedTuple):
    """One call that fails."""

    call: str
    code: int
    everywhere: bool = True
    """Whether on every GPU; else on the first."""
    no_batch: bool = False
    """Whether the driver answers no batch of fields either."""
    bridged: bool = False
    """Whether the machine has cards with bridges, and no switch."""

    @property
    def unread(self) -> str:
        """The call, or the one that a machine with switches needs for the same."""
        return {_END: "", _ADDRESS: _END}.get(self.call, self.call) if self.bridged else self.call


class Reader:
    """Reads the driver of one machine again and again, in forks of one process; its ``/sys`` stays as captured."""

    def __init__(self, host: Path) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self._model, self._calls = (Path(self._directory.name) / name for name in ("nvml.json", "calls"))
        self.model: Json = json.loads((host / "nvml.json").read_text(encoding="utf-8"))
        self._rest = parse_capture((host / "capture.json").read_bytes(), host.name)
        self._child = subprocess.Popen(
            [sys.executable, "-c", _FORKS, str(build.library())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={"NVTOPO_NVML_CALLS": str(self._calls), "PYTHONPATH": ":".join(filter(None, sys.path))},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._child.communicate()
        self._directory.cleanup()

    def labels(self, model: Json) -> Labels:
        """The labels of the machine whose driver is like that."""
        return _labels(self.snapshot(model))

    def snapshot(self, model: Json) -> Snapshot:
        """What is read of the machine whose driver is like that."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._model.write_text(json.dumps(model), encoding="utf-8")
        self._child.stdin.write(f"{self._model}\n")
        self._child.stdin.flush()
        # The child counts its calls when it shuts NVML down, which is after it answered: wait until it ended.
        answers = [line.strip() for line in takewhile(lambda line: line != "ended\n", self._child.stdout)]
        read = answer.parse(answers[0].encode()) if answers else answer.failed("worker ended")
        problems = (*(problem for problem in self._rest.problems if problem.source != "nvml"), *read.problems)
        return replace(self._rest, nvml=read.facts, problems=problems)

    def calls(self) -> tuple[str, ...]:
        """The functions that the last reading called."""
        last = self._calls.read_text(encoding="utf-8").splitlines()[-1]
        return tuple(sorted(set(json.loads(last)) - NOT_NEEDED))


def _labels(snapshot: Snapshot) -> Labels:
    node = assemble(snapshot)
    found = features(node, derive(node))
    return {name.removeprefix(PREFIX): value for name, value in found.items()}


def with_fault(model: Json, fault: Fault) -> Json:
    """The machine with that fault."""
    gpus = [dict(gpu) for gpu in model["gpus"]]
    whole = dict(model, gpus=gpus)
    returns = {fault.call: fault.code}
    for place in [whole] if fault.everywhere else [gpus[0]]:
        place["returns"] = place.get("returns", {}) | returns
    if fault.no_batch:
        whole["returns"] = {BATCH: NOT_SUPPORTED} | whole.get("returns", {})
    return whole


def claims(well: Labels, labels: Labels, fault: Fault) -> Iterator[str]:
    """Labels that say "no", "0" or "ready" and that the fault kept from being known; ``well`` are those without it."""
    for name, value in labels.items():
        denies = value in ("0", "false", "none", "NotApplicable") and name != "ready"
        # A GPU that is lost with the call is none of those that the label is about.
        counted = labels.get("gpu.count") == well.get("gpu.count")
        unread = counted and fault.code not in ABSENT and fault.unread in _NEEDS.get(name, frozenset())
        if (denies and well.get(name) != value) or unread:
            yield f"{name}={value}"
    if labels.get("ready") == "true" and fault.code not in ABSENT:
        yield "ready=true with an error"
    if labels.get("ready") == "true" and labels.get("nvlink.groups") != well.get("nvlink.groups"):
        yield "ready=true without its NVLink groups"


class Step(NamedTuple):
    """One fault of the walk, and what came of it."""

    fault: Fault
    labels: Labels
    wrong: tuple[str, ...]
    """Labels that nobody can know."""


def walk(host: Path, codes: Iterable[int], places: Iterable[bool] = (True, False)) -> Iterator[Step]:
    """Each call with each code; ``places`` says whether on every GPU, or on the first alone."""
    codes, places = tuple(codes), tuple(places)
    with Reader(host) as reader:
        bridged = all(link["to"] == "gpu" for gpu in reader.model["gpus"] for link in gpu["links"])
        for no_batch in (False, True):
            model = with_fault(reader.model, Fault(BATCH, NOT_SUPPORTED)) if no_batch else reader.model
            well = reader.labels(model)
            for call, code, everywhere in product(reader.calls(), codes, places):
                fault = Fault(call, code, everywhere, no_batch, bridged)
                if (call == BATCH and no_batch) or not (everywhere or _of_a_gpu(call)):
                    continue
                labels = reader.labels(with_fault(reader.model, fault))
                yield Step(fault, labels, tuple(claims(well, labels, fault)))


def _of_a_gpu(call: str) -> bool:
    return call.startswith("nvmlDevice") and not call.startswith("nvmlDeviceGetCount")


def main() -> int:
    """The walk over three machines, and what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.nvml.walk", description=__doc__)
    parser.add_argument("machines", nargs="*", default=MACHINES, metavar="MACHINE", help="a folder of fixtures/hosts")
    bad = 0
    for machine in parser.parse_args().machines:
        readiness: Counter[str] = Counter()
        for step in walk(FIXTURES / "hosts" / machine, ALL_CODES):
            readiness[step.labels.get("ready", "absent")] += 1
            bad += bool(step.wrong)
            if step.wrong:
                print(f"{machine}: {step.fault}: {'; '.join(step.wrong)}")  # noqa: T201 - a command
        total = ", ".join(f"ready {value} {count}" for value, count in sorted(readiness.items()))
        print(f"{machine}: {readiness.total()} faults: {total}")  # noqa: T201 - a command
    print(f"{bad} faults with a label that nobody can know")  # noqa: T201 - a command
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
