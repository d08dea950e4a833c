"""What a test says to the API server, over plain HTTPS, and the few objects most tests need.

Deliberately not nvtopo's own client: a test that reads through the code it tests proves little.
"""

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Final, TypeVar

from tests import yaml_text

Json = dict[str, Any]
T = TypeVar("T")
#: Answers with something true once what is waited for has come.
Probe = Callable[[], T]

_PATCH_TYPES: Final = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}


class ApiError(Exception):
    """The API server refused; `status` is HTTP's, `reason` Kubernetes' word for it."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {}
        self.status = status
        self.reason: str = answer.get("reason", "")
        super().__init__(f"{method} {path}: {status} {self.reason}: {answer.get('message', body)}")


class Api:
    """The API server as one caller sees it. Paths are the API's own, such as `/api/v1/nodes/a`."""

    def __init__(self, server: str, ca_file: Path, token: str) -> None:
        self._server = server
        self._token = token
        self._open = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # loopback needs no proxy, whatever the environment says
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)),
        ).open

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Any:
        """The answer's JSON, or its text where it is none."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type, "Accept": accept}
        status, text = self._send(method, path, data, headers)
        if status >= 400:
            raise ApiError(method, path, status, text)
        return json.loads(text) if text.startswith(("{", "[")) else text

    def _send(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> tuple[int, str]:
        """The status and the text of the answer."""
        request = urllib.request.Request(self._server + path, data, dict(headers), method=method)  # noqa: S310 - https
        try:
            with self._open(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(errors="replace")

    def get(self, path: str) -> Json:
        answer: Json = self.request("GET", path)
        return answer

    def table(self, path: str) -> list[dict[str, Any]]:
        """Rows of what ``kubectl get -o wide`` prints, cell by column: it is the API server that makes the table."""
        table = self.request("GET", path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        names = [column["name"] for column in table["columnDefinitions"]]
        return [dict(zip(names, row["cells"], strict=True)) for row in table["rows"]]

    def find(self, path: str) -> Json | None:
        """The object, or None where there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, document: Json) -> Json:
        answer: Json = self.request("POST", path, document)
        return answer

    def patch(self, path: str, change: Any, *, kind: str = "merge") -> Json:
        """`kind` is merge (a mapping) or json (a list of operations)."""
        answer: Json = self.request("PATCH", path, change, content_type=_PATCH_TYPES[kind])
        return answer

    def delete(self, path: str) -> None:
        """At once: no kubelet of the lab would confirm a graceful end. An absent object is fine."""
        try:
            self.request("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != 404:
                raise

    def apply(self, document: Json, *, manager: str = "lab") -> Json:
        """Server-side apply of any object, its path found by discovery."""
        answer: Json = self.request(
            "PATCH",
            f"{self.path_of(document)}?fieldManager={manager}&force=true",
            document,
            content_type=_PATCH_TYPES["apply"],
        )
        return answer

    def apply_file(self, file: Path) -> list[Json]:
        """Applies each document of a YAML file, and waits until the API server serves its CRDs."""
        applied = [self.apply(document) for document in yaml_text.read_all(file.read_text()) if document]
        for document in applied:
            if document["kind"] == "CustomResourceDefinition":
                self._await_established(self.path_of(document))
        return applied

    def _await_established(self, path: str) -> None:
        wait_for(lambda: condition(self.get(path), "Established"), what=f"{path} established")

    def path_of(self, document: Json) -> str:
        """Where the object lives; without a namespace of its own it is in `default`."""
        version, kind, metadata = document["apiVersion"], document["kind"], document["metadata"]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        for resource in self.get(group)["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                place = f"/namespaces/{metadata.get('namespace', 'default')}" if resource["namespaced"] else ""
                return f"{group}{place}/{resource['name']}/{metadata['name']}"
        raise LookupError(f"{kind}: the API server does not serve it in {version}")


class KeptApi(Api):
    """Over one connection, for one thread that asks thousands of things."""

    def __init__(self, server: str, ca_file: Path, token: str) -> None:
        super().__init__(server, ca_file, token)
        context = ssl.create_default_context(cafile=ca_file)
        self._connection = HTTPSConnection(server.removeprefix("https://"), timeout=30, context=context)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _send(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> tuple[int, str]:
        self._connection.request(method, path, data, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode()


def wait_for(probe: Probe[T | None], *, what: str, seconds: float = 90, interval: float = 0.1) -> T:
    """The probe's first true answer; TimeoutError, naming `what`, where none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s, last seen {answer!r}")
        time.sleep(interval)


def condition(document: Json, kind: str) -> bool:
    """Is the condition of that type True?"""
    conditions = document.get("status", {}).get("conditions") or []
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)


def create_namespace(api: Api, name: str) -> str:
    """A namespace in which pods can be made: that takes the default service account."""
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    wait_for(
        lambda: api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"),
        what=f"service account default of namespace {name}",
    )
    return name


def create_node(
    api: Api,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    allocatable: Mapping[str, str] | None = None,
) -> Json:
    """A Node that the scheduler takes at once: Ready, with room, and without the taint of a new node."""
    room = {"cpu": "8", "memory": "64Gi", "pods": "110", **(allocatable or {})}
    document = {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Lab"}],
        },
    }
    api.create("/api/v1/nodes", document)
    return api.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})


def create_pod(api: Api, namespace: str, name: str, *, requests: Mapping[str, str] | None = None, **spec: Any) -> Json:
    """A pod of one container that nothing will ever run; `spec` adds to its spec, in the API's words."""
    resources = {"requests": requests or {}, "limits": requests or {}}
    containers = [{"name": "main", "image": "none", "resources": resources}]
    return api.create(
        f"/api/v1/namespaces/{namespace}/pods",
        {"metadata": {"name": name}, "spec": {"containers": containers, **spec}},
    )
