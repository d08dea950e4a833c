"""Kubeconfigs, plugins and a pod's account → a connection; and a connection → requests."""

import base64
import re
import ssl
import stat
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from nvtopo.errors import ApiError, ReadError
from nvtopo.kube import client as client_module
from nvtopo.kube import connection_worker, session
from nvtopo.kube.client import Client
from nvtopo.kube.connection import Connection, Pem
from nvtopo.kube.v1alpha1 import COLLECTION
from tests.certificates import AUTHORITY
from tests.kube.fake_api_server import FakeApiServer

Json = dict[str, Any]

PLUGIN = """#!{python}
import json, os
assert json.loads(os.environ["KUBERNETES_EXEC_INFO"])["kind"] == "ExecCredential"
status = {{"token": "of " + os.environ["WHO"], "expirationTimestamp": "2026-01-02T03:04:05Z"}}
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}}))
"""
REFUSING = "#!/bin/sh\necho 'log in first' >&2\nexit 3\n"


@pytest.fixture(autouse=True)
def _outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pod, no proxy."""
    for name in ("KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def kubeconfig(directory: Path, user: Json, cluster: Json) -> str:
    """Of two contexts: ``here``, with that user and cluster, and ``other``."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "here", "user": "me"}},
            {"name": "other", "context": {"cluster": "other", "user": "me"}},
        ],
        "clusters": [
            {"name": "here", "cluster": cluster},
            {"name": "other", "cluster": {"server": "https://other:6443"}},
        ],
        "users": [{"name": "me", "user": user}],
    }
    file = directory / "config"
    file.write_text(yaml.safe_dump(document))
    return str(file)


def plugin(directory: Path, text: str) -> Json:
    file = directory / "plugin"
    file.write_text(text.format(python=sys.executable))
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(file),
            "env": [{"name": "WHO", "value": "me"}],
            "interactiveMode": "IfAvailable",
        }
    }


def connection(file: str | None, context: str | None = None) -> Connection:
    found = connection_worker.resolved(file, context)
    assert found.connection is not None, found.problem
    return found.connection


def test_a_context_is_chosen(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, {"token": "secret"}, {"server": "https://here:6443"})
    assert connection(file) == Connection(host="https://here:6443", authorization="Bearer secret")
    assert connection(file, "other").host == "https://other:6443"


@pytest.mark.slow
def test_a_plugin_gives_the_token_and_says_how_long_it_lasts(tmp_path: Path) -> None:
    found = connection(kubeconfig(tmp_path, plugin(tmp_path, PLUGIN), {"server": "https://here:6443"}))
    assert (found.authorization, found.expires_at) == ("Bearer of me", 1767323045.0)


@pytest.mark.slow
def test_why_a_plugin_gave_nothing_is_said(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, plugin(tmp_path, REFUSING), {"server": "https://here:6443"})
    with pytest.raises(ReadError, match=r"^\S+/config: exec: process returned 3. log in first$"):
        client_module.connect(file)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("text", "/config: expected a kubeconfig, got other YAML"),
        ("- a", "/config: expected a kubeconfig, got other YAML"),
        (None, "/config: expected a kubeconfig, found none"),
    ],
)
def test_what_is_no_kubeconfig_is_said_in_words(content: str | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config").write_text(content)
    with pytest.raises(ReadError, match=f"{re.escape(says)}$"):
        client_module.connect(str(tmp_path / "config"))


def test_without_an_option_the_place_that_was_looked_at_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(ReadError, match=r"at \S+/nowhere, found none; --kubeconfig FILE or \$KUBECONFIG names one$"):
        client_module.connect(None)


def test_a_file_is_read_for_each_connection_and_text_is_kept(tmp_path: Path) -> None:
    text = base64.b64encode(b"a key").decode()
    (tmp_path / "ca.crt").write_text("an authority")
    user = {"client-certificate": "me.crt", "client-key-data": text}
    (tmp_path / "me.crt").write_text("a certificate")
    cluster = {"server": "https://here:6443", "certificate-authority": "ca.crt", "tls-server-name": "api"}
    before = set(Path(tempfile.gettempdir()).iterdir())
    found = connection(kubeconfig(tmp_path, user, cluster))
    assert found.authority == Pem(path=str(tmp_path / "ca.crt"))
    assert found.certificate == Pem(path=str(tmp_path / "me.crt"))
    assert found.key == Pem(text="a key")
    assert found.server_name == "api"
    assert not {path for path in set(Path(tempfile.gettempdir()).iterdir()) - before if "kubeconfig" in path.name}


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, "http://of-the-file:3128"),
        ({"NO_PROXY": "here"}, ""),
        ({"NO_PROXY": "elsewhere"}, "http://of-the-file:3128"),
    ],
)
def test_a_proxy_is_used_unless_the_environment_excludes_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], proxy: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cluster = {"server": "https://here:6443", "proxy-url": "http://of-the-file:3128"}
    assert connection(kubeconfig(tmp_path, {"token": "secret"}, cluster)).proxy == proxy


def test_in_a_pod_the_token_stays_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    authority.write_text("an authority")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    for name, file in (("SERVICE_TOKEN_FILENAME", token), ("SERVICE_CERT_FILENAME", authority)):
        monkeypatch.setattr(f"kubernetes.config.incluster_config.{name}", str(file))
    assert connection(None) == Connection(
        host="https://[fd00::1]:443", authority=Pem(path=str(authority)), token_file=str(token)
    )


def test_a_token_that_is_replaced_is_used_at_once(api_server: FakeApiServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    api_server.put("node-a", {})
    with Client(Connection(host=api_server.url, token_file=str(token))) as client:
        with pytest.raises(ApiError, match="no answer"):
            client.get(f"{COLLECTION}/node-a")
        for text in ("first\n", "second"):
            token.write_text(text)
            client.get(f"{COLLECTION}/node-a")
    assert api_server.authorizations == ["Bearer first", "Bearer second"]


def test_credentials_are_asked_for_before_they_expire_and_not_all_the_time() -> None:
    assert Connection(host="").renew_at(1000.0) is None
    assert Connection(host="", expires_at=5000.0).renew_at(1000.0) == 4700.0
    assert Connection(host="", expires_at=1010.0).renew_at(1000.0) == 1030.0


def test_expired_credentials_are_replaced(api_server: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvtopo.kube.connection._LEAST_RENEWAL_SECONDS", 0.0)
    api_server.put("node-a", {})
    old = Connection(host=api_server.url, authorization="old", expires_at=0.0)
    new = Connection(host=api_server.url, authorization="new", expires_at=1e12)
    with Client(old, lambda: new) as client:
        for _ in range(2):
            client.get(f"{COLLECTION}/node-a")
    assert api_server.authorizations == ["new", "new"]


def test_credentials_that_can_not_be_had_are_no_answer(
    api_server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvtopo.kube.connection._LEAST_RENEWAL_SECONDS", 0.0)

    def renewed() -> Connection:
        raise ReadError("config: exec: process returned 3")

    with (
        Client(Connection(host=api_server.url, expires_at=0.0), renewed) as client,
        pytest.raises(ApiError, match=f"^GET {COLLECTION}: no answer: config: exec: process returned 3$") as caught,
    ):
        client.get(COLLECTION)
    assert caught.value.status == 0


@pytest.mark.slow
def test_a_worker_that_ends_without_an_answer_is_a_read_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubernetes.py").write_text("import os; os._exit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with pytest.raises(ReadError, match=r"^Kubernetes configuration: the process that reads it ended with 7$"):
        client_module.connect()


@pytest.mark.slow
def test_a_worker_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvtopo.kube.connection._DEADLINE_SECONDS", 0.2)
    (tmp_path / "kubernetes.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with pytest.raises(ReadError, match=r"^Kubernetes configuration: no credentials within 0.2 s$"):
        client_module.connect()


@pytest.fixture(name="mutual")
def _mutual(api_server: FakeApiServer) -> FakeApiServer:
    """The API server behind TLS, for those alone whom our authority signed; its own certificate is for another name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("api.example").configure_cert(context)
    AUTHORITY.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    api_server.stop()
    api_server.tls = context
    api_server.start()
    return api_server


@pytest.mark.slow
def test_certificates_of_the_kubeconfig_s_own_text(mutual: FakeApiServer, tmp_path: Path) -> None:
    mine = AUTHORITY.issue_cert("me@example")

    def encoded(*blobs: Any) -> str:
        return base64.b64encode(b"".join(blob.bytes() for blob in blobs)).decode()

    cluster = {
        "server": mutual.url,
        "certificate-authority-data": encoded(AUTHORITY.cert_pem),
        "tls-server-name": "api.example",
    }
    user = {
        "client-certificate-data": encoded(*mine.cert_chain_pems),
        "client-key-data": encoded(mine.private_key_pem),
    }
    mutual.put("node-a", {})
    with client_module.connect(kubeconfig(tmp_path, user, cluster)) as client:
        client.get(f"{COLLECTION}/node-a")
    with (
        client_module.connect(kubeconfig(tmp_path, {}, cluster)) as stranger,
        pytest.raises(ApiError, match="no answer"),
    ):
        stranger.get(f"{COLLECTION}/node-a")


def test_the_text_is_gone_once_the_session_is_closed() -> None:
    files = Path("/proc/self/fd")
    before = len(list(files.iterdir()))
    opened = session.Session(Connection(host="https://here", key=Pem(text="a key"), authority=Pem(text="authority")))
    assert len(list(files.iterdir())) == before + 2
    opened.close()
    assert len(list(files.iterdir())) == before


def test_threads_that_find_credentials_expired_ask_once(
    api_server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvtopo.kube.connection._LEAST_RENEWAL_SECONDS", 0.0)
    api_server.put("node-a", {})
    asked = []

    def renewed() -> Connection:
        asked.append(threading.current_thread())
        return Connection(host=api_server.url, expires_at=1e12)

    with Client(Connection(host=api_server.url, expires_at=0.0), renewed) as client:
        threads = [threading.Thread(target=client.get, args=(f"{COLLECTION}/node-a",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(asked) == 1
