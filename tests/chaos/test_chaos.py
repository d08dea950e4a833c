"""Three faults of the table that take a second each; `make chaos` runs all of them, and those of a whole cluster."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos import runner
from tests.chaos import scene as scenes
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


@pytest.mark.parametrize(
    "changed",
    [{"begin": lambda _: None}, {"two_pods": {"stale": 1}}, {"end": lambda *_: None}],
    ids=["never-begins", "placed-otherwise", "never-ends"],
)
def test_what_is_not_as_the_table_says_is_no_success(
    both: Scene, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    fault = FAULTS["links-down"]
    monkeypatch.setattr(scenes, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(TimeoutError):
        runner.run(both, fault._replace(**changed))
    fault.end(both, None)
    both.passes()


def test_a_gang_that_goes_elsewhere_than_expected_is_told(both: Scene) -> None:
    (wrong,) = runner.run(both, FAULTS["links-down"]._replace(one_pod=("elsewhere",))).wrong
    assert "elsewhere" in wrong
