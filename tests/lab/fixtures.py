"""The lab as pytest fixtures, one lab for a whole session.

A folder's conftest gets them, the same ones wherever it is asked, with
`config.pluginmanager.import_plugin("tests.lab.fixtures")` in `pytest_configure`.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

import pytest

from tests.lab import build, nfd
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.nfd import NfdMaster
from tests.lab.process import LabError

_BUILT: Final = pytest.StashKey[Binaries | LabError]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds before the first test, where no test's time limit runs and people see the progress."""
    if session.config.option.collectonly:
        return
    asked = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if "lab_binaries" in asked:
        try:
            besides = build.WORKLOADS if "workload_binaries" in asked else ()
            session.config.stash[_BUILT] = build.ensure(build.say, besides=besides)
        except LabError as error:
            session.config.stash[_BUILT] = error


@pytest.fixture(scope="session")
def lab_binaries(request: pytest.FixtureRequest) -> Binaries:
    """The programs of the lab, built where they were missing."""
    built = request.config.stash.get(_BUILT, None) or build.ensure(build.say)
    if isinstance(built, LabError):
        pytest.fail(f"the lab was not built: {built}", pytrace=False)
    return built


@pytest.fixture(scope="session")
def workload_binaries(lab_binaries: Binaries) -> Binaries:
    """The same, with the controllers of JobSet and LeaderWorkerSet."""
    return lab_binaries if build.JOBSET.name in lab_binaries.files else build.ensure(build.say, besides=build.WORKLOADS)


@pytest.fixture(scope="session")
def control_plane(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running control plane. Tests share it: each takes names of its own for its nodes and namespaces."""
    with _plainly(), ControlPlane(lab_binaries, tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture(scope="session")
def nfd_master(
    lab_binaries: Binaries, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NfdMaster]:
    """A running nfd-master; `nfd_master.worker(node)` makes the workers."""
    with _plainly():
        nfd.require_mount_namespaces()
        with NfdMaster(lab_binaries, control_plane, tmp_path_factory.mktemp("nfd")) as master:
            yield master


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """A lab that cannot start is said in its own words, without a traceback through it."""
    try:
        yield
    except LabError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
