"""ResourceSlices at the real API server: refused without the component's right, followed and compared with it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import nvtopo
from nvtopo.aggregator.followed_slices import FollowedSlices
from nvtopo.aggregator.slice_watch import SliceWatch
from nvtopo.cluster.inventory import Listed
from nvtopo.kube import client as client_module
from nvtopo.kube.client import Client
from nvtopo.kube.resource_slices import COLLECTION, ResourceSlices
from tests.aggregator.running import PATIENCE, Script, running
from tests.kube.machines import hgx
from tests.lab import kube
from tests.lab.control_plane import ControlPlane

pytestmark = pytest.mark.lab

DAEMONSET = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
NODE = "slices-0"
ACCOUNT = {"kind": "ServiceAccount", "name": "follows-slices", "namespace": "nvtopo"}


@pytest.fixture
def stranger(control_plane: ControlPlane) -> Iterator[Client]:
    """An account without any right yet."""
    api = control_plane.api()
    for document in yaml.safe_load_all((DAEMONSET / "rbac.yaml").read_text()):
        api.apply(document)
    metadata = {"name": ACCOUNT["name"], "namespace": ACCOUNT["namespace"]}
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    token = control_plane.service_account_token(ACCOUNT["namespace"], ACCOUNT["name"])
    with client_module.connect(control_plane.kubeconfig(token)) as client:
        yield client


def published(uuid: str) -> dict[str, Any]:
    gpu = hgx().gpus[0]
    attributes = {
        "uuid": {"string": uuid},
        "resource.kubernetes.io/pciBusID": {"string": str(gpu.pci_address)},
        "resource.kubernetes.io/pcieRoot": {"string": gpu.path.partition("/")[0]},
    }
    pool = {"name": NODE, "generation": 1, "resourceSliceCount": 1}
    devices = [{"name": "gpu-0", "attributes": attributes}]
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": f"{NODE}-gpu"},
        "spec": {"driver": "gpu.nvidia.com", "nodeName": NODE, "pool": pool, "devices": devices},
    }


def test_they_are_compared_with_the_component_s_right(control_plane: ControlPlane, stranger: Client) -> None:
    api = control_plane.api()
    kube.create_node(api, NODE)
    api.apply(published("GPU-of-nobody"))
    stop = threading.Event()
    with running(Script(Listed({NODE: hgx()}))) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None

        def reasons() -> list[str]:
            assert aggregator.graph is not None
            return sorted(one.reason for one in aggregator.graph.drift if one.kind == "dra")

        slices = FollowedSlices(ResourceSlices(stranger, forbidden_seconds=0.5))
        watch = SliceWatch(slices, aggregator, lasting_seconds=0, tick_seconds=0.05)
        threads = [threading.Thread(target=run, args=(stop,)) for run in (slices.run, watch.run)]
        for thread in threads:
            thread.start()
        try:
            for document in yaml.safe_load_all((DAEMONSET / "components/resource-slices/rbac.yaml").read_text()):
                if "subjects" in document:
                    document["subjects"] = [ACCOUNT]
                api.apply(document)
            others = "GPU1, GPU2, GPU3, GPU4, GPU5, GPU6, GPU7 of the node in no slice: no claim gets it"
            gpu = hgx().gpus[0]
            wrong = f"gpu-0 at {gpu.pci_address} is GPU-of-nobody; nvtopo sees {gpu.uuid}"
            kube.wait_for(lambda: reasons() == [others, wrong], what="both findings")
            api.apply(published(gpu.uuid))
            kube.wait_for(lambda: reasons() == [others], what="the driver to be right")
            api.delete(f"{COLLECTION}/{NODE}-gpu")
            kube.wait_for(lambda: not reasons(), what="no finding without a slice")
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)
            api.delete(f"/api/v1/nodes/{NODE}")
    assert not any(thread.is_alive() for thread in threads)
