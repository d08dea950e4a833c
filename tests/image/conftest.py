"""The built image, for tests that ask for it."""

from pathlib import Path

import pytest

from image import __main__ as command
from image import build, platforms
from image.build import Image
from image.layout import Layout, read
from tests.image.test_signing import new_key


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """No image is built by the way: without ``image`` in the marker expression these tests are left out."""
    left_out = [item for item in items if item.get_closest_marker("image")]
    if left_out and "image" not in config.option.markexpr:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make image KEY=…` leaves."""
    folder = tmp_path_factory.mktemp("image")
    key = new_key(folder / "key.pem")
    assert command.main([str(folder / "out"), "--key", str(key)]) == 0
    return folder / "out"


@pytest.fixture(scope="session")
def images(made: Path) -> dict[str, Image]:
    del made
    return {platform.architecture: build.ensure(command.say, platform) for platform in platforms.ALL}


@pytest.fixture(scope="session")
def whole(made: Path) -> Layout:
    return read(made / "nvtopo.oci.tar")
