"""The limits on the size of modules: kept, and shown to bite."""

from pathlib import Path

import pytest

from tests.module_sizes import PACKAGE, too_large


def test_every_module_is_small() -> None:
    assert too_large(PACKAGE) == []


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ((300, 1, 1), []),
        ((301, 1, 1), ["package/m0.py: 301 lines, at most 300; split it by subject"]),
        ((99, 99, 200), []),
        ((1, 100, 100), ["package: the median module has 100 lines, expected under 100"]),
    ],
)
def test_a_large_module_and_many_middling_ones_are_told(
    tmp_path: Path, sizes: tuple[int, ...], says: list[str]
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    for number, lines in enumerate(sizes):
        (package / f"m{number}.py").write_text("pass\n" * lines, encoding="utf-8")
    assert too_large(package) == says
