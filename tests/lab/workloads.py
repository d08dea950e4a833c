"""JobSet and LeaderWorkerSet: their real controllers, for the pods of one namespace.

Their webhooks are asked by the API server on loopback, and see that namespace alone.
"""

import base64
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trustme

from tests import yaml_text
from tests.lab import kube
from tests.lab.build import JOBSET, LEADER_WORKER_SET, WORKLOADS, Binaries, Family
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child, Service, await_ready, free_port

_LOOPBACK: Final = "127.0.0.1"
_VERSIONS: Final = {
    JOBSET.name: "config.jobset.x-k8s.io/v1alpha1",
    LEADER_WORKER_SET.name: "config.lws.x-k8s.io/v1alpha1",
}


class Workloads(Service):
    """Runs both controllers while entered."""

    def __init__(self, binaries: Binaries, plane: ControlPlane, directory: Path, namespace: str) -> None:
        self._binaries, self._plane, self._directory, self._namespace = binaries, plane, directory, namespace
        self._api = plane.api()
        self._authority = trustme.CA()
        self._children: list[Child] = []
        self._made: list[str] = []

    @property
    def children(self) -> Sequence[Child]:
        """What runs."""
        return self._children

    def _start(self) -> None:
        for family in WORKLOADS:
            self._start_one(family)
        place = f"namespaces/{self._namespace}"
        for path, kind in (
            (f"/apis/jobset.x-k8s.io/v1alpha2/{place}/jobsets", "JobSet"),
            (f"/apis/leaderworkerset.x-k8s.io/v1/{place}/leaderworkersets", "LeaderWorkerSet"),
        ):
            await_ready(partial(self._takes, path, kind), self._children, what=kind)

    def _start_one(self, family: Family) -> None:
        crd, webhooks = self._binaries.files[family.name]
        self._made += [self._api.path_of(one) for one in self._api.apply_file(crd)]
        directory = self._directory / family.name
        directory.mkdir()
        issued = self._authority.issue_cert(_LOOPBACK)
        issued.private_key_pem.write_to_path(directory / "tls.key")
        issued.cert_chain_pems[0].write_to_path(directory / "tls.crt")
        port = free_port()
        config = {
            "apiVersion": _VERSIONS[family.name],
            "kind": "Configuration",
            "webhook": {"host": _LOOPBACK, "port": port, "certDir": str(directory)},
            "leaderElection": {"leaderElect": False},
            "internalCertManagement": {"enable": False},
        }
        (directory / "config.yaml").write_text(json.dumps(config))
        (program,) = family.programs
        given = (
            f"--config={directory / 'config.yaml'}",
            f"--kubeconfig={self._plane.admin_kubeconfig}",
            "--metrics-bind-address=0",
            "--health-probe-bind-address=0",
            "--leader-elect=false",
        )
        log = self._directory / f"{family.name}.log"
        self._children.append(Child(program, (str(self._binaries.programs[program]), *given), log=log))
        for document in yaml_text.read_all(webhooks.read_text()):
            self._ask(family, port, document)

    def _ask(self, family: Family, port: int, document: kube.Json) -> None:
        """Have the API server ask the controller, as the manifest says but at its address and of one namespace."""
        document["metadata"]["name"] = f"lab-{family.name}"
        for webhook in document["webhooks"]:
            path = webhook["clientConfig"].pop("service")["path"]
            bundle = base64.b64encode(self._authority.cert_pem.bytes()).decode()
            webhook["clientConfig"] = {"url": f"https://{_LOOPBACK}:{port}{path}", "caBundle": bundle}
            webhook["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": self._namespace}}
        self._made.append(self._api.path_of(self._api.apply(document)))

    def _takes(self, path: str, kind: str) -> bool:
        """Whether its webhooks answer: one that is none is refused for what it is, and not for want of an answer."""
        spec: kube.Json = {"replicatedJobs": []}
        if kind == "LeaderWorkerSet":
            spec = {"leaderWorkerTemplate": {"workerTemplate": {"spec": {"containers": []}}}}
        version = path.partition("/apis/")[2].partition("/namespaces/")[0]
        document = {"apiVersion": version, "kind": kind, "metadata": {"name": "lab"}, "spec": spec}
        try:
            self._api.create(f"{path}?dryRun=All", document)
        except kube.ApiError as error:
            return "failed calling webhook" not in str(error)
        return True

    def _stop(self) -> None:
        for path in reversed(self._made):
            self._api.delete(path)
        for child in self._children:
            child.stop()
