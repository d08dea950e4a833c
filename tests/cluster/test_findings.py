"""The checks of a cluster as a golden file: their ids are a contract."""

from pathlib import Path
from typing import Final, get_args

from nvtopo.cluster.findings import Kind, found
from tests import golden

GOLDEN: Final = Path(__file__).parent / "golden" / "checks.txt"


def test_checks() -> None:
    findings = {kind: found(kind, ("b", "a"), "what was read").finding for kind in get_args(Kind)}
    assert {(one.subject, one.evidence) for one in findings.values()} == {("b, a", "what was read")}
    lines = (
        f"{kind} → {one.id} ({one.severity}, {one.domain})\n  expected: {one.expected}\n  remedy: {one.remedy}\n"
        for kind, one in findings.items()
    )
    golden.check("".join(lines), GOLDEN)
