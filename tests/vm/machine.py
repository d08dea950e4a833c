"""A running virtual machine: booted with the layout and the looks, asked over a unix socket, gone when this ends."""

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from tests.lab.process import Child, LabError
from tests.vm import build, cpio, layout
from tests.vm.guest.courier import PORT
from tests.vm.identity import disguise
from tests.vm.qmp import Qmp, connected

#: Emulated, on two cores that others use too; a boot takes about ten seconds where nobody else does.
BOOT_SECONDS: Final = 150.0
RUN_SECONDS: Final = 60.0

_KERNEL_ARGUMENTS: Final = (
    "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr random.trust_cpu=on audit=0 selinux=0 apparmor=0 "
    "cryptomgr.notests intel_iommu=on"
)


class Done(NamedTuple):
    """A program of the guest that has ended."""

    code: int
    output: str
    errors: str


class Vm:
    """The machine, from power on to power off."""

    def __init__(self, machine: build.Machine, folder: Path, files: Mapping[str, bytes]) -> None:
        """``folder`` is for this machine alone, and its path is short: it holds unix sockets. ``files`` are the
        guest's own in ``/work``, beside the code under test."""
        self._machine = machine
        self._files = files
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self.boot_seconds = 0.0
        self.fresh: object = None
        """What was noted right after the boot, for tests that must not see another test's changes."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._boot(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _boot(self, stack: contextlib.ExitStack) -> None:
        started = time.monotonic()
        initramfs = self._folder / "initramfs"
        initramfs.write_bytes(self._machine.initramfs.read_bytes() + _payload(self._files))
        self._child = Child("qemu", self._command(initramfs), log=self._folder / "console.log")
        stack.callback(self._child.kill)
        self._qmp = stack.enter_context(Qmp(self._folder / "qmp"))
        self._channel = stack.enter_context(connected(self._folder / "channel", seconds=20))
        self._lines = stack.enter_context(self._channel.makefile("r", encoding="utf-8"))
        found = disguise(self._child.pid, layout.LOOKS)
        if found != layout.disguised():
            raise LabError(f"{found} of QEMU's devices were found in its memory, not {layout.disguised()}")
        self._qmp("cont")
        self._answer(BOOT_SECONDS)
        self.boot_seconds = time.monotonic() - started

    def _command(self, initramfs: Path) -> tuple[str, ...]:
        tools = self._machine.tools
        found = [part for folder in tools.firmware for part in ("-L", folder)]
        return (
            *("nice", "-n", "5"),
            *tools.command("qemu-system-x86_64", *found, "-accel", "tcg,thread=multi", "-cpu", "Nehalem"),
            *("-nodefaults", "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-nic", "none"),
            *("-S", "-qmp", f"unix:{self._folder / 'qmp'},server=on,wait=off"),
            *("-kernel", str(tools.kernel), "-initrd", str(initramfs), "-append", _KERNEL_ARGUMENTS),
            *("-drive", f"if=none,id=root,file={self._machine.disk},format=raw,snapshot=on"),
            *("-device", "virtio-blk-pci,drive=root,serial=root"),
            *("-chardev", f"socket,id=channel,path={self._folder / 'channel'},server=on,wait=off"),
            *("-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=channel,name={PORT}"),
            *layout.arguments(),
        )

    def run(self, *argv: str, seconds: float = RUN_SECONDS, check: bool = True) -> Done:
        """Runs a program in the guest; LabError where it fails and that was not asked for."""
        answer = self._ask({"run": argv, "seconds": seconds}, seconds)
        done = Done(answer["code"], answer["output"], answer["errors"])
        if check and done.code:
            raise LabError(f"in the guest, {' '.join(argv)} ended with {done.code}: {done.errors or done.output}")
        return done

    def python(self, *argv: str, seconds: float = RUN_SECONDS, check: bool = True) -> Done:
        """Runs the guest's Python."""
        return self.run("python3", *argv, seconds=seconds, check=check)

    def json(self, *argv: str, seconds: float = RUN_SECONDS) -> Any:
        """What a Python module prints in the guest."""
        return json.loads(self.python("-m", *argv, seconds=seconds).output)

    def start(self, *argv: str, log: str) -> int:
        """Starts a program in the guest that stays; its process id there."""
        return int(self._ask({"start": argv, "log": log})["pid"])

    def end(self, pid: int) -> int:
        """Ends such a program as Kubernetes does; its exit code."""
        return int(self._ask({"end": pid}, 40)["code"])

    def read(self, path: str) -> str | None:
        """A file of the guest; None where it does not exist."""
        text: str | None = self._ask({"read": path})["text"]
        return text

    def wait_until_read(self, path: str, word: str, seconds: float) -> str:
        """The file of the guest, once it holds the word."""
        deadline = time.monotonic() + seconds
        while True:
            text = self.read(path) or ""
            if word in text:
                return text
            if time.monotonic() > deadline:
                raise LabError(f"in the guest, {path} has no {word!r} after {seconds} s: {text[-2000:]}")
            time.sleep(0.2)

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Asks QEMU."""
        return self._qmp(command, **arguments)

    def unplug(self, name: str) -> None:
        """Presses the attention button of the slot that holds the function; the guest lets go some seconds later."""
        self._qmp("device_del", id=name)

    def wait_until_gone(self, name: str, seconds: float = 30) -> None:
        """Until QEMU has the function no more."""
        deadline = time.monotonic() + seconds
        while any(device["name"] == name for device in self._qmp("qom-list", path="/machine/peripheral")):
            if time.monotonic() > deadline:
                raise LabError(f"the guest does not let go of {name} within {seconds:.0f} s")
            time.sleep(0.2)

    def plug(self, port: str, function: layout.Function) -> None:
        """Puts a function, with its look, into an empty slot."""
        self._qmp("stop")
        try:
            self._qmp("device_add", driver=function.model, id=function.name, bus=port, **function.properties)
            disguise(self._child.pid, layout.LOOKS)
        finally:
            self._qmp("cont")

    def _ask(self, request: dict[str, Any], seconds: float = RUN_SECONDS) -> Any:
        self._channel.sendall(json.dumps(request).encode() + b"\n")
        answer = self._answer(seconds + 20)
        if "error" in answer:
            raise LabError(f"in the guest: {answer['error']}")
        return answer

    def _answer(self, seconds: float) -> Any:
        self._channel.settimeout(seconds)
        try:
            line = self._lines.readline()
        except TimeoutError:
            line = ""
        if not line:
            self._child.check()
            raise LabError(f"the guest did not answer within {seconds:.0f} s; {self._child.last_words()}")
        return json.loads(line)


def _payload(others: Mapping[str, bytes]) -> bytes:
    """The code under test, as it is now, and what runs it in the guest."""
    files: dict[str, bytes] = {"work/tests/__init__.py": b"", "work/tests/vm/__init__.py": b""}
    files |= {f"work/{name}": content for name, content in others.items()}
    for folder, suffixes in ((build.REPOSITORY / "nvtopo", (".py", ".html")), (build.HERE / "guest", (".py", ".sh"))):
        for path in sorted(folder.rglob("*")):
            if path.suffix in suffixes:
                files[f"work/{path.relative_to(build.REPOSITORY)}"] = path.read_bytes()
    return cpio.archive(files, frozenset({"work/tests/vm/guest/userland.sh"}))
