"""CONTRIBUTING.md, "A new source": one module and one line in the tuple are enough for its facts to reach everybody."""

import types
from pathlib import Path

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.sinks.document.node import capture_json
from nvtopo.sources import reading
from nvtopo.sources.capture import parse_capture
from nvtopo.sources.machine import Machine, NoNvml, Reading
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot


def clocksource(root: Path) -> types.ModuleType:
    """The module of CONTRIBUTING.md, as a stranger would write it."""
    (root / "sys/devices/system/clocksource/clocksource0").mkdir(parents=True)
    (root / "sys/devices/system/clocksource/clocksource0/current_clocksource").write_text("tsc\n")
    module = types.ModuleType("clocksource")

    def read(machine: Machine) -> Reading:
        reader = SysfsReader(machine.root, "clocksource")
        name = reader.text("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        return Reading(None if name is None else {"current": name}, tuple(reader.problems))

    module.__dict__.update(NAME="clocksource", read=read)
    return module


def test_its_facts_are_in_the_capture_and_in_the_resource(tmp_path: Path) -> None:
    sources = (*reading.SOURCES, clocksource(tmp_path))
    snapshot = reading.read(Machine(root=SysfsRoot(str(tmp_path)), nvml=NoNvml()), sources)
    assert snapshot.attributes == {"clocksource": {"current": "tsc"}}
    assert parse_capture(capture_json(snapshot), "capture") == snapshot
    assert assemble(snapshot).attributes == snapshot.attributes
