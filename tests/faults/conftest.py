"""A node for each test, and the lab for those that ask for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.node import Node


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.lab.fixtures")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """The recorded machine with a healthy driver."""
    with Node(tmp_path) as machine:
        machine.install_driver()
        machine.driver_is_like()
        yield machine
