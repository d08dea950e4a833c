from collections.abc import Iterator

import pytest

from nvtopo.kube.client import Client
from nvtopo.kube.connection import Connection
from tests.kube.fake_api_server import FakeApiServer


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.lab.fixtures")


@pytest.fixture
def api_server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as server:
        yield server


@pytest.fixture
def client(api_server: FakeApiServer) -> Iterator[Client]:
    with Client(Connection(host=api_server.url)) as client:
        yield client
