"""The slices of every machine at the real API server, and one machine's shadows on the real scheduler."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from nvtopo.exporters.resource_slices import slices
from nvtopo.exporters.shadows import BUS_ID, shadows
from tests.exporters.claims import SLICES, attributes, device_class, publish
from tests.exporters.test_shadows import MACHINES, machine
from tests.lab import kube
from tests.lab.control_plane import ControlPlane

pytestmark = [pytest.mark.lab, pytest.mark.slow]

NODE: Final = "shadows-0"
SPACE: Final = "shadows"
GPUS: Final = "gpu.nvidia.com"
SHADOWS: Final = "shadows-of-gpus"
Json = dict[str, Any]


@pytest.fixture(name="api", scope="module")
def _api(control_plane: ControlPlane) -> Iterator[kube.Api]:
    api = control_plane.api()
    kube.create_namespace(api, SPACE)
    kube.create_node(api, NODE)
    classes = [api.apply(device_class(GPUS, GPUS)), api.apply(device_class(SHADOWS, "topo.nvtopo.io"))]
    yield api
    for one in api.get(f"/api/v1/namespaces/{SPACE}/pods")["items"]:
        api.delete(f"/api/v1/namespaces/{SPACE}/pods/{one['metadata']['name']}")
    for one in api.get(SLICES)["items"]:
        api.delete(f"{SLICES}/{one['metadata']['name']}")
    for document in classes:
        api.delete(api.path_of(document))
    api.delete(f"/api/v1/nodes/{NODE}")


def test_the_slices_of_every_machine_are_taken(api: kube.Api) -> None:
    for name in MACHINES:
        for document in slices("shadows-of-every-machine", shadows(machine(name))):
            api.create(f"{SLICES}?dryRun=All&fieldValidation=Strict", document)


def test_a_pair_by_the_shadows_of_a_machine_with_bridged_pairs(api: kube.Api) -> None:
    """NVIDIA's driver says nothing of the bridges; its first GPU is held."""
    node = machine("h100-nvl-pairs")
    real = [
        {"name": gpu.key.lower(), "attributes": attributes({"uuid": gpu.uuid, BUS_ID: str(gpu.pci_address)})}
        for gpu in node.gpus
    ]
    publish(api, GPUS, NODE, real)
    for document in slices(NODE, shadows(node)):
        api.apply(document)
    held = f'device.attributes["{GPUS}"].uuid == "{node.gpus[0].uuid}"'
    assert got(api, "first", {"requests": [request("gpu", GPUS, held)]}) == {"gpu0"}
    asked = [request(f"g{number}", GPUS) for number in (0, 1)]
    asked += [request(f"t{number}", SHADOWS, kind("gpu-shadow")) for number in (0, 1)]
    ties = [{"matchAttribute": BUS_ID, "requests": [f"g{number}", f"t{number}"]} for number in (0, 1)]
    ties.append({"matchAttribute": "topo.nvtopo.io/nvlinkGroup", "requests": ["t0", "t1"]})
    assert got(api, "pair", {"requests": asked, "constraints": ties}) == {"gpu2", "gpu3"}


def kind(word: str) -> str:
    return f'device.attributes["topo.nvtopo.io"].?type.orValue("") == "{word}"'


def request(name: str, of: str, expression: str = "") -> Json:
    selectors = [{"cel": {"expression": expression}}] if expression else []
    return {"name": name, "exactly": {"deviceClassName": of, "selectors": selectors}}


def got(api: kube.Api, name: str, devices: Json) -> set[str]:
    """The GPUs that a pod with such a claim is bound with."""
    claims = f"/apis/resource.k8s.io/v1/namespaces/{SPACE}/resourceclaims"
    api.create(claims, {"metadata": {"name": name}, "spec": {"devices": devices}})
    kube.create_pod(api, SPACE, name, resourceClaims=[{"name": "devices", "resourceClaimName": name}])

    def allocated() -> set[str]:
        found = api.get(f"{claims}/{name}").get("status", {}).get("allocation", {}).get("devices", {})
        return {one["device"] for one in found.get("results", []) if one["driver"] == GPUS}

    found: set[str] = kube.wait_for(allocated, what=f"{name} to get its GPUs", seconds=60)
    return found
