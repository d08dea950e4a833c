from collections.abc import Iterator
from typing import Any

import pytest

from nvtopo.kube.client import Client
from tests.kube.fake_api_server import FakeApiServer


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.lab.fixtures")


@pytest.fixture
def api_server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as server:
        yield server


@pytest.fixture
def client(api_server: FakeApiServer) -> Iterator[Client]:
    from kubernetes.client import Configuration

    configuration: Any = Configuration()
    configuration.host = api_server.url
    configuration.proxy = None  # loopback needs none, whatever the environment says
    with Client(configuration) as client:
        yield client
