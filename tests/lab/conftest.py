"""Makes the lab's fixtures known to the tests of this folder and below."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.lab.fixtures")
