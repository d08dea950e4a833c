"""A NIC is unplugged and plugged in again while the agent runs. It polls every ten minutes: only events can tell it."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.vm import build, layout
from tests.vm.fixtures import Fresh
from tests.vm.machine import Vm

pytestmark = pytest.mark.vm

#: From the kernel's last word on the matter to the new feature file. Half of it is the agent's patience with bursts
#: of events; the rest is one reading of the whole machine by an emulated CPU.
SECONDS: Final = 1.0
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
        vm.wait_until_read(WITNESS, COUNT, 60)
        yield agent
    finally:
        code = vm.end(agent)
        vm.end(witness)
        vm.run("rm", "-rf", "/run/features")
    assert code == 0, vm.read("/run/agent.log")


def notes(vm: Vm) -> Notes:
    return [json.loads(line) for line in (vm.read(WITNESS) or "").splitlines() if line.endswith("}")]


def wait_for(vm: Vm, label: str, value: str, seen: int) -> Notes:
    """What the witness noted after its first ``seen`` notes, once the label has the value."""
    deadline = time.monotonic() + 60
    while True:
        new = notes(vm)[seen:]
        if any(note.get("labels", {}).get(label) == value for note in new):
            return new
        assert time.monotonic() < deadline, (new[-5:], vm.read("/run/agent.log"))
        time.sleep(0.2)


def delays(new: Notes, label: str, value: str, action: str) -> tuple[float, float]:
    """Seconds from the kernel's first and last event about the function to the label's new value."""
    written = next(note["at"] for note in new if note.get("labels", {}).get(label) == value)
    events = [
        note["at"]
        for note in new
        if note.get("event") == action and PLACE.address in note["device"] and note["at"] < written
    ]
    assert events, new
    return round(written - min(events), 3), round(written - max(events), 3)


def test_unplugging_and_plugging_in_again_is_seen_at_once(vm: Vm, agent: int, fresh: Fresh) -> None:
    assert agent
    before = len(fresh.document["spec"]["nics"])
    seen = len(notes(vm))
    vm.unplug(FUNCTION.name)
    try:
        gone = wait_for(vm, COUNT, str(before - 1), seen)
        document = vm.json("nvtopo", "dump", "--format", "json")
        assert PLACE.address not in [nic["pciBusID"] for nic in document["spec"]["nics"]]
    finally:
        vm.wait_until_gone(FUNCTION.name)
        seen = len(notes(vm))
        vm.plug(PORT, FUNCTION)
    back = wait_for(vm, COUNT, str(before), seen)
    vm.run("udevadm", "settle", "-t", "30")
    nics = {nic["pciBusID"]: nic for nic in vm.json("nvtopo", "dump", "--format", "json")["spec"]["nics"]}
    assert (nics[PLACE.address]["path"], nics[PLACE.address]["numaNode"]) == (PLACE.path, PLACE.node)
    measured = {
        "unplugged": delays(gone, COUNT, str(before - 1), "remove"),
        "plugged": delays(back, COUNT, str(before), "add"),
    }
    build.say(f"seconds from the first and the last event to the feature file: {measured}")
    assert all(last < SECONDS for _, last in measured.values()), measured
