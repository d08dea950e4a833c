"""One whole pass of an agent over a machine with a fault: real files, the real pynvml over the C library."""

import json
from pathlib import Path
from typing import NamedTuple

from nvtopo.agent import observe
from nvtopo.agent.expectation_file import ExpectationFile
from nvtopo.agent.expectations import AgentExpectations
from nvtopo.agent.parts import sampler, sampler_policy
from nvtopo.agent.parts.all_parts import parts
from nvtopo.agent.parts.changes import Changes
from nvtopo.model.observation import Observation
from nvtopo.sinks.metrics.series import text, together
from nvtopo.sources.kubelet.pods import read as read_pods
from nvtopo.sources.machine import Machine
from nvtopo.sources.nvml.topology import NvmlWorker
from tests.faults.kinds import Kind, as_recorded, unchanged
from tests.hosts.recorded import FIXTURES, machine_of

_PATIENCE_SECONDS = 120


class Passed(NamedTuple):
    """What the pass left."""

    observation: Observation
    page: str


def passed(kind: Kind, directory: Path) -> Passed:
    """The pass; where the agent has seen the machine before, the last one."""
    expectations = AgentExpectations([_file(kind.expect, directory)] if kind.expect else ())
    before = None
    if kind.seen_well:
        with machine_of(*_machine(kind._replace(driver=as_recorded, files=unchanged), directory)) as machine:
            before = observe(machine, due=expectations.of)
    with machine_of(*_machine(kind, directory)) as machine:
        if kind.lasting_seconds:
            before = observe(machine, before=before, due=expectations.of, clock=lambda: 0.0)
        now = kind.lasting_seconds
        observation = observe(machine, before=before, due=expectations.of, clock=lambda: now)
        return Passed(observation, _page(machine, observation))


def _file(expect: str, directory: Path) -> ExpectationFile:
    path = directory / "expect.yaml"
    path.write_text(f"shapes: {{all: {{match: {{}}, expect: {expect}}}}}\n", encoding="utf-8")
    return ExpectationFile(path)


def _machine(kind: Kind, directory: Path) -> tuple[str, Path | None]:
    host = FIXTURES / "hosts" / kind.host
    text_of_files = kind.files((host / "sys.txt").read_text(encoding="utf-8"))
    recorded = host / "nvml.json"
    if not recorded.exists():
        return text_of_files, None
    model = json.loads(recorded.read_text(encoding="utf-8")) | {"uptimeSeconds": 100_000}
    kind.driver(model)
    changed = directory / f"nvml-{kind.driver is as_recorded}.json"
    changed.write_text(json.dumps(model, ensure_ascii=False), encoding="utf-8", errors="surrogateescape")
    return text_of_files, changed


def _page(machine: Machine, observation: Observation) -> str:
    assert isinstance(machine.nvml, NvmlWorker)
    with sampler.Sampler(machine.nvml.library, sampler_policy.Pace(interval=0.01)) as running:
        if running.scrape() is not None:
            running.wait(lambda state: state.samples >= 2 or "driver" in state.reasons, _PATIENCE_SECONDS)
        found = parts(machine.root, lambda: observation, Changes(), lambda: read_pods(machine.root))
        return text(together((*found, sampler.part(running, lambda: observation))))
