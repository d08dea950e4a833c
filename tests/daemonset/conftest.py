"""A control plane of this folder's own: the policy in it would refuse the tokens without a pod that other tests use."""

from collections.abc import Iterator

import pytest

from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.process import LabError


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.lab.fixtures")


@pytest.fixture(scope="session")
def own_plane(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    try:
        with ControlPlane(lab_binaries, tmp_path_factory.mktemp("daemonset")) as plane:
            yield plane
    except LabError as error:
        pytest.fail(str(error), pytrace=False)
