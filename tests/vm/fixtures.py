"""The virtual machine as pytest fixtures, one machine for a whole session."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.lab.process import LabError
from tests.nvml.build import BuildError
from tests.vm import build, driver
from tests.vm.machine import Vm

_BUILT: Final = pytest.StashKey[build.Machine | LabError]()


@dataclass(frozen=True)
class Fresh:
    """The machine as it came up, before any test changed it."""

    snapshot: Any
    """``nvtopo capture``."""
    document: Any
    """``nvtopo dump --format json``, without a driver."""
    driven: Any
    """The same with the driver of ``driver.py``."""
    netdevs: dict[str, str]
    """MAC address → the name that the guest gave the netdev."""
    imported: frozenset[str]
    """What ``nvtopo dump`` imported while the kernel had no RDMA."""
    pci: Any
    """QEMU's own account of its PCI buses."""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds before the first test, where no test's time limit runs and people see the progress."""
    if session.config.option.collectonly:
        return
    if any("vm" in getattr(item, "fixturenames", ()) for item in session.items):
        try:
            session.config.stash[_BUILT] = build.ensure(build.say)
        except LabError as error:
            session.config.stash[_BUILT] = error


@pytest.fixture(scope="session")
def vm(request: pytest.FixtureRequest) -> Iterator[Vm]:
    """The running machine. Tests share it, in any order: each leaves it as it found it."""
    built = request.config.stash.get(_BUILT, None) or build.ensure(build.say)
    if isinstance(built, LabError):
        pytest.fail(f"the virtual machine was not built: {built}", pytrace=False)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nvtopo-vm-")))
        try:
            machine = stack.enter_context(Vm(built, folder, driver.files()))
            machine.fresh = _fresh(machine)
        except (LabError, BuildError) as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        build.say(f"booted in {machine.boot_seconds:.1f} s")
        yield machine


@pytest.fixture(scope="session")
def fresh(vm: Vm) -> Fresh:
    """The machine as it came up, whatever tests have run before."""
    assert isinstance(vm.fresh, Fresh)
    return vm.fresh


def _fresh(machine: Vm) -> Fresh:
    machine.python("-m", "nvtopo", "capture", "/tmp/fresh.json")  # noqa: S108 - the guest's own /tmp
    dump = machine.python("-X", "importtime", "-m", "nvtopo", "dump", "--format", "json")
    imported = (line.rpartition("|")[2].strip() for line in dump.errors.splitlines() if line.startswith("import time:"))
    links = json.loads(machine.run("ip", "-json", "link").output)
    return Fresh(
        snapshot=json.loads(machine.read("/tmp/fresh.json") or ""),  # noqa: S108 - as above
        document=json.loads(dump.output),
        driven=json.loads(machine.run(*driver.command("nvtopo", "dump", "--format", "json")).output),
        netdevs={link["address"]: link["ifname"] for link in links},
        imported=frozenset(imported),
        pci=machine.qmp("query-pci"),
    )
