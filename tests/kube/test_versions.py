"""What becomes of NodeTopologies when their definition changes: docs/decisions/0011, on a real API server."""

import copy
import functools
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest

from nvtopo.errors import ApiError
from nvtopo.kube import client as client_module
from nvtopo.kube.crd import crd
from nvtopo.kube.reader import Reader
from nvtopo.kube.store import KubeStore
from nvtopo.kube.v1alpha1 import API_VERSION, COLLECTION, GROUP, KIND, PLURAL, path
from nvtopo.model.records.spec import compact
from tests.daemonset.shipped import plain
from tests.kube.machines import hgx, small
from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.kube import Api, Json

pytestmark = pytest.mark.lab

DEFINITION: Final = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{GROUP}"


@pytest.fixture(scope="module")
def plane(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Of its own: these tests change the definition under everybody's feet."""
    with ControlPlane(lab_binaries, tmp_path_factory.mktemp("versions")) as plane:
        yield plane


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[Api]:
    """With the definition as it is shipped, and no object."""
    api = plane.api()
    _define(api, crd())
    yield api
    api.delete(DEFINITION)
    kube.wait_for(lambda: api.find(DEFINITION) is None, what="the definition to go")


def test_apply_of_a_field_that_the_definition_lacks_is_refused_whole(api: Api, plane: ControlPlane) -> None:
    """A newer agent before the newer definition: the old object stays as it is, and the agent says which field."""
    api.apply(_object("node"))
    with client_module.connect(plane.admin_kubeconfig) as client, pytest.raises(ApiError) as caught:
        client.apply(path("node"), _bytes(_object("node", surprise=1)), manager="nvtopo-agent")
    assert caught.value.status == 500
    assert ".spec.surprise: field not declared in schema" in str(caught.value)
    assert api.get(path("node"))["spec"] == plain(compact(hgx()))


def test_other_writes_of_such_a_field_are_pruned(api: Api) -> None:
    written = api.create(COLLECTION, _object("node", surprise=1))
    assert written["spec"] == plain(compact(hgx()))


def test_field_that_the_definition_no_longer_has_is_not_served(api: Api) -> None:
    """A definition that went back: what is stored is pruned as it is read, and gone with the next write."""
    _define(api, _with_surprise())
    kube.wait_for(lambda: _applied(api, _object("node", surprise=1)), what="the new field to be taken")
    _define(api, crd())
    kube.wait_for(lambda: "surprise" not in api.get(path("node"))["spec"], what="the field to be pruned")
    api.apply(_object("node"))
    _define(api, _with_surprise())
    assert "surprise" not in api.get(path("node"))["spec"]


def test_reader_of_today_reads_what_an_agent_of_tomorrow_wrote(api: Api, plane: ControlPlane) -> None:
    _define(api, _with_surprise())
    kube.wait_for(lambda: _applied(api, _object("node", surprise=1)), what="the new field to be taken")
    with client_module.connect(plane.admin_kubeconfig) as client:
        listed = Reader(client).list()
    assert (listed.nodes["node"], listed.unreadable) == (hgx(), {})


def test_agent_of_today_writes_under_the_definition_of_tomorrow(api: Api, plane: ControlPlane) -> None:
    _define(api, _with_surprise())
    kube.create_node(api, "node")
    with client_module.connect(plane.admin_kubeconfig) as client:
        KubeStore(client).apply("node", small())
    assert api.get(path("node"))["spec"] == plain(compact(small()))
    api.delete("/api/v1/nodes/node")


def test_from_v1alpha1_to_a_stored_v1beta1_without_a_webhook(api: Api) -> None:
    """`nics` becomes `adapters`: both versions have both names for as long as both are served."""
    api.apply(_object("node"))
    _set_status(api, "v1alpha1")
    _define(api, _versions(stored="v1beta1"))
    place = f"/apis/{GROUP}/v1beta1/{PLURAL}/node"
    seen = api.get(place)
    assert (seen["apiVersion"], seen["spec"]) == (f"{GROUP}/v1beta1", _object("node")["spec"])

    new = _renamed(_object("node"))
    assert api.apply(new)["spec"] == new["spec"], "the old name goes with the agent that wrote it"
    _set_status(api, "v1beta1")
    assert api.get(DEFINITION)["status"]["storedVersions"] == ["v1alpha1", "v1beta1"]
    api.patch(f"{DEFINITION}/status", {"status": {"storedVersions": ["v1beta1"]}})
    _define(api, _versions(stored="v1beta1", served=("v1beta1",), without="nics"))
    kube.wait_for(lambda: api.find(path("node")) is None, what="v1alpha1 to be served no longer")
    kept = api.apply(new)
    assert (kept["spec"], kept["status"]) == (new["spec"], {"domain": "c.1"})


def test_new_name_in_the_new_version_alone_would_stop_every_agent(api: Api) -> None:
    """Why both versions have both names: an apply is merged in the version of the apply before it, too."""
    api.apply(_object("node"))
    definition = _versions(stored="v1beta1", without="nics")
    alpha, _ = definition["spec"]["versions"]
    alpha["schema"] = copy.deepcopy(crd()["spec"]["versions"][0]["schema"])
    _define(api, definition)
    with pytest.raises(kube.ApiError, match=r"last applied version: \.spec\.adapters: field not declared in schema"):
        api.apply(_renamed(_object("node")))


def test_apply_that_changes_nothing_moves_the_object_to_the_stored_version(api: Api) -> None:
    """So the agents' refresh is the migration of the storage."""
    same = _object("node")
    before = api.apply(same)["metadata"]["resourceVersion"]
    assert api.apply(same)["metadata"]["resourceVersion"] == before, "nothing is written while nothing changes"
    _define(api, _versions(stored="v1beta1"))
    kube.wait_for(
        lambda: api.apply(same)["metadata"]["resourceVersion"] != before, what="the object to be stored as v1beta1"
    )


def test_version_goes_only_after_everybody_who_wrote_in_it(api: Api) -> None:
    """Who wrote in which version stands in `managedFields`, and the next apply has to convert to it."""
    api.apply(_object("node"))
    _set_status(api, "v1alpha1")
    _define(api, _versions(stored="v1beta1"))
    new = _renamed(_object("node"))
    api.apply(new)
    api.patch(f"{DEFINITION}/status", {"status": {"storedVersions": ["v1beta1"]}})
    _define(api, _versions(stored="v1beta1", served=("v1beta1",)))
    kube.wait_for(lambda: api.find(path("node")) is None, what="v1alpha1 to be served no longer")
    with pytest.raises(kube.ApiError, match="convert CR to an invalid group/version"):
        api.apply(new)
    place = f"/apis/{GROUP}/v1beta1/{PLURAL}/node"
    api.patch(place, [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}], kind="json")
    assert api.apply(new)["spec"] == new["spec"], "the remedy"


def _set_status(api: Api, version: str) -> None:
    """As the aggregator does."""
    document = {"apiVersion": f"{GROUP}/{version}", "kind": KIND, "metadata": {"name": "node"}}
    place = f"/apis/{GROUP}/{version}/{PLURAL}/node/status?fieldManager=nvtopo-aggregator&force=true"
    body = {**document, "status": {"domain": "c.1"}}
    api.request("PATCH", place, body, content_type="application/apply-patch+yaml")


def _object(name: str, **more: Any) -> Json:
    spec = {**plain(compact(hgx())), **more}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}


def _bytes(document: Json) -> bytes:
    return msgspec.json.encode(document)


def _define(api: Api, definition: Json) -> None:
    """Applied, established, and what it serves is served."""
    api.apply(definition)
    kube.wait_for(lambda: kube.condition(api.get(DEFINITION), "Established"), what="the definition")
    for version in definition["spec"]["versions"]:
        collection = f"/apis/{GROUP}/{version['name']}/{PLURAL}"
        kube.wait_for(functools.partial(_found, api, collection), what=f"{collection} to be served")


def _with_surprise() -> Json:
    """A definition with one more field."""
    definition = copy.deepcopy(crd())
    _spec_of(definition["spec"]["versions"][0])["surprise"] = {"type": "integer"}
    return definition


def _versions(*, stored: str, served: tuple[str, ...] = ("v1alpha1", "v1beta1"), without: str | None = None) -> Json:
    """A definition of these versions, each with `nics` and with its name of tomorrow, `adapters`."""
    definition = copy.deepcopy(crd())
    (only,) = definition["spec"]["versions"]
    properties = _spec_of(only)
    properties["adapters"] = properties["nics"]
    if without is not None:
        del properties[without]
        spec = only["schema"]["openAPIV3Schema"]["properties"]["spec"]
        rules = spec["x-kubernetes-validations"]
        spec["x-kubernetes-validations"] = [rule for rule in rules if f"self.{without}" not in rule["rule"]]
    versions = [{**copy.deepcopy(only), "name": name, "storage": name == stored} for name in served]
    definition["spec"] |= {"versions": versions, "conversion": {"strategy": "None"}}
    return definition


def _renamed(document: Json) -> Json:
    """As an agent of tomorrow applies it."""
    spec = dict(document["spec"])
    spec["adapters"] = spec.pop("nics")
    return {**document, "apiVersion": f"{GROUP}/v1beta1", "spec": spec}


def _spec_of(version: Json) -> Json:
    properties: Json = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return properties


def _applied(api: Api, document: Json) -> bool:
    try:
        return bool(api.apply(document)["spec"].get("surprise"))
    except kube.ApiError:  # the old definition is still in force
        return False


def _found(api: Api, place: str) -> Json | None:
    try:
        return api.find(place)
    except kube.ApiError:  # 429 while its storage starts
        return None
