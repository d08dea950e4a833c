"""Builds the virtual machine from Debian packages: `python -m tests.vm.build`.

Two folders in `.cache/vm/`, each named after a digest of all that decides its content, so a present folder is a
finished one: `tools-*` (QEMU, the kernel, its modules, and what makes file systems) and `image-*` (the guest's disk
and initramfs, with nvtopo's own dependencies as constraints.txt pins them). On this machine only mmdebstrap is
installed, where it is missing.
"""

import configparser
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import build_cache
from tests.build_cache import Report, locked
from tests.lab.process import LabError, guarded
from tests.vm import cpio

HERE: Final = Path(__file__).resolve().parent
REPOSITORY: Final = HERE.parents[1]
CACHE: Final = build_cache.CACHE / "vm"

#: QEMU 7.2 of this release has no SR-IOV NIC: QEMU comes from its backports.
SUITE: Final = "bookworm"
BACKPORTS: Final = f"{SUITE}-backports"
GUEST_PYTHON: Final = "3.11"

TOOLS: Final = (
    *(f"{name}/{BACKPORTS}" for name in ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios")),
    "linux-image-amd64",
    "kmod",
    "e2fsprogs",
)
GUEST: Final = (
    "busybox-static",
    "kmod",
    "udev",
    "iproute2",
    "rdma-core",
    "ibverbs-providers",
    "ibverbs-utils",
    "python3",
    "python3-pyverbs",
)
#: What the guest's devices and tests need. rdma_rxe asks for crc32_generic by a name that no dependency shows.
MODULES: Final = (
    *("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "nvme", "e1000e", "igb", "igbvf"),
    *("ext4", "crc32_generic", "crc32c_generic", "crc32_pclmul", "crc32c_intel"),
    *("ib_core", "ib_uverbs", "rdma_rxe", "veth", "dummy", "8021q"),
)
EARLY_MODULES: Final = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")

_MMDEBSTRAP: Final = (
    "mmdebstrap",
    "--quiet",
    "--mode=root",
    "--format=directory",
    '--aptopt=Apt::Install-Recommends "false"',
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("man", "locale", "doc", "info")),
)
_WHEELS: Final = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")


@dataclass(frozen=True)
class Tools:
    """QEMU, a kernel, and programs for images, which run by their own dynamic linker and libraries."""

    folder: Path

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinux"

    @property
    def modules(self) -> Path:
        """The folder that holds `lib/modules`."""
        return self.folder / "kernel"

    @property
    def version(self) -> str:
        """The kernel's release."""
        return next((self.modules / "lib/modules").iterdir()).name

    def command(self, program: str, *arguments: str) -> tuple[str, ...]:
        """How to run a program of this folder; its name may be one that its file answers to."""
        root = self.folder / "root"
        libraries = ":".join(str(root / part / "x86_64-linux-gnu") for part in ("lib", "usr/lib"))
        places = (root / folder / program for folder in ("usr/bin", "usr/sbin", "bin", "sbin"))
        found = next((place for place in places if place.exists() or place.is_symlink()), None)
        if found is None:
            raise LabError(f"{program} is in no package of {', '.join(TOOLS)}")
        target = root / "bin" / "kmod" if program == "depmod" else found
        loader = str(root / "lib64" / "ld-linux-x86-64.so.2")
        return (loader, "--library-path", libraries, "--argv0", program, str(target), *arguments)

    @property
    def firmware(self) -> tuple[str, ...]:
        """Where QEMU finds what it loads into machines."""
        return tuple(str(self.folder / "root/usr/share" / name) for name in ("qemu", "seabios"))


@dataclass(frozen=True)
class Machine:
    """Everything that is needed to boot."""

    tools: Tools
    disk: Path
    initramfs: Path


def ensure(report: Report) -> Machine:
    """The virtual machine, built where it is missing."""
    tools = Tools(CACHE / f"tools-{_digest(TOOLS, MODULES, _MMDEBSTRAP)}")
    guest = (GUEST, _MMDEBSTRAP, _pins(), (HERE / "guest" / "initramfs.sh").read_text(), EARLY_MODULES)
    image = CACHE / f"image-{_digest(tools.folder.name, *guest)}"
    if not (tools.folder.is_dir() and image.is_dir()):
        _require(report)
        with locked("vm", "the virtual machine", report):
            _made(tools.folder, lambda folder: _build_tools(Tools(folder)), report)
            _made(image, lambda folder: _build_image(tools, folder), report)
    return Machine(tools, image / "root.ext4", image / "initramfs")


def _require(report: Report) -> None:
    """Says in one line what this machine lacks; the one program that it may install, it does."""
    if os.geteuid() != 0:
        raise LabError("the virtual machine is built as root (mmdebstrap makes device files); once built, it is kept")
    if os.uname().machine != "x86_64":
        raise LabError(f"the virtual machine is x86-64, this machine is {os.uname().machine}")
    if shutil.which("apt-get") is None:
        raise LabError("the virtual machine is built from Debian packages: apt-get is missing")
    if shutil.which("mmdebstrap") is None:
        report("installing mmdebstrap …")
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap")


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join((SUITE, GUEST_PYTHON, *map(repr, parts))).encode()).hexdigest()[:16]


def _pins() -> tuple[str, ...]:
    """nvtopo's dependencies as constraints.txt pins them."""
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    lines = setup["options"]["install_requires"].splitlines()
    names = {_normal(match[0]) for line in lines if (match := re.match(r"[\w.-]+", line))}
    pins = (REPOSITORY / "constraints.txt").read_text().splitlines()
    return tuple(sorted(pin for pin in pins if _normal(pin.partition("==")[0]) in names))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _made(folder: Path, make: Callable[[Path], None], report: Report) -> None:
    """Builds beside the folder and renames: a folder of that name is whole, however this process ends."""
    if folder.is_dir():  # another process built it while this one waited for the lock
        return
    kind = folder.name.partition("-")[0]
    for leftover in folder.parent.glob(f".{kind}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    report(f"building the virtual machine's {kind} …")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f".{kind}-", dir=folder.parent) as temporary:
        unfinished = Path(temporary) / "output"
        unfinished.mkdir()
        make(unfinished)
        unfinished.rename(folder)
    report(f"building the virtual machine's {kind}: {time.monotonic() - started:.0f} s")


def _build_tools(tools: Tools) -> None:
    """QEMU and the kernel, unpacked and not installed."""
    root = tools.folder / "root"
    _run(*_MMDEBSTRAP, "--variant=extract", f"--include={','.join(TOOLS)}", SUITE, str(root), "-", stdin=_sources())
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    tools.kernel.write_bytes(_unpacked(kernel.read_bytes()))
    release = kernel.name.partition("-")[2]
    _run(*tools.command("depmod", "-b", str(root), release))
    source, target = (folder / "lib/modules" / release for folder in (root, tools.modules))
    for name in dict.fromkeys(path for module in MODULES for path in _with_dependencies(source, module)):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    for name in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
        shutil.copyfile(source / name, target / name)
    _run(*tools.command("depmod", "-b", str(tools.modules), release))
    for spare in ("boot", "lib/modules", "var", "usr/share/perl", "usr/lib/x86_64-linux-gnu/perl-base"):
        shutil.rmtree(root / spare, ignore_errors=True)


def _unpacked(image: bytes) -> bytes:
    """The kernel proper out of its self-extracting image: emulated, the extraction takes seconds of each boot."""
    sectors = image[0x1F1] or 4
    (offset,) = struct.unpack_from("<I", image, 0x248)
    payload = image[(sectors + 1) * 512 + offset :]
    if not payload.startswith(b"\xfd7zXZ\0"):
        raise LabError(f"the kernel's payload is not xz: it begins with {payload[:6]!r}")
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(payload)


def _with_dependencies(folder: Path, module: str) -> list[str]:
    """The files of a module, what it depends on first; empty where it is built into the kernel."""
    for line in (folder / "modules.dep").read_text().splitlines():
        name, _, dependencies = line.partition(":")
        if Path(name).name.partition(".")[0].replace("-", "_") == module:
            return [*reversed(dependencies.split()), name]
    if f"/{module}.ko" not in (folder / "modules.builtin").read_text().replace("-", "_"):
        raise LabError(f"the kernel has no module {module}")
    return []


def _build_image(tools: Tools, folder: Path) -> None:
    """The guest's disk, made without mounting anything, and the initramfs that finds it."""
    root = folder / "root"
    include = f"--include={','.join(GUEST)}"
    _run(*_MMDEBSTRAP, "--variant=essential", include, SUITE, str(root), "-", stdin=_sources())
    shutil.copytree(tools.modules / "lib/modules", root / "lib/modules", dirs_exist_ok=True)
    (root / "work").mkdir()
    _install_dependencies(root)
    for spare in ("var/lib/apt/lists", "var/cache/apt"):
        shutil.rmtree(root / spare, ignore_errors=True)
    (folder / "initramfs").write_bytes(_initramfs(tools, root))
    disk = folder / "root.ext4"
    used = sum(path.lstat().st_size for path in root.rglob("*") if not path.is_symlink())
    with disk.open("wb") as file:
        file.truncate((used * 13 // 10 >> 20) + 128 << 20)
    options = ("-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-E", "lazy_itable_init=1", "-m", "0")
    _run(*tools.command("mke2fs", *options, "-d", str(root), str(disk)))
    shutil.rmtree(root)


def _install_dependencies(root: Path) -> None:
    """nvtopo's dependencies for the guest's Python, compiled so that no boot does it again."""
    target = root / "opt" / "site"
    wanted = ("--only-binary=:all:", "--python-version", GUEST_PYTHON, "--implementation", "cp")
    platforms = (word for platform in _WHEELS for word in ("--platform", platform))
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    constraints = ("--constraint", str(REPOSITORY / "constraints.txt"))
    _run(*pip, *wanted, *platforms, *constraints, "--target", str(target), *_pins())
    _run("chroot", str(root), "python3", "-m", "compileall", "-q", "/opt/site")


def _initramfs(tools: Tools, root: Path) -> bytes:
    """busybox, the modules that the disk needs, and the script that hands over to the disk."""
    modules = tools.modules / "lib/modules" / tools.version
    names = dict.fromkeys(path for module in EARLY_MODULES for path in _with_dependencies(modules, module))
    files = {
        f"modules/{number:02d}-{Path(name).name}": (modules / name).read_bytes() for number, name in enumerate(names)
    }
    files |= {f"{folder}/.keep": b"" for folder in ("dev", "proc", "sys", "root")}
    files["bin/busybox"] = (root / "bin/busybox").read_bytes()
    files["init"] = (HERE / "guest" / "initramfs.sh").read_bytes()
    return cpio.archive(files, frozenset({"bin/busybox", "init"}))


def _sources() -> str:
    """Lines of sources.list: the mirror that this machine's apt uses for Debian, with the suites that are wanted."""
    query = ("apt-get", "indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(REPO_URI)", "Created-By: Packages")
    listed = _run(*query)
    if not listed:
        _run("apt-get", "update", "-qq")
        listed = _run(*query)
    for line in listed.splitlines():
        origin, _, rest = line.partition(" ")
        component, _, mirror = rest.partition(" ")
        if origin == "Debian" and component == "main" and not mirror.rstrip("/").endswith("-security"):
            return "".join(f"deb {mirror} {suite} main\n" for suite in (SUITE, f"{SUITE}-updates", BACKPORTS))
    raise LabError("the virtual machine is built from Debian packages: this machine's apt knows no Debian mirror")


def _run(*argv: str, stdin: str | None = None) -> str:
    """What the program prints; LabError with its last words where it fails."""
    done = subprocess.run(guarded(argv), input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise LabError(f"{' '.join(argv)[:120]} ended with {done.returncode}: {' / '.join(words)}")
    return done.stdout.strip()


def say(line: str) -> None:
    """A line of progress for the person at the terminal."""
    sys.stderr.write(f"vm: {line}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] = ()) -> int:
    del arguments
    started = time.monotonic()
    try:
        machine = ensure(say)
    except LabError as error:
        say(str(error))
        return 3
    say(f"{machine.disk.parent}, ready after {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
