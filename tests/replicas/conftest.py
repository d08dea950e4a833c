from collections.abc import Iterator

import pytest

from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.lab.fixtures")


@pytest.fixture
def own_plane(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of which only these tests know."""
    with ControlPlane(lab_binaries, tmp_path_factory.mktemp("replicas")) as plane:
        yield plane
