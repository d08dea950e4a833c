"""What happens to the node, in order; each step hands on what was seen, so that tests may look at it in any order."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nvtopo.kube.v1alpha1 import path as topology_path
from tests.daemonset.shipped import DAEMONSET
from tests.kubelet import place
from tests.kubelet.cluster import HOME, Cluster, Process, fetch, processes
from tests.kubelet.node import stats
from tests.lab.kube import Json, condition, wait_for
from tests.lab.process import LabError
from tests.machines import sysfs_text

OVERLAY: Final = Path(__file__).with_name("overlay")
#: What GPU feature discovery says of a node with a GPU: the shipped affinity asks for it.
_GPU_LABEL: Final = "nvidia.com/gpu.present=true"
_AGENT: Final = ("--namespace", HOME, "daemonset/nvtopo-agent")
#: What may not be entered cannot be written to either.
_FIND_WRITABLE: Final = "find / -path /proc -prune -o -writable ! -type l -print 2>/dev/null || true"
#: Somebody who may read the graph, by the role that is shipped.
_READER: Final = (
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}},
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "nvtopo-reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}],
    },
)
_METRICS: Final = f"http://{place.NODE_ADDRESS}:9745"


@dataclass(frozen=True)
class Shipped:
    """`kubectl apply -k daemonset/` on a node without GPUs, settled."""

    objects_before: set[str]
    files_before: set[str]
    wanted_without_label: int
    agent: Json
    aggregators: list[Json]
    processes: list[Process]
    topology: Json
    columns: str
    labels: dict[str, str]
    feature_file: str
    metrics: str
    graph: Any
    log: str
    inside: Any
    """`nvtopo dump --format json`, within the agent's container."""
    outside: Any
    """The same, as root on the node."""
    netdevs_inside: list[str]
    netdevs_outside: list[str]
    writable: list[str]
    """What the agent's user may write to, within the container."""
    probes: str
    """The kubelet's counters of probes."""


@dataclass(frozen=True)
class Rolled:
    """A new template, rolled out: the machine with GPUs."""

    old: Json
    """The old pod as last seen."""
    seconds: float
    """From being asked until its container had ended."""
    at_once: int
    """How many agents of the node were there at most."""
    agent: Json
    topology: Json
    columns: str
    labels: dict[str, str]
    metrics: str
    node_feature: Json
    container: Any
    """containerd's record of the agent's."""
    usage: dict[str, Any]
    """The kubelet's own figures of the agent's container."""
    rotation: "Rotation"


@dataclass(frozen=True)
class Rotation:
    """A new token in the agent's volume."""

    before: list[str]
    """The tokens that its requests had come with."""
    new: str
    after: list[str]
    """Those that they came with then."""
    seconds: float
    """From the file until a request."""
    restarts: int


@dataclass(frozen=True)
class Step:
    """One template of the walk, rolled out, and the feature file once its agent had written it."""

    component: str
    """Empty: none that makes the agent root."""
    owner: int
    labels: dict[str, str]
    log: str


@dataclass(frozen=True)
class Gone:
    """After `kubectl delete -k`."""

    objects: set[str]
    files: set[str]
    processes: list[Process]
    labels: dict[str, str]
    feature_file: str
    expired_after: float


def bring_up(cluster: Cluster) -> Shipped:
    """Apply what is shipped and wait until it is there."""
    node = cluster.node
    for document in _READER:
        cluster.api.apply(document)
    before, files = cluster.objects(), cluster.files()
    node.kubectl("apply", "--kustomize", str(DAEMONSET))
    unwanted = wait_for(lambda: _observed(cluster), what="the DaemonSet controller")
    node.kubectl("label", "node", place.NODE, _GPU_LABEL)
    _await_rollout(cluster, "--namespace", HOME, "deployment/nvtopo-aggregator")
    wait_for(lambda: _ready(cluster.pods("agent")), what="the agent", seconds=90)
    worker = cluster.nfd.worker(place.NODE)
    subprocess.run(("mount", "--bind", str(place.FEATURES_D), str(worker.features_d)), check=True)
    with worker:
        labels = wait_for(lambda: _ours(cluster.labels()), what="labels by NFD")
    (agent,), aggregators = cluster.pods("agent"), cluster.pods("aggregator")
    seen = Shipped(
        objects_before=before,
        files_before=files,
        wanted_without_label=unwanted["desiredNumberScheduled"],
        agent=agent,
        aggregators=aggregators,
        processes=processes("agent"),
        topology=wait_for(cluster.topology, what="the NodeTopology"),
        columns=node.kubectl("get", "ntopo"),
        labels=labels,
        feature_file=(place.FEATURES_D / "nvtopo").read_text(),
        metrics=fetch(f"{_METRICS}/metrics"),
        graph=json.loads(
            fetch(
                f"http://{aggregators[0]['status']['podIP']}:8080/v1/graph",
                node.kubectl("create", "token", "reader", "--audience", "nvtopo"),
            )
        ),
        log=node.kubectl("logs", *_AGENT),
        inside=json.loads(node.kubectl("exec", *_AGENT, "--", "nvtopo", "dump", "--format", "json")),
        outside=_dump(),
        netdevs_inside=sorted(node.kubectl("exec", *_AGENT, "--", "ls", "/sys/class/net").split()),
        netdevs_outside=sorted(path.name for path in Path("/sys/class/net").iterdir()),
        writable=node.kubectl("exec", *_AGENT, "--", "sh", "-c", _FIND_WRITABLE).splitlines(),
        probes=wait_for(lambda: _probes(cluster), what="a liveness probe of the agent", seconds=60),
    )
    _await_rollout(cluster, *_AGENT)
    return seen


def roll(cluster: Cluster, shipped: Shipped) -> Rolled:
    """Apply the overlay; watch the old pod go and the new one come.

    A finalizer keeps the old pod's object until its end has been seen: the kubelet deletes it at once.
    """
    place.RECORDED.mkdir(parents=True)
    sysfs_text.unpack((place.MACHINE / "sys.txt").read_text(encoding="utf-8"), place.RECORDED)
    uid, name = shipped.agent["metadata"]["uid"], shipped.agent["metadata"]["name"]
    _finalizers(cluster, name, ["nvtopo.io/seen"])
    cluster.node.kubectl("apply", "--kustomize", str(OVERLAY))
    old, at_once, began, ended = shipped.agent, 1, 0.0, 0.0
    while True:
        pods = cluster.pods("agent")
        at_once = max(at_once, sum(_running(pod) for pod in pods))
        mine = [pod for pod in pods if pod["metadata"]["uid"] == uid]
        old = mine[0] if mine else old
        if not began and (not mine or "deletionTimestamp" in mine[0]["metadata"]):
            began = time.monotonic()
        if not ended and (not mine or not _running(mine[0])):
            ended = time.monotonic()
            _finalizers(cluster, name, [])
        if not mine:
            break
        time.sleep(0.05)
    (agent,) = wait_for(lambda: _ready(cluster.pods("agent")), what="the new agent", seconds=60)
    rotation = _rotate(cluster, agent)
    _await_rollout(cluster, *_AGENT)
    (agent,) = cluster.pods("agent")
    with cluster.nfd.worker(place.NODE):
        wait_for(lambda: _ours(cluster.labels()).get("nvtopo.io/gpu.count") == "8", what="labels of the GPUs")
    container = agent["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    return Rolled(
        old=old,
        seconds=ended - began,
        at_once=at_once,
        agent=agent,
        topology=cluster.api.get(topology_path(place.NODE)),
        columns=cluster.node.kubectl("get", "ntopo"),
        labels=_ours(cluster.labels()),
        metrics=fetch(f"{_METRICS}/metrics"),
        node_feature=cluster.api.get(
            f"/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{HOME}/nodefeatures/nvtopo-{place.NODE}"
        ),
        container=json.loads(cluster.node.ctr("containers", "info", container)),
        usage=wait_for(lambda: _usage(cluster, agent), what="the kubelet's figures of the agent"),
        rotation=rotation,
    )


def _finalizers(cluster: Cluster, pod: str, names: list[str]) -> None:
    patch = json.dumps({"metadata": {"finalizers": names}})
    cluster.node.kubectl("patch", "pod", pod, "--namespace", HOME, "--type", "merge", "--patch", patch)


def walk(cluster: Cluster, component: str) -> tuple[Step, Step]:
    """The component, and without it again; NFD looks all the while."""
    with cluster.nfd.worker(place.NODE):
        wait_for(lambda: _ours(cluster.labels()), what="labels by NFD")
        return _step(cluster, component, OVERLAY.parent / "walk" / component), _step(cluster, "", OVERLAY)


def _step(cluster: Cluster, component: str, folder: Path) -> Step:
    (old,) = cluster.pods("agent")
    cluster.node.kubectl("apply", "--kustomize", str(folder))
    wait_for(lambda: _other_ready(cluster, old), what="the next agent", seconds=120)
    file = place.FEATURES_D / "nvtopo"
    before = file.stat()
    # It lives for 60 s and is written anew after half of that at the latest.
    wait_for(lambda: file.stat().st_ino != before.st_ino, what="the feature file to be renewed", seconds=90)
    return Step(component, file.stat().st_uid, _ours(cluster.labels()), cluster.node.kubectl("logs", *_AGENT))


def _other_ready(cluster: Cluster, old: Json) -> bool:
    ready = _ready(cluster.pods("agent"))
    return ready is not None and ready[0]["metadata"]["uid"] != old["metadata"]["uid"]


def take_away(cluster: Cluster) -> Gone:
    """Delete what was applied, and wait for labels to expire."""
    cluster.node.kubectl("delete", "--kustomize", str(OVERLAY), "--timeout=120s")
    began = time.monotonic()
    objects, left = cluster.objects(), processes("agent") + processes("aggregator")
    with cluster.nfd.worker(place.NODE):
        wait_for(lambda: not _ours(cluster.labels()), what="labels to expire", seconds=120, interval=0.5)
    return Gone(
        objects=objects,
        files=cluster.files(),
        processes=left,
        labels=_ours(cluster.labels()),
        feature_file=(place.FEATURES_D / "nvtopo").read_text(),
        expired_after=time.monotonic() - began,
    )


def _observed(cluster: Cluster) -> Json | None:
    daemonset = cluster.api.get(f"/apis/apps/v1/namespaces/{HOME}/daemonsets/nvtopo-agent")
    status: Json = daemonset.get("status", {})
    return status if status.get("observedGeneration") == daemonset["metadata"]["generation"] else None


def _ours(labels: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if "nvtopo" in name or "gpu.nvlink" in name}


def _running(pod: Json) -> bool:
    return any("running" in status["state"] for status in pod["status"].get("containerStatuses", ()))


def _dump() -> Any:
    """By nvtopo as it is in this folder."""
    argv = (sys.executable, "-m", "nvtopo", "dump", "--format", "json")
    environment = {"PATH": os.environ["PATH"], "NODE_NAME": place.NODE}
    return json.loads(subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout)


def _usage(cluster: Cluster, agent: Json) -> dict[str, Any] | None:
    """Once the kubelet has looked twice, so that it knows a rate."""
    for pod in stats(cluster.api)["pods"]:
        if pod["podRef"]["uid"] == agent["metadata"]["uid"]:
            for container in pod.get("containers", ()):
                if "usageNanoCores" in container.get("cpu", {}) and container.get("memory", {}).get("workingSetBytes"):
                    found: dict[str, Any] = container
                    return found
    return None


def _ready(pods: list[Json]) -> list[Json] | None:
    return pods if len(pods) == 1 and condition(pods[0], "Ready") else None


def _probes(cluster: Cluster) -> str | None:
    text: str = cluster.api.request("GET", f"/api/v1/nodes/{place.NODE}/proxy/metrics/probes")
    seen = re.search(r'prober_probe_total{container="agent",.*probe_type="Liveness"', text)
    return text if seen else None


def _await_rollout(cluster: Cluster, *what: str) -> None:
    try:
        cluster.node.kubectl("rollout", "status", "--timeout=120s", *what)
    except LabError as error:
        pods = cluster.node.kubectl("describe", "pods", "--namespace", HOME)
        raise LabError(f"{error}\n{pods}") from None


def _rotate(cluster: Cluster, agent: Json) -> Rotation:
    """A kubelet that starts anew asks for new tokens; the agent's next write must bear one."""
    file = _token(agent)
    before, old = cluster.credentials(), file.read_text()
    cluster.node.start_kubelet()
    new = wait_for(lambda: _other(file, old), what="a new token", seconds=150)
    began = time.monotonic()
    identity = f"JTI={_claims(new)['jti']}"
    mtu = next(place.RECORDED.glob("sys/devices/**/net/*/mtu"))
    wait_for(
        lambda: _poked(mtu) and identity in cluster.credentials(),
        what="the new token at the API server",
        seconds=120,
        interval=3,
    )
    pod = cluster.api.get(f"/api/v1/namespaces/{HOME}/pods/{agent['metadata']['name']}")
    return Rotation(
        before=before,
        new=identity,
        after=cluster.credentials()[len(before) :],
        seconds=time.monotonic() - began,
        restarts=pod["status"]["containerStatuses"][0]["restartCount"],
    )


def _other(file: Path, old: str) -> str | None:
    text = file.read_text()
    return text if text != old else None


def _poked(mtu: Path) -> bool:
    """The machine changes, and an event of the node's network says so."""
    mtu.write_text("1500\n" if mtu.read_text() == "9000\n" else "9000\n")
    for verb in ("add", "delete"):
        subprocess.run(("ip", "link", verb, "poke", "type", "bridge"), check=True)
    return True


def _token(agent: Json) -> Path:
    uid: str = agent["metadata"]["uid"]
    volumes = Path("/var/lib/kubelet/pods") / uid / "volumes"
    return volumes / "kubernetes.io~projected" / "token" / "token"


def _claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims
