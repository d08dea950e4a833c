"""Makes the lab's fixtures known here: one control plane for the whole session."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.lab.fixtures")
