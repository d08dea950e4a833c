import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nvtopo.errors import ApiError, Conflict, Forbidden, Gone, NotFound, ReadError, UsageError
from nvtopo.kube import client as client_module
from nvtopo.kube.client import Client
from nvtopo.kube.refusal import Throttled
from nvtopo.kube.v1alpha1 import COLLECTION
from tests.kube.fake_api_server import FakeApiServer

STATUS = {"kind": "Status", "reason": "Forbidden", "message": "nodes is forbidden:\n" + "x" * 1000, "code": 403}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (422, ApiError),
        (500, ApiError),
    ],
)
def test_each_refusal_has_its_exception(
    client: Client, api_server: FakeApiServer, status: int, kind: type[ApiError]
) -> None:
    api_server.refuse("other", status)
    with pytest.raises(ApiError) as caught:
        client.get(f"{COLLECTION}/node-a")
    assert type(caught.value) is kind
    assert caught.value.status == status


def test_a_refusal_is_one_short_line(client: Client, api_server: FakeApiServer) -> None:
    api_server.refuse("other", 403, body=json.dumps(STATUS).encode())
    with pytest.raises(Forbidden, match=f"^GET {COLLECTION}/node-a: 403 Forbidden: nodes is forbidden: x+$") as caught:
        client.get(f"{COLLECTION}/node-a")
    assert str(caught.value).count("x") < 200


def test_what_a_proxy_says_is_not_repeated(client: Client, api_server: FakeApiServer) -> None:
    api_server.refuse("other", 502, body=b"<html>secret</html>")
    with pytest.raises(ApiError, match=f"^GET {COLLECTION}/node-a: 502$"):
        client.get(f"{COLLECTION}/node-a")


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [(429, "3", 3), (503, "2", 2), (429, "", 1), (429, "Fri, 31 Dec 2027 23:59:59 GMT", 1), (429, "86400", 120)],
)
def test_retry_after_is_read(
    client: Client, api_server: FakeApiServer, status: int, header: str, seconds: float
) -> None:
    api_server.refuse("other", status, headers={"Retry-After": header})
    with pytest.raises(Throttled) as caught:
        client.get(f"{COLLECTION}/node-a")
    assert caught.value.retry_after == seconds
    assert api_server.requests == ["other"], "the client must not retry by itself"


def test_no_answer_is_an_error_without_status(client: Client, api_server: FakeApiServer) -> None:
    api_server.stop()
    with pytest.raises(ApiError, match=f"^GET {COLLECTION}: no answer: ") as caught:
        client.get(COLLECTION)
    assert caught.value.status == 0


def test_deleting_what_is_not_there_says_so(client: Client, api_server: FakeApiServer) -> None:
    api_server.put("node-a", {})
    client.delete(f"{COLLECTION}/node-a")
    with pytest.raises(NotFound):
        client.delete(f"{COLLECTION}/node-a")


@pytest.mark.slow
def test_a_kubeconfig_names_server_and_token(api_server: FakeApiServer, tmp_path: Path) -> None:
    api_server.put("node-a", {})
    with client_module.connect(_kubeconfig(tmp_path, api_server.url)) as client:
        client.get(f"{COLLECTION}/node-a")
    assert api_server.authorizations == ["Bearer secret"]


@pytest.mark.slow
def test_the_token_does_not_show(api_server: FakeApiServer, tmp_path: Path) -> None:
    api_server.stop()
    with (
        client_module.connect(_kubeconfig(tmp_path, api_server.url)) as client,
        pytest.raises(ApiError) as caught,
    ):
        client.get(COLLECTION)
    assert "secret" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "{", "a: b", "\x00"])
def test_a_kubeconfig_that_is_none_is_a_read_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(ReadError, match="config"):
        client_module.connect(file)


@pytest.mark.slow
def test_a_missing_kubeconfig_is_a_read_error(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="nowhere"):
        client_module.connect(tmp_path / "nowhere")


@pytest.mark.slow
def test_without_the_package_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubernetes.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with pytest.raises(UsageError, match=r"-m pip install 'kubernetes>=30' 'h2>=4.1' 'urllib3>=2.3'$"):
        client_module.connect()


@pytest.mark.slow
def test_importing_the_edge_does_not_import_the_package() -> None:
    modules = "nvtopo.kube.store, nvtopo.sinks.publish.resource"
    code = f"import sys, {modules}; print({{'kubernetes', 'urllib3'}} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.slow
def test_connecting_does_not_import_the_package_either(tmp_path: Path) -> None:
    code = f"""
import sys
from nvtopo.kube.client import connect
connect({str(_kubeconfig(tmp_path, "https://here:6443"))!r})
print({{"kubernetes", "yaml", "requests"}} & set(sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def _kubeconfig(directory: Path, server: str) -> Path:
    file = directory / "config"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
    }
    file.write_text(yaml.safe_dump(document))
    return file
