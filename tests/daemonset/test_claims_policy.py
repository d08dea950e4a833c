"""Who may ask for devices that belong together, by the real API server: labelled namespaces, and accounts by a role."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from nvtopo.exporters.schedulers import kinds
from tests.daemonset.shipped import DAEMONSET
from tests.exporters import clusters
from tests.lab import kube
from tests.lab.control_plane import ControlPlane
from tests.lab.kube import Api, ApiError

pytestmark = pytest.mark.lab

POLICY: Final = DAEMONSET / "components" / "claims-policy" / "policy.yaml"
OPEN, CLOSED = "aligned-open", "aligned-closed"
ROLE: Final = "nvtopo-aligned-claims"
Json = dict[str, Any]
#: Of the cluster's admin, who is bound to the role by nobody, a right of every namespace would hide what is tested.
EDITOR: Final = "aligned-editor"


@pytest.fixture(name="api", scope="module")
def _api(control_plane: ControlPlane) -> Iterator[Api]:
    """As an account that may edit both namespaces."""
    admin = control_plane.api()
    for name in (OPEN, CLOSED):
        kube.create_namespace(admin, name)
    admin.patch(f"/api/v1/namespaces/{OPEN}", {"metadata": {"labels": {"nvtopo.io/aligned-claims": "true"}}})
    admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": EDITOR, "namespace": OPEN}})
    rules = [
        {"apiGroups": ["resource.k8s.io"], "resources": ["resourceclaims", "resourceclaimtemplates"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]},
    ]
    metadata = {"name": EDITOR}
    version = "rbac.authorization.k8s.io/v1"
    admin.apply({"apiVersion": version, "kind": "ClusterRole", "metadata": metadata, "rules": rules})
    admin.apply({**binding(EDITOR), "metadata": metadata})
    made = [document for document in yaml.safe_load_all(POLICY.read_text()) if document]
    for document in made:
        admin.apply(document)
    api = control_plane.api(control_plane.service_account_token(OPEN, EDITOR))
    kube.wait_for(lambda: refused(api, CLOSED, gated()), what="the policy to be in force")
    yield api
    for document in made:
        admin.delete(admin.path_of(document))
    admin.delete(f"/apis/{version}/clusterrolebindings/{EDITOR}")
    kube.wait_for(lambda: not refused(admin, CLOSED, gated()), what="the policy to be gone")


def binding(role: str) -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": EDITOR, "namespace": OPEN}],
    }


def gated(gate: str = "nvtopo.io/placement") -> Json:
    spec = {"containers": [{"name": "c", "image": "none"}], "schedulingGates": [{"name": gate}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gated"}, "spec": spec}


def template(name: str = "nvtopo-pair") -> Json:
    documents = kinds.OBJECTS["dra"](clusters.edge())
    (found,) = (one for one in documents if one["metadata"]["name"] == name)
    return found


def claim(*requests: Json, name: str = "claim") -> Json:
    spec = {"devices": {"requests": list(requests)}}
    return {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": name}, "spec": spec}


def of_class(name: str) -> Json:
    return {"name": "one", "exactly": {"deviceClassName": name}}


def refused(api: Api, namespace: str, document: Json) -> str:
    """Why this is not let in by a dry run; empty if it is."""
    document = {**document, "metadata": {**document["metadata"], "namespace": namespace}}
    collection = api.path_of(document).rpartition("/")[0]
    try:
        api.create(f"{collection}?dryRun=All", document)
    except ApiError as error:
        return f"{error.status} {error}"
    return ""


FIRST: Final = {"name": "one", "firstAvailable": [{"name": "a", "deviceClassName": "gpu"}]}
ALIGNED: Final = {
    "a gated pod": gated(),
    "a template": template(),
    "a claim": claim(of_class("gpu.nvidia.com"), {**of_class("nvtopo-shadow"), "name": "other"}),
    "the second choice of a claim": claim(
        {**FIRST, "firstAvailable": [*FIRST["firstAvailable"], {"name": "b", "deviceClassName": "nvtopo-domain"}]}
    ),
}
OTHERS: Final = {
    "a pod with another's gate": gated("example.com/other"),
    "a claim on GPUs alone": claim(of_class("gpu.nvidia.com")),
    "a choice without ours": claim(FIRST),
    "a claim on all of a class": claim({"name": "one", "exactly": {"deviceClassName": "a", "allocationMode": "All"}}),
}


@pytest.mark.parametrize("asked", ALIGNED.values(), ids=ALIGNED)
def test_a_namespace_without_the_label_is_refused_and_told_what_to_do(api: Api, asked: Json) -> None:
    said = refused(api, CLOSED, asked)
    assert said.startswith("403 ")
    assert 'nvtopo-claims: the namespace "aligned-closed" may not ask for devices that belong together' in said
    assert f'bind "system:serviceaccount:{OPEN}:{EDITOR}" to nvtopo-aligned-claims' in said
    assert refused(api, OPEN, asked) == ""


@pytest.mark.parametrize("asked", OTHERS.values(), ids=OTHERS)
def test_what_asks_for_no_topology_is_nobody_s_business(api: Api, asked: Json) -> None:
    assert refused(api, CLOSED, asked) == ""


def test_an_account_with_the_role_may_ask_anywhere(api: Api, control_plane: ControlPlane) -> None:
    admin = control_plane.api()
    assert refused(api, CLOSED, template())
    admin.apply({**binding(ROLE), "metadata": {"name": ROLE}})
    try:
        kube.wait_for(lambda: not refused(api, CLOSED, template()), what="the role to count")
    finally:
        admin.delete(f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{ROLE}")
    kube.wait_for(lambda: refused(api, CLOSED, template()), what="the role to be taken away")


def test_a_team_s_quota_counts_what_its_claims_ask_for(api: Api, control_plane: ControlPlane) -> None:
    """Kubernetes' own quota, as docs/dra.md has it: two shadows, so one pair and no second."""
    admin = control_plane.api()
    hard = {"nvtopo-shadow.deviceclass.resource.k8s.io/devices": "2"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team", "namespace": OPEN}}
    admin.apply({**quota, "spec": {"hard": hard}})
    path = f"/api/v1/namespaces/{OPEN}/resourcequotas/team"
    kube.wait_for(lambda: admin.get(path).get("status", {}).get("hard"), what="the quota to count")
    claims = f"/apis/resource.k8s.io/v1/namespaces/{OPEN}/resourceclaims"
    pair = template()["spec"]["spec"]["devices"]
    try:
        api.create(claims, {"metadata": {"name": "first"}, "spec": {"devices": pair}})
        with pytest.raises(ApiError, match="exceeded quota: team") as caught:
            api.create(claims, {"metadata": {"name": "second"}, "spec": {"devices": pair}})
        assert caught.value.status == 403
    finally:
        api.delete(f"{claims}/first")
        admin.delete(path)
