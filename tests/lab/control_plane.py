"""A Kubernetes control plane of its own on loopback: etcd, API server, scheduler, controller manager.

    with ControlPlane(binaries, tmp_path) as plane:
        plane.api().get("/version")

All it writes lies in the directory handed in; nothing of it runs once the context has ended.
"""

import shutil
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.lab import credentials, kube
from tests.lab.build import Binaries
from tests.lab.process import Child, Service, await_ready, free_port

_LOOPBACK: Final = "127.0.0.1"
_ISSUER: Final = "https://kubernetes.default.svc"


class ControlPlane(Service):
    """What makes up a cluster without nodes."""

    def __init__(  # noqa: PLR0913 - what it runs, and how, with defaults
        self,
        binaries: Binaries,
        directory: Path,
        *,
        address: str = _LOOPBACK,
        nodes: Sequence[str] = (),
        flags: Sequence[str] = (),
        gates: Sequence[str] = (),
        gates_off: Sequence[str] = (),
    ) -> None:
        """`address` is where the API server listens, elsewhere than on loopback at the service's port; `flags` are
        more of its flags, and `nodes` will have a kubelet. `gates` are feature gates that are on in all programs, and
        `gates_off` those that are off.
        """
        self._binaries = binaries
        self._directory = directory
        self._address = address
        self._flags = flags
        asked = [f"{gate}=true" for gate in gates] + [f"{gate}=false" for gate in gates_off]
        self._gates = (f"--feature-gates={','.join(asked)}",) if asked else ()
        self._kubelets = {name: credentials.User(f"system:node:{name}", ("system:nodes",)) for name in nodes}
        self._admin = credentials.User("lab-admin", ("system:masters",))
        self._scheduler = credentials.User("system:kube-scheduler")
        self._controllers = credentials.User("system:kube-controller-manager")
        self.children: list[Child] = []
        """What runs, in the order of starting."""
        self.server = f"https://{address}:{free_port() if address == _LOOPBACK else 443}"

    @property
    def ca_file(self) -> Path:
        """What the API server's certificate is verified with."""
        return self._directory / "certificates" / "apiserver.crt"

    @property
    def admin_token(self) -> str:
        return self._admin.token

    @property
    def admin_kubeconfig(self) -> Path:
        return self.kubeconfig(self._admin.token)

    def node_kubeconfig(self, name: str) -> Path:
        """That of the node's kubelet."""
        return self.kubeconfig(self._kubelets[name].token)

    def kubeconfig(self, token: str) -> Path:
        """A kubeconfig for any token, such as one of `service_account_token`."""
        return credentials.write_kubeconfig(self._directory, self.server, self.ca_file, token)

    def api(self, token: str | None = None) -> kube.Api:
        """The API server as the holder of that token sees it; the administrator without one."""
        return kube.Api(self.server, self.ca_file, token or self._admin.token)

    def service_account_token(self, namespace: str, name: str, bound_pod: str | None = None) -> str:
        """A token as a pod gets it. Bound to a pod that has a node, it names that node too."""
        spec: kube.Json = {"expirationSeconds": 3600}
        if bound_pod is not None:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": bound_pod}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        token: str = self.api().create(path, {"spec": spec})["status"]["token"]
        return token

    def _start(self) -> None:
        etcd = self._start_etcd()
        self._start_api_server(etcd)
        self._start_scheduler()
        self._start_controller_manager()
        await_ready(
            lambda: self.api().find("/api/v1/namespaces/default/serviceaccounts/default"),
            self.children,
            what="the controllers' first work, the default service account",
        )

    def _start_etcd(self) -> str:
        """Its address. An API server that finds no etcd gives up, so this waits until it answers."""
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._run(
            "etcd",
            f"--data-dir={self._directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )
        await_ready(lambda: _healthy(client), self.children, what="etcd")
        return client

    def _start_api_server(self, etcd: str) -> None:
        key = self._directory / "service-account.key"
        tokens = self._directory / "tokens.csv"
        credentials.write_signing_key(key)
        users = (self._admin, self._scheduler, self._controllers, *self._kubelets.values())
        credentials.write_tokens(tokens, users)
        self._run(
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            f"--bind-address={self._address}",
            f"--secure-port={self.server.rpartition(':')[2]}",
            # Without it the server asks for the machine's default route, and ends where there is none.
            f"--advertise-address={self._address}",
            # A loopback address may not be an endpoint of the service `kubernetes`; no pod asks for it.
            "--endpoint-reconciler-type=none",
            f"--cert-dir={self.ca_file.parent}",
            f"--token-auth-file={tokens}",
            f"--service-account-issuer={_ISSUER}",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            *self._gates,
            *self._flags,
        )
        await_ready(self._answers, self.children, what="kube-apiserver")

    def _start_scheduler(self) -> None:
        self._run(
            "kube-scheduler",
            f"--kubeconfig={self.kubeconfig(self._scheduler.token)}",
            "--leader-elect=false",
            "--secure-port=0",
            *self._gates,
        )

    def _start_controller_manager(self) -> None:
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig(self._controllers.token)}",
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials",
            # At the default rate, 20 a second, the controllers' own accounts alone take 3 s.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            f"--root-ca-file={self.ca_file}",
            # Nodes of the lab have no kubelet that reports: leave them Ready.
            "--node-monitor-grace-period=24h",
            *self._gates,
        )

    def _run(self, program: str, *flags: str) -> None:
        log = self._directory / f"{program}.log"
        self.children.append(Child(program, (str(self._binaries.programs[program]), *flags), log=log))

    def _answers(self) -> bool:
        try:
            return bool(self.api().request("GET", "/readyz") == "ok")
        except (OSError, kube.ApiError):  # no certificate yet, not listening yet, not ready yet
            return False

    def _stop(self) -> None:
        """etcd, which the API server needs to end well, goes when it has gone. The logs stay, the data goes."""
        clients, etcd = self.children[1:], self.children[:1]
        for group in (clients, etcd):
            for child in group:
                child.terminate()
            for child in group:
                child.stop()
        shutil.rmtree(self._directory / "etcd", ignore_errors=True)


def _healthy(etcd: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{etcd}/health", timeout=5) as response:
            return b'"true"' in response.read()
    except OSError:  # not listening yet, or no leader yet
        return False
