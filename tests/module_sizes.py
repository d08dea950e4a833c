"""``python -m tests.module_sizes``: whether the modules of a package are small; a line for each that is not."""

import sys
from pathlib import Path
from statistics import median
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parents[1] / "nvtopo"
MOST_LINES: Final = 300
MOST_LINES_OF_THE_MEDIAN: Final = 100


def too_large(package: Path) -> list[str]:
    """What is wrong, a line each; empty where every module and their median are small enough."""
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sorted(package.rglob("*.py"))}
    found = [
        f"{path.relative_to(package.parent)}: {count} lines, at most {MOST_LINES}; split it by subject"
        for path, count in lines.items()
        if count > MOST_LINES
    ]
    middle = median(lines.values())
    if middle >= MOST_LINES_OF_THE_MEDIAN:
        found.append(
            f"{package.name}: the median module has {middle:g} lines, expected under {MOST_LINES_OF_THE_MEDIAN}"
        )
    return found


if __name__ == "__main__":
    problems = too_large(PACKAGE)
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    sys.exit(bool(problems))
