"""`daemonset/` on a real API server, scheduler and DaemonSet controller; its policy against agents that try more."""

import json
import os
import shutil
import sys
import tempfile
import threading
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import pytest
from click.testing import CliRunner

from fixtures.synthesize import pod_resources
from nvtopo.agent.holders import held
from nvtopo.aggregator.holdings import Holdings
from nvtopo.cli import main
from nvtopo.kube import admission, allocations
from nvtopo.kube.allocations import Allocations
from nvtopo.kube.client import connect
from nvtopo.kube.reader import Reader
from nvtopo.kube.v1alpha1 import API_VERSION, COLLECTION, KIND, path
from nvtopo.model.records.allocation import Allocation, Held
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.publish.allocation import AllocationSink
from nvtopo.sources.kubelet.pod_resources import SOCKET
from nvtopo.sources.sysfs import SysfsRoot
from tests.daemonset import shipped
from tests.daemonset.rights import AGENT, AGGREGATOR, EVERYBODY, NAMESPACES, VERBS, Right
from tests.kube.machines import hgx, small
from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.kube import Api, ApiError, Json
from tests.lab.process import Child, free_port
from tests.observations import observed
from tests.sources import kubelet_server

pytestmark = pytest.mark.lab

MANAGER: Final = "nvtopo-agent"
NFD: Final = "node-feature-discovery"
HOME: Final = "nvtopo"
#: Those that give an account a right.
APPLIED: Final = ("allocations", "node-feature", "resource-slices")
GPU_LABELS: Final = (
    "nvidia.com/gpu.present",
    "feature.node.kubernetes.io/pci-10de.present",
    "feature.node.kubernetes.io/pci-0302_10de.present",
)
FEATURES: Final = "/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/nvtopo/nodefeatures"
ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
NODE_NAME_LABEL: Final = "nfd.node.kubernetes.io/node-name"


@dataclass(frozen=True)
class Cluster:
    plane: ControlPlane
    admin: Api
    gpu_nodes: tuple[str, ...]
    agents: dict[str, Api]
    """Node name -> the API server as that node's agent sees it, with the token bound to its pod."""
    tokens: dict[str, str]


@pytest.fixture(scope="module")
def cluster(own_plane: ControlPlane, lab_binaries: Binaries) -> Cluster:
    """Three GPU nodes, of which one is tainted and one cordoned, a plain node, and all that is shipped, applied.

    NFD's definitions are there, and the Prometheus operator's, as those projects ship them.
    """
    admin = own_plane.api()
    for file in (lab_binaries.nfd_crds, *lab_binaries.prometheus_crds):
        admin.apply_file(file)
    names = tuple(f"gpu-{letter}" for letter in "abc")
    for name, label in zip(names, GPU_LABELS, strict=True):
        kube.create_node(admin, name, labels={label: "true"})
    kube.create_node(admin, "plain")
    admin.patch("/api/v1/nodes/gpu-b", {"spec": {"taints": [{"key": "nvidia.com/gpu", "effect": "NoExecute"}]}})
    admin.patch("/api/v1/nodes/gpu-c", {"spec": {"unschedulable": True}})
    UIDS.update({name: admin.get(f"/api/v1/nodes/{name}")["metadata"]["uid"] for name in names})
    admin.create("/api/v1/namespaces", {"metadata": {"name": NFD}})
    for document in shipped.with_components(APPLIED):
        admin.apply(document)
    kube.wait_for(lambda: _served(admin), what="the collection of NodeTopologies")
    pods = kube.wait_for(lambda: _agent_pods(admin, len(names)), what="an agent's pod on each GPU node")
    tokens = {
        node: own_plane.service_account_token("nvtopo", "nvtopo-agent", bound_pod=pod) for node, pod in pods.items()
    }
    agents = {node: own_plane.api(token) for node, token in tokens.items()}
    probe = _topology("gpu-b")
    kube.wait_for(lambda: _refused(agents["gpu-a"], probe), what="the policy to be in force")
    return Cluster(own_plane, admin, names, agents, tokens)


@pytest.fixture
def agent(cluster: Cluster) -> Api:
    """The agent of node gpu-a."""
    return cluster.agents["gpu-a"]


@pytest.fixture
def aggregator(cluster: Cluster) -> Api:
    return cluster.plane.api(cluster.plane.service_account_token("nvtopo", "nvtopo-aggregator"))


def test_pods_are_on_the_gpu_nodes_tainted_and_cordoned_ones_too_and_nowhere_else(cluster: Cluster) -> None:
    assert sorted(cluster.agents) == sorted(cluster.gpu_nodes)


def test_everything_applied_again_changes_nothing(cluster: Cluster) -> None:
    for document in shipped.with_components(APPLIED):
        before = cluster.admin.get(cluster.admin.path_of(document))
        after = cluster.admin.apply(document)
        assert after["metadata"].get("generation") == before["metadata"].get("generation"), document["kind"]


@pytest.mark.parametrize("component", shipped.COMPONENTS)
def test_every_component_is_accepted(cluster: Cluster, component: str) -> None:
    for document in shipped.with_components((component,)):
        _dry_run(cluster.admin, document)


@pytest.mark.parametrize("policy", ["nvtopo-agent", "nvtopo-agent-events"])
def test_api_server_understands_the_policy_and_finds_no_wrong_type(cluster: Cluster, policy: str) -> None:
    place = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{policy}"
    status = kube.wait_for(lambda: cluster.admin.get(place).get("status"), what="the policy's types to be checked")
    assert status["observedGeneration"] == cluster.admin.get(place)["metadata"]["generation"]
    assert status.get("typeChecking", {}).get("expressionWarnings", []) == []


def test_agent_writes_the_topology_of_its_own_node(agent: Api, cluster: Cluster) -> None:
    agent.apply(_topology("gpu-a"), manager=MANAGER)
    agent.apply(_topology("gpu-a", small()), manager=MANAGER)
    assert cluster.admin.get(path("gpu-a"))["spec"] == shipped.plain(small())


def test_agent_is_refused_the_topology_of_another_node(agent: Api, cluster: Cluster) -> None:
    with pytest.raises(ApiError) as created:
        agent.apply(_topology("gpu-b"), manager=MANAGER)
    cluster.agents["gpu-b"].apply(_topology("gpu-b"), manager=MANAGER)
    with pytest.raises(ApiError) as changed:
        agent.apply(_topology("gpu-b", small()), manager=MANAGER)
    for refusal in (created, changed):
        assert refusal.value.status == 403
        assert 'nvtopo-agent: on node "gpu-a" it writes "gpu-a" only, not "gpu-b"' in str(refusal.value)


def test_agent_is_refused_a_topology_of_no_node(agent: Api) -> None:
    with pytest.raises(ApiError, match='it writes "gpu-a" only, not "nowhere"'):
        agent.apply(_topology("nowhere"), manager=MANAGER)


def test_agent_is_refused_a_generated_name(agent: Api) -> None:
    document = {**_topology("gpu-a"), "metadata": {"generateName": "gpu-a", "ownerReferences": [_owner("gpu-a")]}}
    with pytest.raises(ApiError, match='it writes "gpu-a" only, not'):
        agent.create(COLLECTION, document)


def test_token_without_a_pod_is_refused_everywhere(cluster: Cluster) -> None:
    loose = cluster.plane.api(cluster.plane.service_account_token("nvtopo", "nvtopo-agent"))
    for node in cluster.gpu_nodes:
        with pytest.raises(ApiError, match="the token names no node") as caught:
            loose.apply(_topology(node), manager=MANAGER)
        assert caught.value.status == 403


def test_account_of_that_name_in_another_namespace_is_held_to_the_same(cluster: Cluster) -> None:
    """As after `namespace: elsewhere` in an overlay."""
    admin = cluster.admin
    kube.create_namespace(admin, "elsewhere")
    admin.create("/api/v1/namespaces/elsewhere/serviceaccounts", {"metadata": {"name": "nvtopo-agent"}})
    _bind(admin, "elsewhere", "nvtopo-agent")
    loose = cluster.plane.api(cluster.plane.service_account_token("elsewhere", "nvtopo-agent"))
    with pytest.raises(ApiError, match="the token names no node"):
        loose.apply(_topology("gpu-a"), manager=MANAGER)


def test_policy_stands_even_where_rbac_gives_the_agent_everything(cluster: Cluster, agent: Api) -> None:
    """Somebody binds cluster-admin to it: of our resources it still writes its own spec only."""
    agent.apply(_topology("gpu-a"), manager=MANAGER)
    cluster.agents["gpu-b"].apply(_topology("gpu-b"), manager=MANAGER)
    binding = _bind(cluster.admin, "nvtopo", "nvtopo-agent", role="cluster-admin")
    try:
        kube.wait_for(lambda: _allowed(agent, Right("", "nodes", "list")), what="the agent to be administrator")
        _expect_refusal(agent, "PATCH", f"{path('gpu-a')}/status", {"status": {"domain": "forged"}}, "spec only")
        _expect_refusal(agent, "DELETE", path("gpu-b"), None, 'not "gpu-b"')
        _expect_refusal(agent, "DELETE", COLLECTION, None, "not")
        document = _topology("gpu-b")
        current = cluster.admin.get(path("gpu-b"))
        document["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
        _expect_refusal(agent, "PUT", path("gpu-b"), document, 'not "gpu-b"')
    finally:
        cluster.admin.delete(binding)


def test_agent_is_refused_all_else_by_rbac(agent: Api) -> None:
    agent.apply(_topology("gpu-a"), manager=MANAGER)
    for method, place, body in (
        ("PATCH", f"{path('gpu-a')}/status", {"status": {"domain": "forged"}}),
        ("PATCH", "/api/v1/nodes/gpu-a", {"metadata": {"labels": {"a": "b"}}}),
        ("PATCH", "/api/v1/nodes/gpu-a/status", {"status": {"capacity": {"nvidia.com/gpu": "99"}}}),
        ("PUT", "/api/v1/nodes/gpu-a", {"metadata": {"name": "gpu-a"}}),
        ("DELETE", "/api/v1/nodes/gpu-a", None),
        ("GET", "/api/v1/nodes", None),
        ("GET", "/api/v1/namespaces/nvtopo/secrets/any", None),
        ("GET", "/api/v1/namespaces/kube-system/secrets/any", None),
        ("GET", "/api/v1/secrets", None),
        ("GET", "/api/v1/namespaces/nvtopo/configmaps/kube-root-ca.crt", None),
        ("GET", path("gpu-a"), None),
        ("GET", f"{FEATURES}/nvtopo-gpu-a", None),
        ("DELETE", f"{FEATURES}/nvtopo-gpu-a", None),
        ("PATCH", f"/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{NFD}/nodefeatures/nvtopo-gpu-a", {}),
        ("POST", "/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules", {"metadata": {"name": "mine"}}),
        ("POST", "/apis/coordination.k8s.io/v1/namespaces/nvtopo/leases", {"metadata": {"name": "nvtopo-aggregator"}}),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "t"}}),
        ("GET", "/api/v1/pods", None),
        ("GET", COLLECTION, None),
        ("DELETE", path("gpu-a"), None),
        ("DELETE", path("gpu-b"), None),
        ("POST", "/api/v1/namespaces/nvtopo/serviceaccounts/nvtopo-agent/token", {"spec": {}}),
        ("POST", "/api/v1/namespaces/nvtopo/serviceaccounts/nvtopo-aggregator/token", {"spec": {}}),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {"metadata": {"name": "mine"}}),
        ("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/nvtopo-agent", None),
    ):
        with pytest.raises(ApiError) as caught:
            agent.request(method, place, body, content_type="application/merge-patch+json")
        assert (caught.value.status, caught.value.reason) == (403, "Forbidden"), (method, place)


def test_aggregator_is_refused_all_else_by_rbac(aggregator: Api, agent: Api) -> None:
    agent.apply(_topology("gpu-a"), manager=MANAGER)
    leases = "/apis/coordination.k8s.io/v1/namespaces"
    for method, place, body in (
        ("PATCH", path("gpu-a"), {"spec": {"gpus": []}}),
        ("DELETE", path("gpu-a"), None),
        ("GET", "/api/v1/nodes/gpu-a", None),
        ("PATCH", "/api/v1/nodes/gpu-a", {"metadata": {"labels": {"a": "b"}}}),
        ("GET", "/api/v1/namespaces/nvtopo/secrets/any", None),
        ("GET", "/api/v1/pods", None),
        ("GET", f"{leases}/nvtopo/leases", None),
        ("GET", f"{leases}/nvtopo/leases/another", None),
        ("GET", f"{leases}/kube-system/leases/kube-scheduler", None),
        ("POST", "/api/v1/namespaces/nvtopo/serviceaccounts/nvtopo-agent/token", {"spec": {}}),
        ("PATCH", f"{FEATURES}/nvtopo-gpu-a", {}),
    ):
        with pytest.raises(ApiError) as caught:
            aggregator.request(method, place, body, content_type="application/merge-patch+json")
        assert (caught.value.status, caught.value.reason) == (403, "Forbidden"), (method, place)


def test_status_that_is_applied_with_the_spec_is_dropped(agent: Api, cluster: Cluster) -> None:
    agent.apply({**_topology("gpu-a"), "status": {"domain": "forged"}}, manager=MANAGER)
    assert "forged" not in json.dumps(cluster.admin.get(path("gpu-a")).get("status", {}))


def test_aggregator_and_people_are_not_concerned(aggregator: Api, agent: Api, cluster: Cluster) -> None:
    agent.apply(_topology("gpu-a"), manager=MANAGER)
    status = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "gpu-a"}, "status": {"domain": "c.1"}}
    query = "fieldManager=nvtopo-aggregator&force=true"
    aggregator.request("PATCH", f"{path('gpu-a')}/status?{query}", status, content_type="application/apply-patch+yaml")
    by_hand = {**_topology("by-hand"), "metadata": {"name": "by-hand", "finalizers": ["example.com/mine"]}}
    cluster.admin.apply(by_hand, manager=MANAGER)
    cluster.admin.patch(path("by-hand"), {"metadata": {"finalizers": None}})
    cluster.admin.delete(path("by-hand"))
    assert cluster.admin.get(path("gpu-a"))["status"]["domain"] == "c.1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"finalizers": ["example.com/mine"]}, "neither sets nor removes a finalizer"),
        ({"ownerReferences": []}, 'has one owner, the Node "gpu-a"'),
        ({"ownerReferences": [{"name": "gpu-b"}]}, 'has one owner, the Node "gpu-a"'),
        ({"ownerReferences": [{}, {"name": "gpu-b", "uid": "another"}]}, 'has one owner, the Node "gpu-a"'),
        ({"ownerReferences": [{}, {"uid": "another"}]}, 'has one owner, the Node "gpu-a"'),
        ({"ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet"}]}, 'has one owner, the Node "gpu-a"'),
        ({"ownerReferences": [{"blockOwnerDeletion": True}]}, "does not keep from being deleted"),
        ({"ownerReferences": [{"controller": True}]}, "does not keep from being deleted"),
    ],
    ids=["finalizer", "none", "another-node", "another-too", "twice", "no-node", "blocks", "controls"],
)
@pytest.mark.parametrize("kind", ["NodeTopology", "NodeFeature"])
def test_agent_is_refused_an_object_that_does_not_go_with_its_node(
    agent: Api, features: str, kind: str, change: Json, said: str
) -> None:
    del features
    document = _topology("gpu-a") if kind == "NodeTopology" else _feature("nvtopo-gpu-a", "gpu-a")
    kube.wait_for(lambda: not _refused(agent, document), what="the policy to know both kinds")
    if "ownerReferences" in change:
        change = {"ownerReferences": [{**_owner("gpu-a"), **owner} for owner in change["ownerReferences"]]}
    changed = {**document, "metadata": {**document["metadata"], **change}}
    with pytest.raises(ApiError, match=said) as caught:
        agent.apply(changed, manager=MANAGER)
    assert caught.value.status == 403


def test_what_others_put_on_an_object_stops_no_agent(agent: Api, cluster: Cluster) -> None:
    agent.apply(_topology("gpu-a"), manager=MANAGER)
    owners = [_owner("gpu-a"), {**_owner("gpu-b"), "uid": UIDS["gpu-b"]}]
    cluster.admin.patch(path("gpu-a"), {"metadata": {"finalizers": ["example.com/theirs"], "ownerReferences": owners}})
    try:
        agent.apply(_topology("gpu-a", small()), manager=MANAGER)
        found = cluster.admin.get(path("gpu-a"))["metadata"]
        assert found["finalizers"] == ["example.com/theirs"]
        assert {owner["name"] for owner in found["ownerReferences"]} == {"gpu-a", "gpu-b"}
    finally:
        cluster.admin.patch(path("gpu-a"), {"metadata": {"finalizers": None, "ownerReferences": owners[:1]}})


def test_aggregator_says_which_policy_is_missing_and_which_object_is_odd(cluster: Cluster, aggregator: Api) -> None:
    """With the account's own rights; the policies stay what they are for other tests."""
    del aggregator
    token = cluster.plane.service_account_token("nvtopo", "nvtopo-aggregator")
    binding = f"{ADMISSION}/validatingadmissionpolicybindings/nvtopo-agent-events"
    cluster.agents["gpu-b"].apply(_topology("gpu-b"), manager=MANAGER)
    cluster.admin.patch(path("gpu-b"), {"metadata": {"finalizers": ["example.com/theirs"]}})
    with connect(cluster.plane.kubeconfig(token)) as client:
        reader = Reader(client)
        reader.list()
        try:
            assert reader.foreign is not None
            assert "gpu-b" in reader.foreign
            assert admission.look(client) == (dict.fromkeys(admission.POLICIES, False), "")
            cluster.admin.patch(binding, {"spec": {"validationActions": ["Audit"]}})
            assert admission.look(client)[0]["nvtopo-agent-events"] is True
            cluster.admin.delete(binding)
            assert admission.look(client) == ({"nvtopo-agent": False, "nvtopo-agent-events": True}, "")
        finally:
            cluster.admin.patch(path("gpu-b"), {"metadata": {"finalizers": None}})
            for document in shipped.base():
                if document["kind"].startswith("ValidatingAdmissionPolicy"):
                    cluster.admin.apply(document)
        kube.wait_for(lambda: not any(admission.look(client)[0].values()), what="both policies to be there again")


def test_the_programs_do_all_their_work_with_these_rights(cluster: Cluster, tmp_path: Path) -> None:
    """The agent of gpu-c with the token of its pod, and an aggregator that leads and writes status."""
    token = cluster.plane.service_account_token("nvtopo", "nvtopo-aggregator")
    (tmp_path / "features.d").mkdir()
    agent = _program(
        cluster,
        tmp_path,
        "agent",
        cluster.tokens["gpu-c"],
        "--features-dir",
        str(tmp_path / "features.d"),
        "--allocations",
    )
    aggregator = _program(cluster, tmp_path, "aggregator", token, "--allocations", "--resource-slices")
    lease = "/apis/coordination.k8s.io/v1/namespaces/nvtopo/leases/nvtopo-aggregator"
    try:
        written = kube.wait_for(lambda: _with_status(cluster.admin, "gpu-c"), what="spec and status of gpu-c")
        kube.wait_for(lambda: cluster.admin.find(lease), what="the Lease")
        wrote = kube.wait_for(lambda: cluster.admin.find(allocations.path("gpu-c")), what="the NodeAllocation of gpu-c")
    finally:
        agent.stop()
        aggregator.stop()
    managers = {field["manager"]: field.get("subresource", "") for field in written["metadata"]["managedFields"]}
    assert managers == {"nvtopo-agent": "", "nvtopo-aggregator": "status"}
    assert "no kubelet answers here" in wrote["spec"]["unknown"]
    for program in (agent, aggregator):
        assert "403" not in program.log.read_text()
        assert "forbidden" not in program.log.read_text().lower()


def test_agent_writes_the_allocation_of_its_own_node_and_no_other(agent: Api, cluster: Cluster) -> None:
    own = Allocation(containers=(Held(namespace="jobs", pod="train-0", container="worker", gpus=(0, 5)),))
    document = json.loads(allocations.document("gpu-a", own, UIDS["gpu-a"]))
    kube.wait_for(lambda: not _refused(agent, document), what="the policy to know NodeAllocations")
    stored = cluster.admin.get(allocations.path("gpu-a"))
    assert stored["spec"] == document["spec"]
    of_another = json.loads(allocations.document("gpu-b", own, UIDS["gpu-b"]))
    without_owner = {**document, "metadata": {"name": "gpu-a", "ownerReferences": []}}
    for wrong, said in ((of_another, 'it writes "gpu-a" only, not "gpu-b"'), (without_owner, "has one owner")):
        with pytest.raises(ApiError, match=said) as caught:
            agent.apply(wrong, manager=MANAGER)
        assert caught.value.status == 403


def test_what_pods_hold_goes_from_the_kubelet_to_the_aggregator_and_to_people(cluster: Cluster) -> None:
    """Each with its own rights: a kubelet's answer, the agent's sink, the aggregator's follower, ``nvtopo pods``."""
    token = cluster.plane.service_account_token("nvtopo", "nvtopo-aggregator")
    gpus = [gpu.uuid for gpu in hgx().gpus]
    root, stop = Path(tempfile.mkdtemp(prefix="nv")), threading.Event()
    cluster.agents["gpu-b"].apply(_topology("gpu-b"), manager=MANAGER)
    with (
        connect(cluster.plane.kubeconfig(cluster.tokens["gpu-b"])) as agent,
        connect(cluster.plane.kubeconfig(token)) as aggregator,
        kubelet_server.serving(root / SOCKET[1:]) as kubelet,
    ):
        sink = AllocationSink(agent, "gpu-b", partial(held, SysfsRoot(str(root))))
        holdings = Holdings(Allocations(aggregator, forbidden_seconds=0.5))
        follower = threading.Thread(target=holdings.run, args=(stop,))
        follower.start()
        try:
            pod = kubelet_server.pod("train-0", kubelet_server.gpus("worker", *gpus[2:4]))
            kubelet.answer = lambda: pod_resources.encoded(pod)
            sink.write(observed(hgx()))
            kube.wait_for(lambda: holdings.use().held.get("gpu-b") == {2, 3}, what="what the pod holds")
            arguments = ["gpu-b", "-o", "json", "--kubeconfig", str(cluster.plane.admin_kubeconfig)]
            shown = CliRunner().invoke(pods_command(), arguments, catch_exceptions=False)
            assert json.loads(shown.output)["gpu-b"]["pods"][0]["gpus"] == [2, 3]
            _bound_pod(cluster.admin, "jobs", "train-0", "gpu-b")
            job = ["--job", "jobs/train", *arguments[3:]]
            shown = CliRunner().invoke(pods_command(), job, catch_exceptions=False)
            assert "jobs/train: 1 pod on 1 node\nmeets in: node\n" in shown.output
            assert "0     train-0  gpu-b  GPU2,GPU3" in shown.output
            kubelet.answer = pod_resources.encoded
            sink.write(observed(hgx()))
            kube.wait_for(lambda: "gpu-b" not in holdings.use().held, what="the end of the pod")
            assert "gpu-b" in (holdings.use().told or ())
        finally:
            stop.set()
            follower.join(20)
            shutil.rmtree(root)
    assert not follower.is_alive()


def _bound_pod(admin: Api, namespace: str, name: str, node: str) -> None:
    kube.create_namespace(admin, namespace)
    labels, notes = {"nvtopo.io/gang": name.rpartition("-")[0]}, {"nvtopo.io/rank": "0"}
    container = {"name": "worker", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "2"}}}
    admin.create(
        f"/api/v1/namespaces/{namespace}/pods",
        {
            "metadata": {"name": name, "labels": labels, "annotations": notes},
            "spec": {"nodeName": node, "containers": [container]},
        },
    )


def pods_command() -> click.Command:
    command = main.get_command(click.Context(main), "pods")
    assert command is not None
    return command


def test_agent_that_claims_another_node_says_in_its_log_why_it_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    agent = _program(cluster, tmp_path, "agent", cluster.tokens["gpu-a"], "--no-features", node="gpu-b")
    said = 'on node "gpu-a" it writes "gpu-a" only, not "gpu-b"'
    try:
        kube.wait_for(lambda: said in agent.log.read_text().replace("\\", ""), what=said)
    finally:
        agent.stop()


@pytest.fixture
def features(cluster: Cluster) -> str:
    """The collection of NodeFeatures in our namespace."""
    kube.wait_for(lambda: _served(cluster.admin, FEATURES), what="the collection of NodeFeatures")
    return FEATURES


def test_agent_writes_the_node_feature_of_its_own_node(agent: Api, cluster: Cluster, features: str) -> None:
    document = _feature("nvtopo-gpu-a", "gpu-a")
    kube.wait_for(lambda: not _refused(agent, document), what="the policy to know NodeFeatures")
    assert cluster.admin.get(f"{features}/nvtopo-gpu-a")["metadata"]["labels"] == {NODE_NAME_LABEL: "gpu-a"}


@pytest.mark.parametrize(
    ("name", "node", "said"),
    [
        ("nvtopo-gpu-a", "gpu-b", "says so in the label"),
        ("nvtopo-gpu-a", None, "says so in the label"),
        ("nvtopo-gpu-b", "gpu-a", 'writes "nvtopo-gpu-a" only'),
        ("gpu-a", "gpu-a", 'writes "nvtopo-gpu-a" only'),
        ("gpu-b", "gpu-b", 'writes "nvtopo-gpu-a" only'),
    ],
)
def test_agent_is_refused_features_of_another_node(
    agent: Api, features: str, name: str, node: str | None, said: str
) -> None:
    with pytest.raises(ApiError, match=said) as caught:
        agent.apply(_feature(name, node), manager=MANAGER)
    assert caught.value.status == 403
    assert features


def test_agent_may_not_take_over_an_object_that_speaks_of_another_node(
    agent: Api, cluster: Cluster, features: str
) -> None:
    cluster.admin.apply(_feature("nvtopo-gpu-a", "gpu-b"))
    try:
        with pytest.raises(ApiError, match="says so in the label"):
            agent.apply(_feature("nvtopo-gpu-a", "gpu-a"), manager=MANAGER)
    finally:
        cluster.admin.delete(f"{features}/nvtopo-gpu-a")


@pytest.mark.parametrize(("account", "rights"), [("nvtopo-agent", AGENT), ("nvtopo-aggregator", AGGREGATOR)])
def test_account_may_do_exactly_what_is_listed(cluster: Cluster, account: str, rights: frozenset[Right]) -> None:
    """Every verb on every resource that this API server serves, in four namespaces."""
    token = cluster.plane.service_account_token("nvtopo", account)
    resources = _resources(cluster.admin)
    assert len(resources) > 80, "the API server's own and ours"
    asked = (
        Right(group, resource, verb, namespace, name)
        for group, resource, namespaced in resources
        for verb in VERBS
        for namespace in (NAMESPACES if namespaced else ("",))
        for name in ("", *(admission.POLICIES if "admission" in group else _names(resource)))
    )
    with closing(kube.KeptApi(cluster.plane.server, cluster.plane.ca_file, token)) as api:
        allowed = {right for right in asked if _allowed(api, right)}
    assert allowed == _named(rights | EVERYBODY)


@pytest.mark.parametrize("account", ["nvtopo-agent", "nvtopo-aggregator"])
def test_account_may_not_become_another_nor_look_behind_the_api_server(cluster: Cluster, account: str) -> None:
    """Impersonation, proxies and other rights that no list of served resources contains."""
    api = cluster.plane.api(cluster.plane.service_account_token("nvtopo", account))
    asked: list[Json] = [
        {"resourceAttributes": {"group": group, "resource": resource, "verb": verb, "namespace": "nvtopo"}}
        for group, resource, verb in (
            ("", "users", "impersonate"),
            ("", "groups", "impersonate"),
            ("", "serviceaccounts", "impersonate"),
            ("authentication.k8s.io", "userextras", "impersonate"),
            ("", "serviceaccounts", "request-serviceaccounts-token-audience"),
            ("certificates.k8s.io", "signers", "approve"),
            ("certificates.k8s.io", "signers", "sign"),
            ("", "nodes/proxy", "get"),
        )
    ]
    asked += [
        {"nonResourceAttributes": {"path": path, "verb": "get"}}
        for path in ("/metrics", "/logs", "/debug/pprof/", "/flagz", "/statusz", "/configz", "/anything")
    ]
    place = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert [each for each in asked if api.create(place, {"spec": each})["status"]["allowed"]] == []


def test_aggregator_meets_the_restricted_standard_and_the_agent_only_lacks_what_is_said(cluster: Cluster) -> None:
    """Pod security admission's own verdict, with the version that this API server has."""
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.create_namespace(cluster.admin, "strict")
    cluster.admin.patch("/api/v1/namespaces/strict", {"metadata": {"labels": label}})
    objects = shipped.base()
    _dry_run_pod(cluster.admin, shipped.one(objects, "Deployment", "nvtopo-aggregator"))
    with pytest.raises(ApiError) as caught:
        _dry_run_pod(cluster.admin, shipped.one(objects, "DaemonSet", "nvtopo-agent"))
    verdict = str(caught.value).partition('violates PodSecurity "restricted:latest": ')[2]
    assert verdict == (
        "host namespaces (hostNetwork=true), "
        'hostPort (container "agent" uses hostPort 9745), '
        'unrestricted capabilities (container "features-dir" must not include "CHOWN" in '
        "securityContext.capabilities.add), "
        'restricted volume types (volume "features" uses restricted volume type "hostPath"), '
        'runAsNonRoot != true (container "features-dir" must not set securityContext.runAsNonRoot=false), '
        'runAsUser=0 (container "features-dir" must not set runAsUser=0)'
    )


def _topology(node: str, facts: NodeTopology | None = None) -> Json:
    """Owned by its Node, as agents write it."""
    spec = shipped.plain(facts or hgx())
    metadata = {"name": node, "ownerReferences": [_owner(node)]}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


#: Node -> uid: the garbage collector deletes what a Node owns that is not there.
UIDS: Final[dict[str, str]] = {}


def _owner(node: str) -> Json:
    return {"apiVersion": "v1", "kind": "Node", "name": node, "uid": UIDS.get(node, "none")}


def _feature(name: str, node: str | None) -> Json:
    labels = {} if node is None else {NODE_NAME_LABEL: node}
    return {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
        "kind": "NodeFeature",
        "metadata": {
            "name": name,
            "namespace": HOME,
            "labels": labels,
            "ownerReferences": [_owner(name.removeprefix("nvtopo-"))],
        },
        "spec": {"labels": {"nvtopo.io/gpu.count": "8"}},
    }


def _program(cluster: Cluster, directory: Path, verb: str, token: str, *arguments: str, node: str = "gpu-c") -> Child:
    argv = (sys.executable, "-m", "nvtopo", verb, "--listen", f"127.0.0.1:{free_port()}")
    paths = os.pathsep.join(path for path in sys.path if path)
    return Child(
        verb,
        (*argv, "--kubeconfig", str(cluster.plane.kubeconfig(token)), *arguments),
        log=directory / f"{verb}.log",
        environment={"PYTHONPATH": paths, "NODE_NAME": node, "POD_NAMESPACE": "nvtopo"},
    )


def _with_status(api: Api, node: str) -> Json | None:
    found = api.find(path(node))
    return found if found is not None and found.get("status") else None


def _served(api: Api, collection: str = COLLECTION) -> bool:
    try:
        return api.find(collection) is not None
    except ApiError:  # 429 while its storage starts
        return False


def _refused(api: Api, document: Json) -> bool:
    try:
        api.apply(document, manager=MANAGER)
    except ApiError:
        return True
    return False


def _agent_pods(api: Api, count: int) -> dict[str, str] | None:
    """Node -> pod, once each of them is bound."""
    items = api.get("/api/v1/namespaces/nvtopo/pods?labelSelector=app.kubernetes.io/component=agent")["items"]
    pods = {node: item["metadata"]["name"] for item in items if (node := item["spec"].get("nodeName"))}
    return pods if len(pods) >= count else None


def _dry_run(api: Api, document: Json) -> None:
    place = f"{api.path_of(document)}?fieldManager=lab&force=true&dryRun=All&fieldValidation=Strict"
    api.request("PATCH", place, document, content_type="application/apply-patch+yaml")


def _dry_run_pod(api: Api, workload: Json) -> None:
    spec = {**shipped.pod_of(workload), "serviceAccountName": "default"}
    api.request("POST", "/api/v1/namespaces/strict/pods?dryRun=All", {"metadata": {"name": "one"}, "spec": spec})


def _bind(api: Api, namespace: str, account: str, *, role: str = "nvtopo-agent") -> str:
    """Path of a new ClusterRoleBinding."""
    name = f"{namespace}-{account}-{role}"
    collection = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    document: Json = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": account}],
    }
    api.create(collection, document)
    return f"{collection}/{name}"


def _expect_refusal(api: Api, method: str, place: str, body: Any, said: str) -> None:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    with pytest.raises(ApiError, match=said) as caught:
        api.request(method, place, body, content_type=kind)
    assert caught.value.status == 403


def _resources(api: Api) -> list[tuple[str, str, bool]]:
    """Group, resource (with its subresource) and whether it is namespaced, of all that is served."""
    groups = [("", "/api/v1")]
    for group in api.get("/apis")["groups"]:
        groups += [(group["name"], f"/apis/{version['groupVersion']}") for version in group["versions"]]
    return sorted(
        {(group, each["name"], each["namespaced"]) for group, place in groups for each in api.get(place)["resources"]}
    )


def _allowed(api: Api, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {**right._asdict(), "resource": resource, "subresource": subresource}
    review = api.create(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {"resourceAttributes": attributes}}
    )
    return bool(review["status"]["allowed"])


def _names(resource: str) -> tuple[str, ...]:
    """The names of objects that are asked for."""
    return ("nvtopo-aggregator", *(("nvtopo-reservations",) if resource == "configmaps" else ()))


def _named(rights: frozenset[Right]) -> set[Right]:
    """A right on any name is one on each of the names that are asked for; none is on any name of a policy."""
    return {
        right._replace(name=name)
        for right in rights
        for name in (("", *_names(right.resource)) if right.name == "" else (right.name,))
    }
