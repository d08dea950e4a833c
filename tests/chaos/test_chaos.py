"""Three faults of the table that take a second each; `make chaos` runs all of them, and those of a whole cluster."""

from collections.abc import Iterator

import pytest

from tests.chaos import runner
from tests.chaos.faults import FAULTS
from tests.chaos.scene import Scene, scene

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("chaos")) as made:
        yield made


@pytest.mark.parametrize("name", ["nic-removed", "links-down", "node-relabelled"])
def test_a_fault_is_seen_and_placed_by_and_all_is_well_after_it(both: Scene, name: str) -> None:
    assert runner.run(both, FAULTS[name]).wrong == ()
