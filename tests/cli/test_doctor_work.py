"""What doctor costs grows with the fleet and no faster; ``bench/doctor`` measures the seconds."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from nvtopo.cli import main
from tests.calls import calls
from tests.cli import captured_fleet

pytestmark = pytest.mark.slow

NODES = 20
MOST_CALLS_PER_NODE = 40_000
"""A call takes a tenth of a microsecond: 4 ms of the 10 that a thousand nodes in ten seconds leave each."""


def work(folder: Path) -> int:
    return calls(lambda: CliRunner().invoke(main, ["doctor", "--from", str(folder)], standalone_mode=False))


def test_each_node_more_is_as_much_work_as_the_one_before(tmp_path: Path) -> None:
    folders = [tmp_path / str(times) for times in (1, 2, 3)]
    for times, folder in enumerate(folders, 1):
        folder.mkdir()
        captured_fleet.write(folder, times * NODES)
    work(folders[0])  # what is imported and compiled at the first use
    one, two, three = map(work, folders)
    assert NODES * 100 < three - two < 1.1 * (two - one)
    assert two - one < NODES * MOST_CALLS_PER_NODE
