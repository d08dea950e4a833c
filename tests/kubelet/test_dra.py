"""Our DRA driver beside the real kubelet: it registers, a pod runs with its claim, slices come back after the wipe.

The driver is a process of its own on the node, and the machine a recorded one: nobody reads this one's GPUs.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import nvtopo
from nvtopo.exporters.schedulers import kinds
from nvtopo.exporters.shadows import DRIVER
from nvtopo.kube.resource_slices import COLLECTION
from nvtopo.kube.v1alpha1 import API_VERSION
from nvtopo.kube.v1alpha1 import path as topology_path
from tests.daemonset.shipped import DAEMONSET
from tests.exporters import clusters
from tests.kubelet import place
from tests.kubelet.cluster import Cluster
from tests.kubelet.programs import PAUSE_NAME
from tests.lab.kube import Json, wait_for
from tests.lab.process import Child

pytestmark = pytest.mark.kubelet

HOSTS: Final = Path(nvtopo.__file__).resolve().parents[1] / "fixtures" / "hosts"
MACHINE: Final = "h100-one-link-down"
GPU: Final = 2
"""The one whose link 7 is down, and its address."""
ADDRESS: Final = "0000:3b:00.0"
PODS: Final = "/api/v1/namespaces/default/pods"
CLAIMS: Final = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"
CRD: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodetopologies.nvtopo.io"
CLASS: Final = "/apis/resource.k8s.io/v1/deviceclasses/nvtopo-shadow"
POD: Final = "shadowed"
_REGISTRY: Final = Path("/var/lib/kubelet/plugins_registry")


def _says(cluster: Cluster, *, link_down: bool) -> None:
    """The node's NodeTopology is that of the recorded machine from now on, with all links or without one."""
    spec = json.loads((HOSTS / MACHINE / "expected" / "topology.json").read_text(encoding="utf-8"))["spec"]
    if not link_down:
        del spec["gpus"][GPU]["nvlinks"]  # it then has what all others have
    document = {"apiVersion": API_VERSION, "kind": "NodeTopology", "metadata": {"name": place.NODE}, "spec": spec}
    cluster.api.apply(document)


@pytest.fixture(scope="module")
def alone(cluster: Cluster, request: pytest.FixtureRequest) -> None:
    """Without what `daemonset/` brings: where it was brought, it is taken away first."""
    if cluster.api.find(CRD) is not None:
        request.getfixturevalue("gone")


@pytest.fixture(scope="module")
def driver(cluster: Cluster, alone: None) -> Iterator[Child]:
    """Running, its slices published."""
    del alone
    api = cluster.api
    api.apply_file(DAEMONSET / "crd.yaml")
    _says(cluster, link_down=False)
    classes = kinds.OBJECTS["dra"](clusters.of_hosts(MACHINE))
    (shadow,) = (one for one in classes if one["metadata"]["name"] == "nvtopo-shadow" and one["kind"] == "DeviceClass")
    api.apply(shadow)
    argv = ("-m", "nvtopo", "dra-driver", "--node-name", place.NODE)
    options = ("--kubeconfig", str(cluster.plane.admin_kubeconfig), "--instance", "a")
    child = Child("dra-driver", (sys.executable, *argv, *options), log=cluster.folder / "dra-driver.log")
    try:
        wait_for(lambda: len(_slices(cluster)) == 3, what="the slices of the driver", seconds=120)
        yield child
    finally:
        child.stop()
        api.delete(topology_path(place.NODE))
        for name in _slices(cluster):
            api.delete(f"{COLLECTION}/{name}")
        api.delete(CLASS)
        api.delete(CRD)
        wait_for(lambda: api.find(CRD) is None, what="the resource gone", seconds=60)


def _slices(cluster: Cluster) -> dict[str, str]:
    """Name → UID of the driver's slices."""
    found = (one for one in cluster.api.get(COLLECTION)["items"] if one["spec"]["driver"] == DRIVER)
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in found}


@pytest.fixture(scope="module")
def pod(cluster: Cluster, driver: Child) -> Iterator[str]:
    """A pod that the scheduler bound with a claim on the shadow of that GPU, running."""
    del driver
    api = cluster.api
    selector = f'device.attributes["resource.kubernetes.io"].?pciBusID.orValue("") == "{ADDRESS}"'
    exactly = {"deviceClassName": "nvtopo-shadow", "selectors": [{"cel": {"expression": selector}}]}
    devices = {"requests": [{"name": "shadow", "exactly": exactly}]}
    api.create(CLAIMS, {"metadata": {"name": POD}, "spec": {"devices": devices}})
    container = {"name": "worker", "image": PAUSE_NAME, "resources": {"claims": [{"name": "shadow"}]}}
    claims = [{"name": "shadow", "resourceClaimName": POD}]
    spec = {"containers": [container], "resourceClaims": claims, "terminationGracePeriodSeconds": 0}
    api.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD}, "spec": spec})
    try:
        wait_for(lambda: api.get(f"{PODS}/{POD}")["status"].get("phase") == "Running", what="the pod", seconds=120)
        yield POD
    finally:
        api.delete(f"{PODS}/{POD}")
        wait_for(lambda: api.find(f"{PODS}/{POD}") is None, what="the end of the pod", seconds=120)
        api.delete(f"{CLAIMS}/{POD}")


def _healths(cluster: Cluster) -> list[Json]:
    """What the pod's own status says of its devices."""
    statuses = cluster.api.get(f"{PODS}/{POD}")["status"].get("containerStatuses", [])
    return [
        one
        for status in statuses
        for resource in status.get("allocatedResourcesStatus", [])
        for one in resource.get("resources", [])
    ]


def test_it_is_registered_by_its_socket(driver: Child) -> None:
    del driver
    assert [path.name for path in _REGISTRY.iterdir() if path.name.startswith(DRIVER)] == [f"{DRIVER}-a-reg.sock"]


def test_a_pod_runs_with_its_claim_and_its_status_says_what_ails_its_gpu(cluster: Cluster, pod: str) -> None:
    claim = cluster.api.get(f"{CLAIMS}/{pod}")
    (result,) = claim["status"]["allocation"]["devices"]["results"]
    assert (result["driver"], result["device"]) == (DRIVER, "gpu-0000-3b-00-0")
    wait_for(lambda: [one["health"] for one in _healths(cluster)] == ["Healthy"], what="its health", seconds=120)
    try:
        _says(cluster, link_down=True)
        (found,) = wait_for(lambda: _ill(cluster), what="its health to be bad", seconds=120)
        assert found["message"] == "GPU2 has 17 of 18 NVLinks; down: 7"
    finally:
        _says(cluster, link_down=False)


def _ill(cluster: Cluster) -> list[Any]:
    return [one for one in _healths(cluster) if one["health"] == "Unhealthy"]


def test_the_kubelet_wipes_the_slices_at_its_start_and_they_come_back(cluster: Cluster, driver: Child) -> None:
    before = _slices(cluster)
    cluster.node.start_kubelet()
    wait_for(lambda: not before.items() & _slices(cluster).items(), what="the wipe of the slices", seconds=60)
    wait_for(lambda: _slices(cluster).keys() == before.keys(), what="the slices again", seconds=30)
    driver.check()
