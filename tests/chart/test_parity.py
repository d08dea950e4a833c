"""The chart and `kubectl apply -k` install the same objects, and `shipped`, by which other tests read them, agrees."""

from typing import Final

import pytest

from tests.chart.programs import Helm, Kustomize, by_name
from tests.daemonset import shipped
from tests.daemonset.shipped import COMPONENTS

pytestmark = pytest.mark.lab

CHOICES: Final = [(), *((name,) for name in COMPONENTS), COMPONENTS]
choices = pytest.mark.parametrize("names", CHOICES, ids=lambda names: "+".join(names) or "base")
#: A release's namespace is there before the release: helm itself creates it, or somebody else has.
NAMESPACE: Final = ("v1", "Namespace", "nvtopo")


@choices
def test_chart_installs_what_kubectl_applies(names: tuple[str, ...], helm: Helm, kustomize: Kustomize) -> None:
    applied = by_name(kustomize.build(names))
    del applied[NAMESPACE]
    assert by_name(helm.template(*(f"components.{name}=true" for name in names))) == applied


@choices
def test_shipped_is_what_kustomize_builds(names: tuple[str, ...], kustomize: Kustomize) -> None:
    assert by_name(kustomize.build(names)) == by_name(shipped.with_components(names))
