"""The wrong changes themselves: each is a module that still compiles, and says what it was."""

import ast
from pathlib import Path

import pytest

from tests.mutation.covering import ROOT, Covering
from tests.mutation.mutants import applied, mutants

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("a = b < c", ["a = b <= c"]),
        ("a = b is not c in d", ["a = b is c in d", "a = b is not c not in d"]),
        ("a = b and c", ["a = b or c"]),
        ("a = b // 1", ["a = b * 1", "a = b // 2"]),
        ("a = not b", ["a = b"]),
        ("a = min(b)", ["a = max(b)"]),
        ("a = sorted(b)", ["a = list(b)"]),
        ("a = sorted(b, key=c)", []),
        ("a = [b for b in c if d]", ["a = [b for b in c if (not (d))]"]),
        ("a = '→', True", ["a = 'XX→XX', True", "a = '→', False"]),
        ("if a:\n    b()", ["if (not (a)):\n    b()", "if a:\n    pass"]),
        ("if a == b:\n    c = d", ["if a != b:\n    c = d"]),
        ("for a in b:\n    continue", ["for a in b:\n    break"]),
        ("def a(b=1):\n    'Docstring.'\n    return b", ["def a(b=2):\n    'Docstring.'\n    return b",
                                                         "def a(b=1):\n    'Docstring.'\n    return None"]),
        ("a: Literal['b'] = c", []),
        ("A = Literal['b']", []),
        ("class A(b=True):\n    'Docstring.'", []),
        ("raise A(f'b {c}')", ["pass"]),
    ],
)  # fmt: skip
def test_the_changes_of_a_module(source: str, changed: list[str]) -> None:
    assert sorted(applied(source, mutant) for mutant in mutants(source)) == sorted(changed)


@pytest.mark.parametrize("module", ["nvtopo/model/conclusions/nvlink.py", "nvtopo/model/formats/cpulist.py"])
def test_every_change_of_a_real_module_compiles_and_is_another_program(module: str) -> None:
    source = Path(ROOT / module).read_text(encoding="utf-8")
    found = mutants(source)
    trees = {ast.dump(ast.parse(applied(source, mutant))) for mutant in found} | {ast.dump(ast.parse(source))}
    assert len(found) > 30
    assert len(trees) == len(found) + 1


def test_a_line_that_runs_on_import_has_the_tests_of_its_module_and_of_those_that_import_it() -> None:
    covering = Covering(
        tests={"a.py": {1: frozenset(), 3: frozenset({"slow"})}, "b.py": {5: frozenset({"quick"})}},
        importers={"a.py": frozenset({"b.py", "test_a.py"})},
        seconds={"slow": 2, "quick": 1, "test_a.py::test_table": 0.5, "test_b.py::test_table": 0.5},
    )
    assert covering.of("a.py", (3, 3)) == ["slow"]
    assert covering.of("a.py", (1, 1)) == ["test_a.py::test_table", "quick", "slow"]
