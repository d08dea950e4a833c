"""helm and kustomize, built as the lab's programs are; a control plane of this folder's own, into which it installs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.programs import Helm, Kustomize
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.process import LabError


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.lab.fixtures")


@pytest.fixture(scope="session")
def helm(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(lab_binaries.programs["helm"], tmp_path_factory.mktemp("helm"))


@pytest.fixture
def kustomize(lab_binaries: Binaries, tmp_path: Path) -> Kustomize:
    return Kustomize(lab_binaries.programs["kustomize"], tmp_path)


@pytest.fixture(scope="session")
def empty_plane(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Without nodes, so that no pod waits for a kubelet to end it."""
    try:
        with ControlPlane(lab_binaries, tmp_path_factory.mktemp("chart")) as plane:
            yield plane
    except LabError as error:
        pytest.fail(str(error), pytrace=False)
