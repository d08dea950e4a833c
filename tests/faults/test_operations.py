"""docs/operations.md and the tests beside this one: each fault is in both."""

import re
from pathlib import Path
from typing import Final

from tests.metrics_table import AGENT

HERE: Final = Path(__file__).resolve().parent
PAGE: Final = (HERE.parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")


def faults() -> dict[str, list[str]]:
    """Heading of each fault → the tests that its section names."""
    sections = re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]
    return {text.partition("\n")[0]: re.findall(r"`(test_\w+)`", text) for text in sections}


def test_every_fault_has_a_test_and_every_test_a_fault() -> None:
    written = [
        name
        for path in HERE.glob("test_*.py")
        if path != Path(__file__).resolve()
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert [fault for fault, tests in faults().items() if not tests] == []
    assert sorted(name for tests in faults().values() for name in tests) == sorted(written)


def test_what_the_page_names_exists() -> None:
    assert set(re.findall(r"nvtopo_\w+", PAGE)) <= {series.name for series in AGENT}
    source = "".join(path.read_text(encoding="utf-8") for path in (HERE.parents[1] / "nvtopo").rglob("*.py"))
    for message in (
        "cannot read",
        "can read again",
        "sink failed",
        "sink works again",
        "feature file changed by others",
    ):
        assert f"`{message}`" in PAGE
        assert f'"{message}"' in source
    for option in set(re.findall(r"`--([a-z-]+)", PAGE)):
        assert f'"--{option}' in source, option
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (HERE.parents[1] / "docs" / link).exists(), link
