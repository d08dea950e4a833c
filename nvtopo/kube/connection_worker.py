"""The child process that imports the ``kubernetes`` package: kubeconfig or the pod's account → a ``Connection``.

Its argument is JSON: the descriptor to answer to, the kubeconfig's path and the context, or null.
"""

import importlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from nvtopo.kube.connection import Connection, Pem, Resolved
from nvtopo.wire.documents import Json


def main() -> None:
    """Resolve the connection and write it to the descriptor that the first argument names."""
    descriptor, kubeconfig, context = Json(tuple[int, str | None, str | None], "a question").read(sys.argv[1].encode())
    with open(descriptor, "wb") as answer:  # noqa: PTH123 - it has no path
        answer.write(msgspec.json.encode(resolved(kubeconfig, context)))


def resolved(kubeconfig: str | None, context: str | None) -> Resolved:
    """By that kubeconfig; without one, as the pod's own account, else by ``$KUBECONFIG`` or its default."""
    try:
        import kubernetes.config  # noqa: F401 - whether it is there
    except ImportError:
        return Resolved(package_missing=True)
    # The package logs why a credential plugin failed, and goes on without credentials.
    errors = _Errors(logging.ERROR)
    logging.getLogger().addHandler(errors)
    try:
        in_pod = kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ
        connection = _of_pod() if in_pod else _of_file(kubeconfig, context)
    except Exception as error:  # noqa: BLE001 - it lets through whatever YAML, base64, OpenSSL and its plugins raise
        return Resolved(problem=str(error))
    return Resolved(problem=errors.said[0]) if errors.said else Resolved(connection)


def _of_pod() -> Connection:
    from kubernetes.client import Configuration

    configuration: Any = Configuration()
    incluster_config = _untyped("kubernetes.config.incluster_config")
    incluster_config.load_incluster_config(client_configuration=configuration, try_refresh_token=False)
    found = _connection(configuration, lambda path: Pem(path=path))
    return msgspec.structs.replace(found, authorization="", token_file=incluster_config.SERVICE_TOKEN_FILENAME)


def _of_file(kubeconfig: str | None, context: str | None) -> Connection:
    from kubernetes.client import Configuration

    configuration: Any = Configuration()
    kube_config = _untyped("kubernetes.config.kube_config")
    places = kubeconfig or kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    try:
        files = kube_config.KubeConfigMerger(places)
    except (TypeError, AttributeError) as error:  # what the package raises for YAML that is no mapping
        raise ValueError("expected a kubeconfig, got other YAML") from error
    if files.config is None:
        if kubeconfig:
            raise ValueError("expected a kubeconfig, found none")
        raise ValueError(f"expected a kubeconfig at {places}, found none; --kubeconfig FILE or $KUBECONFIG names one")
    with TemporaryDirectory(prefix="nvtopo-kubeconfig-") as texts:
        loader = kube_config.KubeConfigLoader(
            files.config,
            active_context=context,
            config_base_path=None,  # paths are relative to the file that they stand in
            config_persister=files.save_changes,
            temp_file_path=texts,
        )
        loader.load_and_set(configuration)
        found = _connection(configuration, lambda path: _pem(path, Path(texts)))
    expiry = vars(loader).get("expiry")
    return msgspec.structs.replace(found, expires_at=None if expiry is None else expiry.timestamp())


def _connection(configuration: Any, pem: Callable[[str], Pem]) -> Connection:
    from kubernetes.client.rest import should_bypass_proxies

    direct = should_bypass_proxies(configuration.host, configuration.no_proxy or "")
    return Connection(
        host=configuration.host,
        verify=configuration.verify_ssl,
        authority=pem(configuration.ssl_ca_cert or ""),
        server_name=configuration.tls_server_name or "",
        certificate=pem(configuration.cert_file or ""),
        key=pem(configuration.key_file or ""),
        proxy="" if direct else configuration.proxy or "",
        authorization=configuration.api_key.get("BearerToken", ""),
    )


def _pem(path: str, texts: Path) -> Pem:
    """What the package wrote to a file of its own, since the kubeconfig holds it as text, is taken as text."""
    file = Path(path)
    return Pem(text=file.read_text(encoding="utf-8")) if path and file.parent == texts else Pem(path=path)


def _untyped(name: str) -> Any:
    """A module of the package that has no types, though the package says that it has them."""
    return importlib.import_module(name)


class _Errors(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


if __name__ == "__main__":
    main()
