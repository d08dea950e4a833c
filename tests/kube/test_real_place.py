"""``nvtopo place --allocations`` at a real API server: GPUs that pods hold go to no gang."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner

from nvtopo.cli import main
from nvtopo.kube import allocations, v1alpha1
from nvtopo.model.records.allocation import Allocation, Held
from tests.daemonset import shipped
from tests.exporters import clusters
from tests.lab import kube
from tests.lab.control_plane import ControlPlane

pytestmark = pytest.mark.lab

NAMES: Final = ("place-0", "place-1")
MACHINES: Final = ("hgx-h200-8gpu", "hgx-b200-8gpu")


@pytest.fixture(name="plane")
def _plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """Two well nodes of eight GPUs. A pod holds one GPU of the first; of the second nobody says anything."""
    api = control_plane.api()
    for file in ("crd.yaml", "components/allocations/crd.yaml"):
        api.apply(yaml.safe_load((shipped.DAEMONSET / file).read_text()))
    made = []
    for name, machine in zip(NAMES, MACHINES, strict=True):
        uid = kube.create_node(api, name)["metadata"]["uid"]
        topology = json.loads(v1alpha1.spec_document(name, clusters.host(machine), uid))
        held = Allocation(containers=(Held(namespace="jobs", pod="a", container="c", gpus=(3,)),))
        documents = [topology, *([json.loads(allocations.document(name, held, uid))] if name == NAMES[0] else [])]
        made += [kube.wait_for(lambda one=one: _applied(api, one), what="the definitions") for one in documents]  # type: ignore[misc]
    yield control_plane
    for document in made:
        api.delete(api.path_of(document))
    for name in NAMES:
        api.delete(f"/api/v1/nodes/{name}")


def _applied(api: kube.Api, document: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return api.apply(document)
    except (LookupError, kube.ApiError):
        return None


def placed(plane: ControlPlane, node: str, gpus: int, *options: str) -> int:
    """The exit status for one pod on this node: 0 if it fits."""
    wishes = {"pods": 1, "gpusPerPod": gpus, "nodeSelector": {"kubernetes.io/hostname": node}}
    request = json.dumps({"kind": "PlacementRequest", "spec": wishes})
    arguments = ["place", "--kubeconfig", str(plane.admin_kubeconfig), "--request", "-", "--format", "json", *options]
    return CliRunner().invoke(main, arguments, input=request).exit_code


def test_a_gpu_that_a_pod_holds_and_a_node_of_which_nobody_tells_take_no_gang(plane: ControlPlane) -> None:
    told, untold = NAMES
    assert [placed(plane, name, 8) for name in NAMES] == [0, 0]
    assert placed(plane, told, 7, "--allocations") == 0
    assert placed(plane, told, 8, "--allocations") == 1
    assert placed(plane, untold, 1, "--allocations") == 1
