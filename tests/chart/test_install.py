"""The chart in a real API server: installed, upgraded, removed; nothing stays behind."""

import shutil
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.chart.programs import NAMESPACE, RELEASE, Helm
from tests.daemonset.shipped import DAEMONSET, Json
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.kube import Api, ApiError

pytestmark = pytest.mark.lab

Objects = set[tuple[str, str]]

CRD: Final = ("customresourcedefinitions", "nodetopologies.nvtopo.io")
PRIVILEGED: Final = "pod-security.kubernetes.io/enforce"
#: What controllers keep for themselves, or write as they go.
_FLEETING: Final = {"events", "leases", "componentstatuses", "apiservices"}


@pytest.fixture(scope="module")
def before(empty_plane: ControlPlane) -> Objects:
    """All that there is before anything is installed."""
    for name in (NAMESPACE, "another"):
        kube.create_namespace(empty_plane.api(), name)
    return _everything(empty_plane.api())


def test_install_upgrade_and_uninstall_leave_nothing(helm: Helm, empty_plane: ControlPlane, before: Objects) -> None:
    admin = empty_plane.api()
    _label(admin, None)
    notes = _helm(helm, empty_plane, "install", RELEASE, str(DAEMONSET))
    assert f"{PRIVILEGED}=privileged" in notes, "the namespace has no such label yet"
    first = notes.partition("NOTES:\n")[2].partition("\n")[0]
    assert first.startswith("ERROR: image.repository=nvtopo names no registry"), first
    assert {"nvtopo-agent", "nvtopo-aggregator", CRD[1]} <= {name for _, name in _everything(admin) - before}

    _label(admin, "privileged")
    notes = _helm(helm, empty_plane, "upgrade", RELEASE, str(DAEMONSET), "--set", "components.node-feature=true")
    assert PRIVILEGED not in notes
    role = admin.get(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles/nvtopo-agent")
    assert role["rules"][0]["resources"] == ["nodefeatures"]
    _uninstall(helm, empty_plane, before)


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        (["image.tag=v2"], True),
        (["image.repository=team/nvtopo"], False),
        (["image.repository=registry.example.com/nvtopo"], False),
        (["image.pullPolicy=Never"], False),
    ],
    ids=["tag-alone", "docker-hub", "registry", "on-each-node"],
)
def test_an_image_without_a_registry_is_the_first_thing_said(
    helm: Helm, empty_plane: ControlPlane, settings: list[str], refused: bool
) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    notes = _helm(helm, empty_plane, "install", "nowhere", str(DAEMONSET), "--dry-run=server", *words)
    assert ("names no registry" in notes) == refused


def test_a_crd_that_is_kept_is_taken_up_again(helm: Helm, empty_plane: ControlPlane, before: Objects) -> None:
    _helm(helm, empty_plane, "install", RELEASE, str(DAEMONSET), "--set", "crd.keep=true")
    _uninstall(helm, empty_plane, before | {CRD})
    _helm(helm, empty_plane, "install", RELEASE, str(DAEMONSET))
    _uninstall(helm, empty_plane, before)


def test_upgrade_brings_the_definition_along(
    helm: Helm, empty_plane: ControlPlane, before: Objects, tmp_path: Path
) -> None:
    """What helm does not do for a chart's `crds/`; agents of the new release would be refused (docs/decisions/0011)."""
    admin, older = empty_plane.api(), tmp_path / "nvtopo"
    shutil.copytree(DAEMONSET, older)
    definition = yaml.safe_load((older / "crd.yaml").read_text())
    del _fields(definition)["neighbors"]
    (older / "crd.yaml").write_text(yaml.safe_dump(definition, sort_keys=False))
    _helm(helm, empty_plane, "install", RELEASE, str(older))
    place = f"/apis/apiextensions.k8s.io/v1/{'/'.join(CRD)}"
    assert "neighbors" not in _fields(admin.get(place))
    _helm(helm, empty_plane, "upgrade", RELEASE, str(DAEMONSET))
    assert "neighbors" in _fields(admin.get(place))
    _uninstall(helm, empty_plane, before)


def test_second_release_in_one_cluster_is_refused(helm: Helm, empty_plane: ControlPlane, before: Objects) -> None:
    """Its names are the cluster's: two would fight over one NodeTopology."""
    _helm(helm, empty_plane, "install", RELEASE, str(DAEMONSET))
    arguments = ("install", "another", str(DAEMONSET), "--namespace", "another")
    done = helm.run(*arguments, kubeconfig=empty_plane.admin_kubeconfig)
    assert done.returncode == 1
    assert 'must equal "another": current value is "nvtopo"' in done.stderr
    _uninstall(helm, empty_plane, before)


def _fields(definition: Json) -> Json:
    """Of the spec."""
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields: Json = schema["properties"]["spec"]["properties"]
    return fields


def _label(admin: Api, level: str | None) -> None:
    admin.patch(f"/api/v1/namespaces/{NAMESPACE}", {"metadata": {"labels": {PRIVILEGED: level}}})


def _helm(helm: Helm, plane: ControlPlane, *arguments: str) -> str:
    done = helm.run(*arguments, "--namespace", NAMESPACE, kubeconfig=plane.admin_kubeconfig)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _uninstall(helm: Helm, plane: ControlPlane, left: Objects) -> None:
    """Remove the release, and see that these objects and no others are left."""
    _helm(helm, plane, "uninstall", RELEASE)
    kube.wait_for(lambda: _everything(plane.api()) == left, what="all that was installed to go")


def _everything(admin: Api) -> Objects:
    """Resource and name of every object that can be listed."""
    named = (group["preferredVersion"]["groupVersion"] for group in admin.get("/apis")["groups"])
    groups = ["/api/v1", *(f"/apis/{group}" for group in named)]
    found: Objects = set()
    for group in groups:
        for resource in _resources(admin, group):
            try:
                items = admin.get(f"{group}/{resource}")["items"]
            except ApiError:  # a CRD's storage that has just gone
                continue
            found |= {(resource, item["metadata"]["name"]) for item in items}
    return found


def _resources(admin: Api, group: str) -> list[str]:
    try:
        listed = admin.get(group)["resources"]
    except ApiError:
        return []
    return [each["name"] for each in listed if "list" in each["verbs"] and each["name"] not in _FLEETING]
