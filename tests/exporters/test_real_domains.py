"""NVLink domains as devices on the real scheduler: so many gangs at a time, whoever made their claims."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import nvtopo
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.exporters.schedulers import dra_domains, kinds
from nvtopo.exporters.schedulers.owned import Owner
from nvtopo.kube import client as client_module
from nvtopo.model.conclusions import fabric
from nvtopo.model.records.node import NodeTopology
from tests.cluster import machines
from tests.exporters import clusters
from tests.exporters.claims import SLICES
from tests.exporters.keeping import Keeping, running
from tests.lab import kube
from tests.lab.control_plane import ControlPlane

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DAEMONSET: Final = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
SPACE: Final = "domains"
CLAIMS: Final = f"/apis/resource.k8s.io/v1/namespaces/{SPACE}/resourceclaims"
PODS: Final = f"/api/v1/namespaces/{SPACE}/pods"
KIND: Final = "dra-domains"
OWNER: Final = Owner("nvtopo", "nvtopo")


def racks(count: int) -> dict[str, NodeTopology]:
    """Two trays of each rack."""
    found: dict[str, NodeTopology] = {}
    for name, node in machines.racks(count).items():
        same = [one for one in found.values() if fabric.domain(one) == fabric.domain(node)]
        if len(same) < 2:
            found[name] = node
    return found


def graph(nodes: dict[str, NodeTopology]) -> ClusterGraph:
    return build(fold(Inventory(), Listed(nodes, {})), None, {})


def keep(keeping: Keeping, nodes: dict[str, NodeTopology]) -> None:
    keeping.compare(graph(nodes))
    assert (keeping.keeper.failed_at, keeping.keeper.applier.figures.refused) == ({}, 0)


@pytest.fixture(name="keeping", scope="module")
def _keeping(control_plane: ControlPlane) -> Iterator[Keeping]:
    api = control_plane.api()
    made = []
    for manifest in ("rbac.yaml", "components/dra-domains/rbac.yaml", "components/dra-domains/admission.yaml"):
        for document in yaml.safe_load_all((DAEMONSET / manifest).read_text(encoding="utf-8")):
            made += [api.apply(document)]
    kube.create_namespace(api, SPACE)
    token = control_plane.service_account_token("nvtopo", "nvtopo-aggregator")
    account = control_plane.api(token)
    kube.wait_for(lambda: _refused(account, _of_a_node()), what="the policy to be in force")
    with (
        client_module.connect(control_plane.kubeconfig(token)) as client,
        running(client, (KIND,), OWNER, gangs=2) as keeping,
    ):
        yield keeping
    for one in api.get(SLICES)["items"]:
        api.delete(f"{SLICES}/{one['metadata']['name']}")
    for document in reversed(made[-4:]):
        api.delete(api.path_of(document))


def _refused(api: kube.Api, document: kube.Json) -> bool:
    try:
        api.create(f"{SLICES}?dryRun=All", document)
    except kube.ApiError as error:
        return "nvtopo-aggregator: it writes slices of NVLink domains" in str(error)
    return False


def _domain() -> kube.Json:
    return kinds.OBJECTS[KIND](clusters.nvl72())[0]


def _of_a_node() -> kube.Json:
    document = _domain()
    del document["spec"]["nodeSelector"]
    document["spec"]["nodeName"] = "a"
    return document


def _of_another_driver() -> kube.Json:
    document = _domain()
    document["spec"]["driver"] = "gpu.nvidia.com"
    return document


def _of_all_nodes() -> kube.Json:
    document = _domain()
    del document["spec"]["nodeSelector"]
    document["spec"]["allNodes"] = True
    return document


@pytest.mark.parametrize("make", [_of_a_node, _of_another_driver, _of_all_nodes])
def test_the_aggregator_writes_slices_of_domains_alone(
    control_plane: ControlPlane, keeping: Keeping, make: Callable[[], kube.Json]
) -> None:
    del keeping
    account = control_plane.api(control_plane.service_account_token("nvtopo", "nvtopo-aggregator"))
    assert _refused(account, make())
    assert not _refused(account, _domain())


class Gangs:
    """Gangs of two pods that share one claim on a domain."""

    def __init__(self, api: kube.Api) -> None:
        self._api = api

    def ask(self, name: str, nodes: int) -> None:
        enough = f'device.attributes["topo.nvtopo.io"].?nodes.orValue(0) >= {nodes}'
        exactly = {"deviceClassName": "nvtopo-domain", "selectors": [{"cel": {"expression": enough}}]}
        devices = {"requests": [{"name": "domain", "exactly": exactly}]}
        self._api.create(CLAIMS, {"metadata": {"name": name}, "spec": {"devices": devices}})
        for rank in range(2):
            claims = [{"name": "domain", "resourceClaimName": name}]
            kube.create_pod(self._api, SPACE, f"{name}-{rank}", resourceClaims=claims)

    def nodes(self, name: str) -> set[str]:
        """Where its pods are, once both are bound."""

        def bound() -> set[str] | None:
            found = [self._api.get(f"{PODS}/{name}-{rank}")["spec"].get("nodeName") for rank in range(2)]
            return set(found) if all(found) else None

        where: set[str] = kube.wait_for(bound, what=f"{name} to be bound", seconds=60)
        return where

    def waits(self, name: str) -> None:
        def why() -> list[Any]:
            conditions = self._api.get(f"{PODS}/{name}-0").get("status", {}).get("conditions", [])
            return [one for one in conditions if one["type"] == "PodScheduled" and one["status"] == "False"]

        kube.wait_for(why, what=f"the reason why {name} waits", seconds=60)
        assert not self._api.get(f"{PODS}/{name}-0")["spec"].get("nodeName")

    def end(self, name: str) -> None:
        for rank in range(2):
            self._api.delete(f"{PODS}/{name}-{rank}")
        self._api.delete(f"{CLAIMS}/{name}")


def test_two_gangs_enter_a_domain_the_third_when_one_ends_and_a_domain_that_is_gone_takes_none(
    control_plane: ControlPlane, keeping: Keeping
) -> None:
    api = control_plane.api()
    (device_class,) = (
        one
        for one in kinds.OBJECTS["dra"](clusters.nvl72())
        if one["kind"] == "DeviceClass" and one["metadata"]["name"] == "nvtopo-domain"
    )
    api.apply(device_class)
    nodes = racks(2)
    for name, node in nodes.items():
        kube.create_node(api, name, labels={dra_domains.LABEL: str(fabric.domain(node))})
    try:
        keep(keeping, nodes)
        first = api.get(SLICES)["items"]
        assert len(first) == 2
        gangs = Gangs(api)
        entered: dict[str, set[str]] = {}
        for name in ("g1", "g2", "g3", "g4"):
            gangs.ask(name, nodes=2)
            entered[name] = gangs.nodes(name)
        domains = {name: {fabric.domain(nodes[one]) for one in where} for name, where in entered.items()}
        assert sorted(map(len, domains.values())) == [1] * 4, "never in two domains"
        assert sorted(str(one.copy().pop()) for one in domains.values())[1:3] == sorted(
            {str(fabric.domain(node)) for node in nodes.values()}
        ), "two gangs in each"
        gangs.ask("g5", nodes=2)
        gangs.waits("g5")
        gangs.end("g1")
        gangs.nodes("g5")

        keep(keeping, nodes)
        again = {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in api.get(SLICES)["items"]}
        assert again == {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in first}, "not written"
        left = {name: node for name, node in nodes.items() if name != min(nodes)}
        keep(keeping, left)
        (small,) = (
            one for one in api.get(SLICES)["items"] if one["spec"]["devices"][0]["attributes"]["nodes"]["int"] == 1
        )
        gone = small["spec"]["devices"][0]["attributes"]["clique"]["string"]
        keep(keeping, {name: node for name, node in left.items() if fabric.domain(node) != gone})
        assert small["metadata"]["name"] not in {one["metadata"]["name"] for one in api.get(SLICES)["items"]}
    finally:
        for one in api.get(PODS)["items"]:
            api.delete(f"{PODS}/{one['metadata']['name']}")
        for one in api.get(CLAIMS)["items"]:
            api.delete(f"{CLAIMS}/{one['metadata']['name']}")
        for name in nodes:
            api.delete(f"/api/v1/nodes/{name}")
        api.delete(api.path_of(device_class))
