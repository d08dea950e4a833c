"""A lab of these tests' own: its nfd-master taints nodes, which the one that other tests share must not do."""

from collections.abc import Iterator

import pytest

from tests.lab import nfd
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.nfd import NfdMaster


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.lab.fixtures")


@pytest.fixture(scope="package")
def own_plane(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of which only these tests know."""
    with ControlPlane(lab_binaries, tmp_path_factory.mktemp("nfd-plane")) as plane:
        yield plane


@pytest.fixture(scope="package")
def tainting_master(
    lab_binaries: Binaries, own_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NfdMaster]:
    """nfd-master with ``enableTaints``, which is what ``-enable-taints`` sets."""
    nfd.require_mount_namespaces()
    directory = tmp_path_factory.mktemp("nfd-tainting")
    (directory / "nfd-master.conf").write_text("enableTaints: true\n", encoding="utf-8")
    with NfdMaster(lab_binaries, own_plane, directory) as master:
        yield master
