"""The cases as one test; ``python -m tests.cases`` says more."""

import pytest

from tests.cases.runner import outcomes, there

pytestmark = pytest.mark.slow

#: The legend has no NV#, so that it is as good as `topo -mp`, and its truth file says "no NVLink". Unknown is not none.
DISPUTED = frozenset({"aws-a2-pix.txt"})


@pytest.mark.skipif(not there(), reason="../shared/cases is not there")
def test_other_peoples_machines_are_read_as_they_are() -> None:
    wrong = {
        f"{outcome.kind}/{outcome.name}": outcome.lines
        for outcome in outcomes()
        if outcome.verdict == "wrong" and outcome.name not in DISPUTED
    }
    assert wrong == {}
