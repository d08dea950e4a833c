"""The nouns of the project name one thing each: a class or an alias of that name is in one module at most."""

import ast
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).resolve().parents[1] / "nvtopo"
NOUNS: Final = (
    *("Place", "Part", "Page", "Watch", "Server", "Answer", "Session", "Source"),
    *("Change", "Finding", "Check", "Expectation", "Observation", "Health", "NodeHealth", "Derived", "Snapshot"),
    *("NodeTopology", "NodeEvent", "Response", "Applier", "Leadership", "Wakeup"),
)


def _defined(path: Path) -> set[str]:
    found = set()
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.ClassDef):
            found.add(statement.name)
        targets = statement.targets if isinstance(statement, ast.Assign) else ()
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.fixture(scope="module")
def modules() -> dict[str, set[str]]:
    return {str(path.relative_to(PACKAGE)): _defined(path) for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.slow
def test_each_noun_is_one_thing(modules: dict[str, set[str]]) -> None:
    where = {noun: [path for path, names in modules.items() if noun in names] for noun in NOUNS}
    assert {noun: paths for noun, paths in where.items() if len(paths) > 1} == {}
