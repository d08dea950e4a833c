"""What a plugin may write, by the real API server: the slices of its own node and driver, and nothing else."""

import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import yaml

from nvtopo.dra.health_board import HealthBoard
from nvtopo.dra.publish_policy import PublishPolicy, Wait
from nvtopo.dra.publisher import Publisher
from nvtopo.exporters.resource_slices import slices
from nvtopo.exporters.shadows import DRIVER, shadows
from nvtopo.kube import admission, own_slices
from nvtopo.kube import client as client_module
from nvtopo.kube.client import Client
from nvtopo.kube.following import Following, Listed
from nvtopo.kube.own_slices import Present
from nvtopo.kube.resource_slices import COLLECTION
from tests.daemonset.shipped import DAEMONSET
from tests.exporters.test_shadows import machine
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.kube import Api, ApiError

pytestmark = pytest.mark.lab

NODE, OTHER = "dra-a", "dra-b"
COMPONENT: Final = DAEMONSET / "components" / "dra"
Json = dict[str, Any]


def documents(*names: str) -> list[Json]:
    return [one for name in names for one in yaml.safe_load_all((COMPONENT / name).read_text()) if one]


@pytest.fixture(name="token", scope="module")
def _token(control_plane: ControlPlane) -> Iterator[str]:
    """Of a plugin's pod on the node, with the component's rights and policy in force."""
    admin = control_plane.api()
    for one in yaml.safe_load_all((DAEMONSET / "rbac.yaml").read_text()):
        admin.apply(one)
    made = documents("rbac.yaml", "admission.yaml")
    for one in made:
        admin.apply(one)
    for name in (NODE, OTHER):
        kube.create_node(admin, name)
    kube.create_pod(admin, "nvtopo", "dra-plugin", nodeName=NODE, serviceAccountName="nvtopo-dra")
    token = control_plane.service_account_token("nvtopo", "nvtopo-dra", "dra-plugin")
    wrong = changed(lambda one: one["spec"].update(driver="gpu.nvidia.com"), admin)
    api = control_plane.api(token)
    kube.wait_for(lambda: "nvtopo-dra:" in refusal(api, wrong), what="the policy to be in force")
    yield token
    for one in admin.get(COLLECTION)["items"]:
        admin.delete(f"{COLLECTION}/{one['metadata']['name']}")
    admin.delete("/api/v1/namespaces/nvtopo/pods/dra-plugin")
    for one in made:
        admin.delete(admin.path_of(one))
    for name in (NODE, OTHER):
        admin.delete(f"/api/v1/nodes/{name}")


@pytest.fixture(name="api")
def _api(control_plane: ControlPlane, token: str) -> Api:
    return control_plane.api(token)


def owner(admin: Api, node: str = NODE) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "name": node,
        "uid": admin.get(f"/api/v1/nodes/{node}")["metadata"]["uid"],
    }


def changed(change: Callable[[Json], Any], admin: Api) -> Json:
    """A slice as the plugin writes it, but for one thing."""
    document = copy.deepcopy(slices(NODE, shadows(machine("h100-nvl-pairs")))[0])
    document["metadata"]["ownerReferences"] = [owner(admin)]
    change(document)
    return document


def refusal(api: Api, document: Json) -> str:
    """Why it may not be created; empty if it may."""
    try:
        api.create(f"{COLLECTION}?dryRun=All", document)
    except ApiError as error:
        if error.status != 403:
            raise
        return str(error)
    return ""


def on_another_node(one: Json) -> None:
    one["spec"]["nodeName"] = OTHER


def on_all_nodes(one: Json) -> None:
    del one["spec"]["nodeName"]
    one["spec"]["allNodes"] = True


def in_another_pool(one: Json) -> None:
    one["spec"]["pool"]["name"] = f"{OTHER}/gpus"


def by_another_name(one: Json) -> None:
    one["metadata"]["name"] = f"{OTHER}-gpus.topo.nvtopo.io"


def of_another_driver(one: Json) -> None:
    one["spec"]["driver"] = "gpu.nvidia.com"


def without_owner(one: Json) -> None:
    del one["metadata"]["ownerReferences"]


def kept_for_ever(one: Json) -> None:
    one["metadata"]["finalizers"] = ["example.org/never"]


@pytest.mark.parametrize(
    "change",
    [on_another_node, on_all_nodes, in_another_pool, by_another_name, of_another_driver, without_owner, kept_for_ever],
)
def test_it_writes_its_own_node_s_alone(control_plane: ControlPlane, api: Api, change: Callable[[Json], Any]) -> None:
    admin = control_plane.api()
    assert refusal(api, changed(lambda _: None, admin)) == ""
    assert "nvtopo-dra: " in refusal(api, changed(change, admin))


def test_a_token_of_no_pod_writes_nothing(control_plane: ControlPlane, api: Api) -> None:
    del api
    unbound = control_plane.api(control_plane.service_account_token("nvtopo", "nvtopo-dra"))
    assert "the token names no node" in refusal(unbound, changed(lambda _: None, control_plane.api()))


def test_it_deletes_no_slice_of_others(control_plane: ControlPlane, api: Api) -> None:
    admin = control_plane.api()
    others = slices(OTHER, shadows(machine("h100-nvl-pairs")))[0]
    admin.apply(others)
    path = f"{COLLECTION}/{others['metadata']['name']}"
    with pytest.raises(ApiError, match="nvtopo-dra: "):
        api.delete(path)
    admin.delete(path)


def test_the_aggregator_may_see_whether_the_policy_is_in_force(control_plane: ControlPlane, token: str) -> None:
    del token
    own = control_plane.service_account_token("nvtopo", "nvtopo-aggregator")
    with client_module.connect(control_plane.kubeconfig(own)) as client:
        assert admission._missing(client, "nvtopo-dra") is False


def test_people_are_not_concerned(control_plane: ControlPlane, api: Api) -> None:
    del api
    admin = control_plane.api()
    assert refusal(admin, changed(without_owner, admin)) == ""


def shown(client: Client) -> dict[str, Present]:
    """What the API server shows of the node's slices to who follows them."""
    event = next(iter(Following(client, own_slices.followed(NODE, DRIVER)).events(threading.Event())))
    assert isinstance(event, Listed)
    return {**event.objects}


def test_the_publisher_creates_changes_and_deletes_with_these_rights(control_plane: ControlPlane, token: str) -> None:
    now = 0.0
    policy = PublishPolicy()
    with client_module.connect(control_plane.kubeconfig(token)) as client:
        publisher = Publisher(client, NODE, HealthBoard(), policy=policy, clock=lambda: now)
        publisher.registered(True, "")  # noqa: FBT003 - as the kubelet says it

        def written(name: str) -> list[tuple[str, int]]:
            """What stands once the machine is this one: names and generations."""
            nonlocal now
            now += 10
            publisher.topology(machine(name))
            policy.stand(shown(client))
            while not isinstance(action := policy.next(now), Wait):
                publisher._do(action, publisher._documents.get(action.name))
                assert not isinstance(policy.next(now), Wait) or policy._retry_at <= now, "a write failed"
            found = shown(client)
            wanted = {one: own_slices.content(document) for one, document in publisher._documents.items()}
            assert {one: present.content for one, present in found.items()} == wanted
            return sorted((one.partition(".")[0], present.generation) for one, present in found.items())

        def each(generation: int) -> list[tuple[str, int]]:
            return [(f"dra-a-{kind}", generation) for kind in ("gpus", "nics", "node")]

        assert written("h100-sxm-8gpu-8cx7") == each(1)
        assert written("h100-sxm-8gpu-8cx7") == each(1)
        assert written("h100-one-link-down") == each(2)
        assert written("laptop-no-gpu") == []
