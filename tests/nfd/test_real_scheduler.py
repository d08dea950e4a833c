"""What ``nvtopo convert`` prints, given to the real kube-scheduler."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child
from tests.nfd import topo
from tests.nfd.test_convert import converted

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

GOOD, LESSER = "convert-good", "convert-lesser"
PODS = "/api/v1/namespaces/convert/pods"


@pytest.fixture
def scheduler(own_plane: ControlPlane, lab_binaries: Binaries, tmp_path: Path) -> Iterator[Child]:
    """A second kube-scheduler, with the converted configuration and what connects it."""
    configuration = yaml.safe_load(converted(topo.switched(), "--to", "scheduler-config"))
    configuration["clientConnection"] = {"kubeconfig": str(own_plane.admin_kubeconfig)}
    configuration["leaderElection"] = {"leaderElect": False}
    file = tmp_path / "scheduler.yaml"
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    program = str(lab_binaries.programs["kube-scheduler"])
    child = Child("nvtopo-scheduler", (program, f"--config={file}", "--secure-port=0"), log=tmp_path / "scheduler.log")
    yield child
    child.stop()


def make_node(api: kube.Api, name: str, text: str) -> None:
    labels = dict(line.split("=", 1) for line in converted(text).splitlines())
    kube.create_node(api, name, labels=labels, allocatable={"nvidia.com/gpu": "8"})


def make_pod(api: kube.Api, name: str, **spec: Any) -> kube.Json:
    """A pod of a Job that wants one GPU."""
    requests = {"nvidia.com/gpu": "1"}
    containers = [{"name": "main", "image": "none", "resources": {"requests": requests, "limits": requests}}]
    labels = {"batch.kubernetes.io/job-name": "train", "batch.kubernetes.io/controller-uid": "u"}
    return api.create(PODS, {"metadata": {"name": name, "labels": labels}, "spec": {"containers": containers, **spec}})


def refused(api: kube.Api, pod: str, child: Child) -> bool:
    """Whether its scheduler looked and found no node."""
    child.check()
    found = api.get(f"{PODS}/{pod}")
    assert "nodeName" not in found["spec"]
    conditions = found["status"].get("conditions") or []
    return any((one["type"], one["status"]) == ("PodScheduled", "False") for one in conditions)


def node_of(api: kube.Api, pod: str) -> str | None:
    found: str | None = api.get(f"{PODS}/{pod}")["spec"].get("nodeName")
    return found


def test_the_scheduler_keeps_to_the_policy(own_plane: ControlPlane, scheduler: Child) -> None:
    api = own_plane.api()
    kube.create_namespace(api, "convert")
    make_node(api, LESSER, topo.bridged())
    affinity: dict[str, Any] = yaml.safe_load(converted(topo.switched(), "--to", "affinity"))
    make_pod(api, "by-profile", schedulerName="nvtopo")
    stored = make_pod(api, "by-affinity", affinity=affinity)
    for pod in ("by-profile", "by-affinity"):
        kube.wait_for(partial(refused, api, pod, scheduler), what=f"a refusal of {pod}", seconds=60)
    make_node(api, GOOD, topo.switched())
    for pod in ("by-profile", "by-affinity"):
        assert kube.wait_for(partial(node_of, api, pod), what=f"a node for {pod}", seconds=60) == GOOD
    term = stored["spec"]["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]
    asked = term["podAffinityTerm"]["labelSelector"]["matchExpressions"]
    assert {"key": "batch.kubernetes.io/job-name", "operator": "In", "values": ["train"]} in asked
