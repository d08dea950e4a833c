"""A control plane of its own for the whole line: what it counts must be all that there is."""

from collections.abc import Iterator

import pytest

from tests.lab import nfd
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.nfd import NfdMaster


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.lab.fixtures")


@pytest.fixture(scope="module")
def control_plane(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(lab_binaries, tmp_path_factory.mktemp("e2e-plane")) as plane:
        yield plane


@pytest.fixture(scope="module")
def nfd_master(
    lab_binaries: Binaries, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NfdMaster]:
    nfd.require_mount_namespaces()
    with NfdMaster(lab_binaries, control_plane, tmp_path_factory.mktemp("e2e-nfd")) as master:
        yield master
