"""Three leaders are killed while nodes change. `python -m tests.replicas` kills fifty during ten thousand changes."""

from pathlib import Path

import pytest

from tests.lab.control_plane import ControlPlane
from tests.replicas import killing
from tests.replicas.killing import Plan


@pytest.mark.lab
@pytest.mark.timeout(900)
def test_nothing_is_lost_or_doubled_while_leaders_are_killed(own_plane: ControlPlane, tmp_path: Path) -> None:
    found = killing.run(own_plane, tmp_path, Plan(kills=3, changes=300, racks=1, pause=2.0))
    assert found.wrong == []
    assert found.written_by_the_last == 0
    assert (found.kills, found.changes) == (3, 300)
    assert found.answers > 100
