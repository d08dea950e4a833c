"""Makes the virtual machine's fixtures known, and keeps its tests for those who ask for them: ``-m vm``."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.vm.fixtures")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A machine is not booted by the way: without ``vm`` in the marker expression its tests are left out."""
    if "vm" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("vm")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
