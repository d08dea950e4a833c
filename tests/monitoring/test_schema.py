"""The dashboards against the types that Grafana publishes for its dashboards, by TypeScript's compiler."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests import npm_packages
from tests.monitoring import shipped
from tests.monitoring.shipped import DASHBOARDS

pytestmark = pytest.mark.lab

SCHEMA: Final = Path(__file__).with_name("schema")
_SOURCES: Final = ("board.ts", "tsconfig.json")


@pytest.fixture(scope="module")
def packages() -> Path:
    return npm_packages.installed(SCHEMA, "grafana-schema")


@pytest.fixture
def folder(packages: Path, tmp_path: Path) -> Path:
    for name in _SOURCES:
        shutil.copy(SCHEMA / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(packages)
    return tmp_path


def complaints(folder: Path, **boards: Any) -> str:
    """What the compiler says of dashboards by name."""
    for name, board in boards.items():
        text = f'import type {{ Board }} from "./board";\nexport const it: Board = {json.dumps(board, indent=1)};\n'
        (folder / f"{name}.ts").write_text(text, encoding="utf-8")
    compiler = folder / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(("node", str(compiler), "-p", str(folder)), capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_dashboards_are_what_grafana_s_types_allow(folder: Path) -> None:
    boards = {path.stem.replace("-", "_"): shipped.dashboard(path) for path in DASHBOARDS}
    assert complaints(folder, **boards) == ""


def _panel(board: Any, kind: str) -> Any:
    return next(panel for panel in board["panels"] if panel["type"] == kind)


WRONG: Final[dict[str, Callable[[Any], object]]] = {
    "a key that there is not": lambda board: board.update(timeZone="browser"),
    "a kind of panel that there is not": lambda board: _panel(board, "stat").update(type="number"),
    "an option that there is not": lambda board: _panel(board, "stat")["options"].update(colour="value"),
    "a value that the option has not": lambda board: _panel(board, "stat")["options"].update(colorMode="red"),
    "a text for a number": lambda board: _panel(board, "timeseries")["gridPos"].update(w="12"),
    "a style that there is not": lambda board: _panel(board, "timeseries")["fieldConfig"]["defaults"]["custom"].update(
        fillOpaque=8
    ),
    "a variable of no kind": lambda board: board["templating"]["list"][0].update(type="source"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_seen(change: Callable[[Any], object], folder: Path) -> None:
    board = shipped.dashboard(DASHBOARDS[0])
    change(board)
    assert "error TS" in complaints(folder, wrong=board)
