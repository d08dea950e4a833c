"""Every path that docs/architecture.md names is there, and each of a few paths that must be named."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
_TOP: Final = ("daemonset", "docs", "fixtures", "gputest", "monitoring", "nvtopo", "tests")
_QUOTED: Final = re.compile(r"`([A-Za-z_][\w./*{},-]*)`")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")


def expanded(path: str) -> Iterator[str]:
    """``a/{b,c}`` is two paths."""
    braces = _BRACES.search(path)
    if braces is None:
        yield path
        return
    for choice in braces[1].split(","):
        yield from expanded(path[: braces.start()] + choice + path[braces.end() :])


def named() -> list[str]:
    """What the page names that lies in the repository."""
    quoted = (one for found in _QUOTED.findall(PAGE) for one in expanded(found))
    return sorted({one for one in quoted if "/" in one and one.split("/")[0] in _TOP})


@pytest.mark.parametrize("path", named())
def test_what_the_page_names_is_there(path: str) -> None:
    assert list(ROOT.glob(path)), path


def test_modules_are_named_in_full() -> None:
    short = [found for found in _QUOTED.findall(PAGE) if found.endswith(".py") and found.split("/")[0] not in _TOP]
    assert short == []


def test_the_walk_and_the_count_are_there() -> None:
    assert len(named()) > 40
    assert {"nvtopo/sources/nvml/counters_fields.py", "monitoring/rules/alerts.yaml"} <= set(named())


def test_one_new_fact_of_a_link_is_written_in_four_places_at_most() -> None:
    section = PAGE.partition("## One new fact of a link\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert 0 < len(rows) <= 4
