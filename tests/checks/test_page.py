"""docs/checks.md is what the code declares, and every check is declared once."""

from collections import Counter
from pathlib import Path
from typing import Final

from nvtopo.checks import capacity, cluster, table
from nvtopo.findings import of_health
from tests import golden
from tests.checks.page import document

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "checks.md"


def test_the_table_is_what_the_code_declares() -> None:
    golden.check(document(), DOCS)


def test_every_id_is_one_check_s() -> None:
    ids = [*of_health.codes(), *(one.check.id for one in table.CHECKS), *(one.check.id for one in cluster.CHECKS)]
    ids.append(capacity.CHECK.id)
    assert [name for name, count in Counter(ids).items() if count > 1] == []
