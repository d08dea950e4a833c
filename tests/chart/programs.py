"""The two programs that turn `daemonset/` into objects: helm, and kustomize for what `kubectl apply -k` applies."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from tests import yaml_text
from tests.daemonset.shipped import DAEMONSET, Json

RELEASE: Final = "nvtopo"
NAMESPACE: Final = "nvtopo"
#: The oldest that is supported; a template that no server sees has no other way to know.
KUBERNETES: Final = "1.30.0"
_SECONDS: Final = 120


@dataclass(frozen=True)
class Helm:
    """Helm with its caches and its configuration in a folder of the test's."""

    program: Path
    home: Path

    def run(self, *arguments: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Whatever it answers: the caller looks at the exit status."""
        homes = {f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "NO_PROXY": "127.0.0.1", **homes}
        if kubeconfig is not None:
            environment["KUBECONFIG"] = str(kubeconfig)
        return subprocess.run(
            (str(self.program), *arguments),
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def template(self, *settings: str, namespace: str = NAMESPACE, chart: Path = DAEMONSET) -> list[Json]:
        """The objects of the chart with these values (`a.b=JSON`), in helm's order."""
        done = self._render(settings, namespace, chart)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml_text.read_all(done.stdout) if document]

    def refusal(self, *settings: str, chart: Path = DAEMONSET) -> list[str]:
        """The lines in which the chart says no to these values."""
        done = self._render(settings, NAMESPACE, chart)
        assert (done.returncode, done.stdout) == (1, "")
        return [line for line in done.stderr.splitlines() if line]

    def _render(self, settings: Sequence[str], namespace: str, chart: Path) -> subprocess.CompletedProcess[str]:
        where = (RELEASE, str(chart), "--namespace", namespace, "--kube-version", KUBERNETES)
        return self.run("template", *where, *(word for setting in settings for word in ("--set-json", setting)))


@dataclass(frozen=True)
class Kustomize:
    """`kubectl kustomize` without kubectl."""

    program: Path
    folder: Path

    def build(self, components: Sequence[str], more: Json | None = None) -> list[Json]:
        """What an overlay with these components, and with more of a kustomization's fields, applies."""
        way = Path(os.path.relpath(DAEMONSET, self.folder.resolve()))
        overlay = {"resources": [str(way)], "components": [str(way / "components" / name) for name in components]}
        overlay |= more or {}
        (self.folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        command = (str(self.program), "build", str(self.folder))
        built = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        assert built.returncode == 0, built.stderr
        return list(yaml_text.read_all(built.stdout))


def by_name(objects: Iterable[Json]) -> dict[tuple[str, str, str], Json]:
    """Each object once, by what identifies it."""
    return {(each["apiVersion"], each["kind"], each["metadata"]["name"]): each for each in objects}
