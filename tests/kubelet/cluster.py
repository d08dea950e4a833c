"""What tests ask the cluster and the node: objects, processes, files."""

import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from nvtopo.kube.v1alpha1 import path as topology_path
from tests.kubelet import place
from tests.kubelet.node import Node
from tests.lab.control_plane import ControlPlane
from tests.lab.kube import Api, ApiError, Json, wait_for
from tests.lab.nfd import NAMESPACE as NFD_NAMESPACE
from tests.lab.nfd import NfdMaster

HOME: Final = "nvtopo"
#: Who wrote what, with which token: that alone, of our own resource.
AUDIT_POLICY: Final = json.dumps(
    {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Metadata", "resources": [{"group": "nvtopo.io", "resources": ["nodetopologies"]}]},
            {"level": "None"},
        ],
    }
)
_CREDENTIAL: Final = "authentication.kubernetes.io/credential-id"
#: What controllers and kubelets keep for themselves, or write as they go.
_FLEETING: Final = {"events", "leases", "componentstatuses", "apiservices"}


class Process(NamedTuple):
    """One process of a container, as the kernel shows it."""

    pid: int
    status: dict[str, str]
    mounts: dict[str, frozenset[str]]
    """Mount point -> its options."""


@dataclass(frozen=True)
class Cluster:
    plane: ControlPlane
    node: Node
    nfd: NfdMaster
    folder: Path
    audit: Path

    @property
    def api(self) -> Api:
        """The API server as the administrator sees it."""
        return self.plane.api()

    def pods(self, component: str) -> list[Json]:
        """Those of the agent or of the aggregator."""
        selector = f"labelSelector=app.kubernetes.io/component={component}"
        found: list[Json] = self.api.get(f"/api/v1/namespaces/{HOME}/pods?{selector}")["items"]
        return found

    def topology(self) -> Json | None:
        """The node's NodeTopology."""
        return self.api.find(topology_path(place.NODE))

    def labels(self) -> dict[str, str]:
        """The node's."""
        found: dict[str, str] = self.api.get(f"/api/v1/nodes/{place.NODE}")["metadata"]["labels"]
        return found

    def objects(self) -> set[str]:
        """All that the API server can list, but for what NFD keeps and what comes and goes by itself."""
        named = (group["preferredVersion"]["groupVersion"] for group in self.api.get("/apis")["groups"])
        return {name for group in ("/api/v1", *(f"/apis/{each}" for each in named)) for name in self._objects(group)}

    def _objects(self, group: str) -> Iterator[str]:
        try:
            resources = [each for each in self.api.get(group)["resources"] if "list" in each["verbs"]]
            for resource in resources:
                if resource["name"] not in _FLEETING:
                    for metadata in self._listed(f"{group}/{resource['name']}"):
                        if metadata.get("namespace") != NFD_NAMESPACE:
                            yield f"{resource['name']} {metadata.get('namespace', '-')}/{metadata['name']}"
        except ApiError as error:  # a resource that goes while it is looked at
            if error.status != 404:
                raise

    def _listed(self, path: str) -> list[Json]:
        """Their metadata, as soon as the API server has got a new resource's storage ready."""

        def items() -> tuple[list[Json]] | None:
            try:
                return ([item["metadata"] for item in self.api.get(path)["items"]],)
            except ApiError as error:
                if error.status == 429:
                    return None
                raise

        return wait_for(items, what=f"the API server to list {path}")[0]

    def credentials(self) -> list[str]:
        """The tokens that agents' requests for NodeTopologies came with, in order."""
        events = map(json.loads, self.audit.read_text().splitlines())
        users = (event["user"] for event in events)
        return [
            user["extra"][_CREDENTIAL][0]
            for user in users
            if user["username"] == f"system:serviceaccount:{HOME}:nvtopo-agent"
        ]

    def files(self) -> set[str]:
        """What was added to or changed in the node's /etc."""
        layer = self.folder / "layers" / "etc"
        return {f"/etc/{path.relative_to(layer)}" for path in layer.rglob("*")}


def fetch(url: str, token: str = "") -> str:
    """A page of a pod or of the node."""
    headers = {"Authorization": f"Bearer {token.strip()}"} if token else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http by construction
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as response:
        text: str = response.read().decode()
    return text


def processes(verb: str) -> list[Process]:
    """The first processes of containers that run `nvtopo VERB`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        words = (folder / "cmdline").read_bytes().split(b"\0")
        if b"/opt/nvtopo/bin/nvtopo" in words and verb.encode() in words:
            found.append(Process(int(folder.name), _status(folder), _mounts(folder)))
    return found


def _status(folder: Path) -> dict[str, str]:
    lines = (folder / "status").read_text().splitlines()
    return dict(re.split(r":\s*", line, maxsplit=1) for line in lines if ":" in line)


def _mounts(folder: Path) -> dict[str, frozenset[str]]:
    lines = [line.split() for line in (folder / "mountinfo").read_text().splitlines()]
    return {words[4]: frozenset(words[5].split(",")) for words in lines}
