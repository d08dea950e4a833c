"""The exported claim templates on the real scheduler: devices that really belong together, or none.

Slices are written as drivers would: NVIDIA's without a word of NVLink, dranet's, and shadows of ours that say which
belong together. No kubelet prepares anything: what is looked at is the scheduler's own allocation.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest

from nvtopo.exporters.schedulers import kinds
from tests.exporters import clusters
from tests.exporters.claims import SLICES, address, attributes, device_class, publish, publish_gpus
from tests.lab import kube
from tests.lab.control_plane import ControlPlane

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SPACE: Final = "claims"
CLAIMS: Final = f"/apis/resource.k8s.io/v1/namespaces/{SPACE}/resourceclaims"
PODS: Final = f"/api/v1/namespaces/{SPACE}/pods"
PAIRS: Final = {0: "G0", 1: "G0", 2: "G1", 3: "G1"}
CROSSED: Final = {0: "G0", 2: "G0", 1: "G1", 3: "G1", 4: "G2", 7: "G2", 5: "G3", 6: "G3"}
Json = dict[str, Any]


@pytest.fixture(name="api", scope="module")
def _api(control_plane: ControlPlane) -> Iterator[kube.Api]:
    """With the classes and templates of clusters that have each shape."""
    api = control_plane.api()
    kube.create_namespace(api, SPACE)
    made = [api.apply(device_class("gpu.nvidia.com", "gpu.nvidia.com"))]
    data_direct = clusters.of_hosts("gb300-nvl72-tray")
    for export in (clusters.edge(), clusters.nvl72(), clusters.hgx(), data_direct):
        for document in kinds.OBJECTS["dra"](export):
            if document["kind"] == "ResourceClaimTemplate":
                document["metadata"]["namespace"] = SPACE
            made.append(api.apply(document))
    yield api
    for document in made:
        api.delete(api.path_of(document))


@pytest.fixture(name="node")
def _node(api: kube.Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """A Node alone in the cluster that can take a pod; with it go its slices and all pods."""
    name = f"claims-{request.node.name.removeprefix('test_').replace('_', '-')[:40].strip('-')}"
    kube.create_node(api, name, labels={"test": name})
    yield name
    for one in api.get(PODS)["items"]:
        api.delete(f"{PODS}/{one['metadata']['name']}")
    kube.wait_for(lambda: not api.get(CLAIMS)["items"], what="the claims to go with their pods", seconds=60)
    for one in api.get(SLICES)["items"]:
        api.delete(f"{SLICES}/{one['metadata']['name']}")
    api.delete(f"/api/v1/nodes/{name}")


_numbers = itertools.count()


def ask(api: kube.Api, template: str) -> str:
    """A pod with a claim of this template."""
    name = f"pod-{next(_numbers)}"
    claims = [{"name": "devices", "resourceClaimTemplateName": template}]
    kube.create_pod(api, SPACE, name, resourceClaims=claims)
    return name


def ask_plainly(api: kube.Api, count: int, uuid: str = "") -> str:
    """A pod with a claim on GPUs alone, as without nvtopo."""
    name = f"plain-{next(_numbers)}"
    selectors = [{"cel": {"expression": f'device.attributes["gpu.nvidia.com"].uuid == "{uuid}"'}}] if uuid else []
    exactly = {"deviceClassName": "gpu.nvidia.com", "count": count, "selectors": selectors}
    claim = {"metadata": {"name": name}, "spec": {"devices": {"requests": [{"name": "gpus", "exactly": exactly}]}}}
    api.create(CLAIMS, claim)
    pod = kube.create_pod(api, SPACE, name, resourceClaims=[{"name": "devices", "resourceClaimName": name}])
    owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
    api.patch(f"{CLAIMS}/{name}", {"metadata": {"ownerReferences": [owner]}})
    return name


def got(api: kube.Api, pod: str, driver: str = "gpu.nvidia.com") -> set[str]:
    """The devices of that driver that the pod was bound with."""
    found = kube.wait_for(lambda: _bound(api, pod), what=f"{pod} to be bound", seconds=60)
    (status,) = found["status"].get("resourceClaimStatuses", [{"resourceClaimName": pod}])
    claim = api.get(f"{CLAIMS}/{status['resourceClaimName']}")
    results = claim["status"]["allocation"]["devices"]["results"]
    return {result["device"] for result in results if result["driver"] == driver}


def _bound(api: kube.Api, pod: str) -> Json | None:
    found = api.get(f"{PODS}/{pod}")
    return found if found["spec"].get("nodeName") else None


def waits(api: kube.Api, pod: str) -> str:
    """Why the scheduler did not bind it, once it says so."""

    def why() -> str | None:
        conditions = api.get(f"{PODS}/{pod}").get("status", {}).get("conditions", [])
        reasons = [one["message"] for one in conditions if one["type"] == "PodScheduled" and one["status"] == "False"]
        return next((reason for reason in reasons if "claim" in reason), None)

    message: str = kube.wait_for(why, what=f"the reason why {pod} waits", seconds=60)
    assert _bound(api, pod) is None
    return message


def test_a_pair_is_joined_by_nvlink_though_one_gpu_of_the_first_pair_is_free(api: kube.Api, node: str) -> None:
    publish_gpus(api, node, PAIRS)
    assert got(api, ask_plainly(api, 1, "GPU-0")) == {"gpu-0"}
    assert got(api, ask(api, "nvtopo-pair")) == {"gpu-2", "gpu-3"}
    assert "cannot allocate all claims" in waits(api, ask(api, "nvtopo-pair"))


def test_crossed_pairs_give_a_true_pair_each_time_and_then_none(api: kube.Api, node: str) -> None:
    publish_gpus(api, node, CROSSED)
    pairs = [got(api, ask(api, "nvtopo-pair")) for _ in range(4)]
    assert sorted(map(sorted, pairs)) == [
        ["gpu-0", "gpu-2"],
        ["gpu-1", "gpu-3"],
        ["gpu-4", "gpu-7"],
        ["gpu-5", "gpu-6"],
    ]
    waits(api, ask(api, "nvtopo-pair"))


def test_a_degraded_gpu_is_left_to_claims_that_ask_for_no_topology(api: kube.Api, node: str) -> None:
    publish_gpus(api, node, PAIRS, ill=[1])
    assert got(api, ask(api, "nvtopo-pair")) == {"gpu-2", "gpu-3"}
    waits(api, ask(api, "nvtopo-pair"))
    assert got(api, ask_plainly(api, 2)) == {"gpu-0", "gpu-1"}


def test_four_of_one_group_and_not_two_pairs(api: kube.Api, node: str) -> None:
    publish_gpus(api, node, PAIRS)
    pod = ask(api, "nvtopo-quad")
    waits(api, pod)
    publish_gpus(api, node, dict.fromkeys(range(4), "G0"))
    assert got(api, pod) == {"gpu-0", "gpu-1", "gpu-2", "gpu-3"}


def test_a_whole_node_is_one_that_is_free_and_ready(api: kube.Api, node: str) -> None:
    publish_gpus(api, node, PAIRS)
    attributes_of = attributes({"type": "node-shadow", "gpus": 4})
    taint = [{"key": "topo.nvtopo.io/degraded", "effect": "NoSchedule"}]
    device = {"name": "node", "attributes": attributes_of}
    whole = f"{node}-whole"
    publish(api, "topo.nvtopo.io", whole, [{**device, "taints": taint}], nodeName=node)
    pod = ask(api, "nvtopo-node-4")
    waits(api, pod)
    publish(api, "topo.nvtopo.io", whole, [device], nodeName=node)
    assert got(api, pod) == {"gpu-0", "gpu-1", "gpu-2", "gpu-3"}
    waits(api, ask_plainly(api, 1))


def publish_with_nics(api: kube.Api, node: str, attribute: str, places: Sequence[str | int]) -> None:
    """A GPU and a NIC in each place, that share no PCIe root; only the shadows say which of them belong together."""
    bus_id, nic_address = "resource.kubernetes.io/pciBusID", "dra.net/pciAddress"
    root = "resource.kubernetes.io/pcieRoot"
    gpus, nics, shadows = list[Json](), list[Json](), list[Json]()
    for index, place in enumerate(places):
        own, nic = {bus_id: address(index)}, {nic_address: address(index, 0x40)}
        root = "resource.kubernetes.io/pcieRoot"
        gpus.append({"name": f"gpu-{index}", "attributes": attributes({**own, root: f"pci{index}"})})
        nics.append({"name": f"nic-{index}", "attributes": attributes({"rdma": True, **nic, root: f"pci{index + 50}"})})
        for kind, of in (("gpu", own), ("nic", nic)):
            says = attributes({"type": f"{kind}-shadow", attribute: place, **of})
            shadows.append({"name": f"{kind}-{index}", "attributes": says})
    publish(api, "gpu.nvidia.com", node, gpus)
    publish(api, "dra.net", node, nics)
    publish(api, "topo.nvtopo.io", node, shadows)


def test_a_gpu_and_the_nic_of_its_rail(api: kube.Api, node: str) -> None:
    publish_with_nics(api, node, "rail", range(4))
    pod = ask(api, "nvtopo-rail-2")
    assert (got(api, pod), got(api, pod, "dra.net")) == ({"gpu-2"}, {"nic-2"})
    waits(api, ask(api, "nvtopo-rail-2"))


def test_a_gpu_and_the_nic_of_its_complex_which_share_no_pcie_root(api: kube.Api, node: str) -> None:
    publish_with_nics(api, node, "complex", ["c0", "c1", "c2", "c3"])
    waits(api, ask(api, "nvtopo-gpu-nic-pcie-root"))
    for _ in range(4):
        pod = ask(api, "nvtopo-gpu-nic-complex")
        ((gpu,), (nic,)) = got(api, pod), got(api, pod, "dra.net")
        assert gpu.removeprefix("gpu-") == nic.removeprefix("nic-")


def test_two_gangs_enter_a_domain_and_the_third_when_one_ends(api: kube.Api, node: str) -> None:
    policy = {"default": "1", "validRange": {"min": "1", "max": "2"}}
    domain = {
        "name": "domain-a",
        "attributes": attributes({"type": "nvlink-domain", "nodes": 18}),
        "allowMultipleAllocations": True,
        "capacity": {"gangs": {"value": "2", "requestPolicy": policy}},
    }
    small = {**domain, "name": "domain-b", "attributes": attributes({"type": "nvlink-domain", "nodes": 2})}
    term = {"matchExpressions": [{"key": "test", "operator": "In", "values": [node]}]}
    publish(api, "topo.nvtopo.io", node, [small, domain], nodeSelector={"nodeSelectorTerms": [term]})
    first, second = (ask(api, "nvtopo-nvlink-domain-18") for _ in range(2))
    for pod in (first, second):
        assert got(api, pod, "topo.nvtopo.io") == {"domain-a"}, "never the domain that is too small"
    third = ask(api, "nvtopo-nvlink-domain-18")
    waits(api, third)
    api.delete(f"{PODS}/{first}")
    assert got(api, third, "topo.nvtopo.io") == {"domain-a"}
