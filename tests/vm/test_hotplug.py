"""A NIC is unplugged and plugged in again while the agent runs. It polls every ten minutes: only events can tell it."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from nvtopo.agent import DEBOUNCE_SECONDS
from tests.vm import build, layout
from tests.vm.fixtures import Fresh
from tests.vm.machine import Vm

pytestmark = pytest.mark.vm

#: From the kernel's last word on the matter to the new feature file, on a machine that is not starved: the agent's
#: patience with bursts of events, and one reading of everything. Emulated CPUs that share two real ones with other
#: work read more slowly: then the bound is what that reading takes now, and a bit.
SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = DEBOUNCE_SECONDS
FEATURES: Final = "/run/features/nvtopo"
WITNESS: Final = "/run/witness.jsonl"
COUNT: Final = "nvtopo.io/nic.count"
PORT, FUNCTION = layout.PLUGGED
PLACE: Final = layout.places()[FUNCTION.name]

Notes = list[dict[str, Any]]


@pytest.fixture
def agent(vm: Vm) -> Iterator[int]:
    """The running agent, with a witness beside it."""
    vm.run("mkdir", "-p", "/run/features")
    witness = vm.start("python3", "-m", "tests.vm.guest.witness", FEATURES, log=WITNESS)
    vm.wait_until_read(WITNESS, "watching", 30)
    options = ("--no-resource", "--features-dir", "/run/features", "--interval", "600", "--listen", "")
    agent = vm.start("python3", "-m", "nvtopo", "agent", *options, "--nvml", "none", log="/run/agent.log")
    try:
        wait_for(vm, COUNT, None, 0)
        yield agent
    finally:
        code = vm.end(agent)
        vm.end(witness)
        vm.run("rm", "-rf", "/run/features")
    assert code == 0, vm.read("/run/agent.log")


def notes(vm: Vm) -> Notes:
    return [json.loads(line) for line in (vm.read(WITNESS) or "").splitlines() if line.endswith("}")]


def wait_for(vm: Vm, label: str, value: str | None, seen: int) -> Notes:
    """What the witness noted after its first ``seen`` notes, once the label has the value; any for None."""
    deadline = time.monotonic() + 60
    while True:
        new = notes(vm)[seen:]
        values = [labels[label] for note in new if label in (labels := note.get("labels") or {})]
        if value in values or (value is None and values):
            return new
        assert time.monotonic() < deadline, (new[-5:], vm.read("/run/agent.log"))
        time.sleep(0.2)


def delays(new: Notes, label: str, value: str, action: str) -> tuple[float, float]:
    """Seconds from the kernel's first and last event about the function to the label's new value."""
    written = next(note["at"] for note in new if (note.get("labels") or {}).get(label) == value)
    events = [
        note["at"]
        for note in new
        if note.get("event") == action and PLACE.address in note["device"] and note["at"] < written
    ]
    assert events, new
    return round(written - min(events), 3), round(written - max(events), 3)


def test_unplugging_and_plugging_in_again_is_seen_at_once(vm: Vm, agent: int, fresh: Fresh) -> None:
    assert agent
    for last_try in (False, True):
        measured = replugged(vm, len(fresh.document["spec"]["nics"]))
        allowed = max(SECONDS, PATIENCE_SECONDS + 3 * reading_seconds(vm))
        build.say(f"seconds from the first and the last event to the feature file: {measured}, allowed {allowed:.1f}")
        if all(last < allowed for _, last in measured.values()):
            return
        assert not last_try, measured


def replugged(vm: Vm, nics: int) -> dict[str, tuple[float, float]]:
    """Unplugs the NIC and plugs it in again; how long the agent took each time."""
    seen = len(notes(vm))
    vm.unplug(FUNCTION.name)
    try:
        gone = wait_for(vm, COUNT, str(nics - 1), seen)
        assert PLACE.address not in dumped(vm)
    finally:
        vm.wait_until_gone(FUNCTION.name)
        seen = len(notes(vm))
        vm.plug(PORT, FUNCTION)
    back = wait_for(vm, COUNT, str(nics), seen)
    vm.run("udevadm", "settle", "-t", "30")
    nic = dumped(vm)[PLACE.address]
    assert (nic["path"], nic["numaNode"]) == (PLACE.path, PLACE.node)
    return {
        "unplugged": delays(gone, COUNT, str(nics - 1), "remove"),
        "plugged": delays(back, COUNT, str(nics), "add"),
    }


def dumped(vm: Vm) -> dict[str, Any]:
    """The NICs that ``nvtopo dump`` shows, by their addresses."""
    return {nic["pciBusID"]: nic for nic in vm.json("nvtopo", "dump", "--format", "json")["spec"]["nics"]}


def reading_seconds(vm: Vm) -> float:
    """How long this guest takes, at this moment, to read the machine once."""
    program = (
        "import time; from nvtopo.sources import reading; from nvtopo.sources.machine import Machine, NoNvml\n"
        "from nvtopo.sources.sysfs import SysfsRoot\n"
        "machine = Machine(root=SysfsRoot(), nvml=NoNvml())\n"
        "def read():\n    began = time.monotonic(); reading.read(machine); return time.monotonic() - began\n"
        "print(max(read() for _ in range(5)))"
    )
    return float(vm.python("-c", program).output)
