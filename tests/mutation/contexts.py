"""A plugin of pytest for the run under ``coverage``: which test is on, and how long each takes."""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

import coverage
import pytest

#: Where it writes test → seconds.
VARIABLE: Final = "NVTOPO_MUTATION_SECONDS"
_seconds: dict[str, float] = {}
_failed: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """What runs from here on is covered by this test."""
    running = coverage.Coverage.current()
    assert running is not None, "run it under coverage"
    running.switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        running.switch_context("")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Setup, call and teardown. A test that fails without any change says nothing of one."""
    if report.failed:
        _failed.add(report.nodeid)
    _seconds[report.nodeid] = _seconds.get(report.nodeid, 0) + report.duration


def pytest_sessionfinish() -> None:
    """All tests have run."""
    passed = {test: seconds for test, seconds in _seconds.items() if test not in _failed}
    Path(os.environ[VARIABLE]).write_text(json.dumps(passed), encoding="utf-8")
