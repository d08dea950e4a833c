"""A release that does not get ready, on a fleet: the real DaemonSet controller; kubelets are played by this test."""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.daemonset import shipped
from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.kube import Api, Json
from tests.lab.process import LabError

pytestmark = pytest.mark.lab

FLEET: Final = 20
PATH: Final = "/apis/apps/v1/namespaces/nvtopo/daemonsets/nvtopo-agent"
PODS: Final = "/api/v1/namespaces/nvtopo/pods"
AGENTS: Final = f"{PODS}?labelSelector=app.kubernetes.io/component=agent"
BROKEN: Final = "nvtopo:broken"


@pytest.fixture(scope="module")
def admin(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    try:
        with ControlPlane(lab_binaries, tmp_path_factory.mktemp("rollout")) as plane:
            yield plane.api()
    except LabError as error:
        pytest.fail(str(error), pytrace=False)


def test_release_that_does_not_get_ready_stops_at_a_tenth_of_the_fleet(admin: Api) -> None:
    for number in range(FLEET):
        kube.create_node(admin, f"gpu-{number:02}", labels={"nvidia.com/gpu.present": "true"})
    for document in shipped.base():
        admin.apply(document)
    kube.wait_for(lambda: _run(admin) == FLEET, what="an available agent on each node", seconds=60)

    containers = [{"name": "agent", "image": BROKEN}]
    admin.request(
        "PATCH",
        PATH,
        {"spec": {"template": {"spec": {"containers": containers}}}},
        content_type="application/strategic-merge-patch+json",
    )
    kube.wait_for(lambda: _run(admin) == FLEET and len(_broken(admin)) >= FLEET // 10, what="the release", seconds=60)
    for number in range(3):  # the controller looks again, and takes no further node
        admin.patch(PATH, {"spec": {"revisionHistoryLimit": 6 + number}})
        kube.wait_for(lambda: _run(admin) == FLEET and _observed(admin), what="another look of the controller")
    assert len(_broken(admin)) == FLEET // 10
    assert admin.get(PATH)["status"]["numberAvailable"] == FLEET * 9 // 10


def _run(admin: Api) -> int:
    """What kubelets do: pods that shall go are gone, and a release that works is ready. How many pods there are."""
    pods: list[Json] = admin.get(AGENTS)["items"]
    for pod in pods:
        path = f"{PODS}/{pod['metadata']['name']}"
        if "deletionTimestamp" in pod["metadata"]:
            admin.delete(path)
        elif not kube.condition(pod, "Ready") and _image(pod) != BROKEN:
            long_ago = "2020-01-01T00:00:00Z"  # for longer than minReadySeconds
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": long_ago}
            admin.patch(f"{path}/status", {"status": {"phase": "Running", "conditions": [ready]}})
    available: int = admin.get(PATH)["status"].get("numberAvailable", 0)
    return available if not _broken(admin) else len(pods)


def _broken(admin: Api) -> list[Json]:
    return [pod for pod in admin.get(AGENTS)["items"] if _image(pod) == BROKEN]


def _image(pod: Json) -> str:
    (container,) = pod["spec"]["containers"]
    image: str = container["image"]
    return image


def _observed(admin: Api) -> bool:
    daemonset = admin.get(PATH)
    seen: bool = daemonset["status"].get("observedGeneration") == daemonset["metadata"]["generation"]
    return seen
