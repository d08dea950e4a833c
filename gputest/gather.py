"""Runs everything, one thing after the other, each with a deadline, all within the time of the test."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from gputest import agent_pass, programs
from gputest.agent_pass import AgentPass
from gputest.compare import driver, kernel, nvlink, query, topo
from gputest.compare.outputs import FORMATS
from gputest.programs import Output

REPOSITORY: Final = Path(__file__).resolve().parents[1]
#: The host's own name stays out of everything that is written.
NODE_NAME: Final = "gpu-test-node"
CAPTURE: Final = "nvtopo capture"
CALLS: Final = "driver calls"
AGENT: Final = "nvtopo agent"


class Times(NamedTuple):
    """What may be taken, in seconds."""

    program: float = 30.0
    """By one program."""

    @property
    def total(self) -> float:
        """By everything."""
        return 9 * self.program

    @property
    def kind(self) -> float:
        """By all programs of one kind, so that a driver that hangs leaves time for the others."""
        return 2.5 * self.program

    @property
    def agent(self) -> float:
        """By the agent, which is more than one program."""
        return 2 * self.program


DEFAULT: Final = Times()


class Machine(NamedTuple):
    """Which machine is looked at."""

    root: str = "/"
    library: str = "libnvidia-ml.so.1"
    smi: str = "nvidia-smi"


class Gathered(NamedTuple):
    """What every program printed, by its name in the report."""

    outputs: dict[str, Output]
    agent: AgentPass


def dump_of(form: str) -> str:
    """The name of that step."""
    return f"nvtopo dump --format {form}"


def probe_driver(machine: Machine, seconds: float) -> Output:
    """What pynvml says, without nvtopo."""
    _find_modules()
    return programs.run((sys.executable, "-m", "gputest.probe_nvml", machine.library), seconds)


def _find_modules() -> None:
    """Child interpreters find this repository wherever they are started."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(REPOSITORY) not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(REPOSITORY), *paths)))


def gather(
    machine: Machine, directory: Path, times: Times = DEFAULT, say: Callable[[str], None] = lambda _: None
) -> Gathered:
    """Everything; ``directory`` takes what is not kept, and ``say`` hears what runs."""
    until = time.monotonic() + times.total
    outputs: dict[str, Output] = {}

    def step(name: str, command: tuple[str, ...], kind_until: float = until) -> None:
        say(name)
        outputs[name] = programs.run(command, min(times.program, min(kind_until, until) - time.monotonic()))

    python = (sys.executable, "-m")
    say(driver.TOOL)
    outputs[driver.TOOL] = probe_driver(machine, times.program)
    step(kernel.TOOL, (*python, "gputest.probe_sysfs", machine.root))
    live = ("--root", machine.root, "--nvml", machine.library, "--node-name", NODE_NAME)
    capture = directory / "capture.json"
    step(CAPTURE, (*python, "nvtopo", "capture", str(capture), *live))
    dumps_until = time.monotonic() + times.kind
    for form in FORMATS:
        step(dump_of(form), (*python, "nvtopo", "dump", "--format", form, *live), dumps_until)
    smi_until = time.monotonic() + times.kind
    for tool in (topo.TOOL, query.TOOL, nvlink.STATES, nvlink.ENDS):
        step(tool, (machine.smi, *tool.split()[1:]), smi_until)
    step(CALLS, (*python, "gputest.probe_calls", machine.library))
    say(AGENT)
    agent = agent_pass.run((*python, "nvtopo", "agent", *live), max(0.0, min(times.agent, until - time.monotonic())))
    outputs[AGENT] = agent.output
    return Gathered(outputs, agent)
