"""Which tests run which lines, and how long each takes: one run of the unit tests under ``coverage``."""

import ast
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import coverage

from tests.mutation import contexts

#: What all of nvtopo imports would be tried with all tests: some of each file tell as much.
_MOST_TESTS_OF_A_FILE: Final = 20
_SOME_FAILED: Final = 1
ROOT: Final = Path(__file__).resolve().parents[2]
#: Those of ``make unit``.
MARKED: Final = "not slow and not lab and not vm and not kubelet and not image and not machine"
OPTIONS: Final = ("-q", "-p", "no:randomly", "--hypothesis-profile", "unit", "--hypothesis-seed=0", "-m", MARKED)


@dataclass(frozen=True)
class Covering:
    """Which tests run what, and for how long."""

    tests: dict[str, dict[int, frozenset[str]]]
    """Module → line → the tests that run it."""
    importers: dict[str, frozenset[str]]
    """Module → the modules and the files of tests that import it."""
    seconds: dict[str, float]
    """Test → how long it takes. Not those that fail without any change."""

    def of(self, module: str, lines: tuple[int, int]) -> list[str]:
        """The tests of these lines, the quickest first.

        Of lines that run on import: the tests of the whole module, of those that import it, and in files that do.
        """
        by_line = self.tests.get(module, {})
        found = {
            test for line in range(lines[0], lines[1] + 1) for test in by_line.get(line, ()) if test in self.seconds
        }
        if found:
            return self._quickest(found)
        by_file: dict[str, list[str]] = defaultdict(list)
        for test in self._quickest(self._of_modules((module, *self.importers.get(module, ())))):
            by_file[test.partition("::")[0]].append(test)
        return [test for tests in by_file.values() for test in tests[:_MOST_TESTS_OF_A_FILE]]

    def _of_modules(self, modules: Sequence[str]) -> set[str]:
        running = {test for module in modules for tests in self.tests.get(module, {}).values() for test in tests}
        return (running & self.seconds.keys()) | {test for test in self.seconds if test.partition("::")[0] in modules}

    def _quickest(self, tests: set[str]) -> list[str]:
        return sorted(tests, key=lambda test: (self.seconds.get(test, 0), test))


def measure(folder: Path, tests: Sequence[str] = ()) -> Covering:
    """Run the unit tests once, or those in these files. The folder keeps what they cover; what fails is left out.

    Raises:
        SystemExit: they can't be run.
    """
    data, seconds = folder / "coverage", folder / "seconds.json"
    if not seconds.exists():
        command = ("coverage", "run", f"--data-file={data}", "--source=nvtopo", "-m", "pytest")
        done = subprocess.run(
            [sys.executable, "-m", *command, "-p", "tests.mutation.contexts", *OPTIONS, *tests],
            cwd=ROOT,
            env={**os.environ, contexts.VARIABLE: str(seconds.resolve())},
            stdout=sys.stderr,
            check=False,
        )
        if done.returncode == _SOME_FAILED:
            sys.stderr.write("mutation: the tests that fail without any change are left out\n")
        elif done.returncode:
            seconds.unlink(missing_ok=True)
            sys.exit(f"mutation: expected the unit tests to run, pytest ended with {done.returncode}")
    return Covering(_tests_by_line(data), _importers(), json.loads(seconds.read_text(encoding="utf-8")))


def _tests_by_line(data: Path) -> dict[str, dict[int, frozenset[str]]]:
    stored = coverage.CoverageData(str(data))
    stored.read()
    return {
        str(Path(file).relative_to(ROOT)): {
            line: frozenset(test for test in tests if test) for line, tests in stored.contexts_by_lineno(file).items()
        }
        for file in stored.measured_files()
    }


def _importers() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((*(ROOT / "nvtopo").rglob("*.py"), *(ROOT / "tests").rglob("test_*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                    found[name.replace(".", "/")].add(str(path.relative_to(ROOT)))
    for package in [name for name in found if (ROOT / name / "__init__.py").exists()]:
        for importers in found.values():  # what a package passes on is imported from the package
            if f"{package}/__init__.py" in importers:
                importers.update(found[package])
    return {f"{name}.py": frozenset(importers) for name, importers in found.items()}
