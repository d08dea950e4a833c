"""What to install is said so that it works from a checkout, a wheel and an index."""

import importlib.metadata
import sys

import pytest

from nvtopo.extras import how_to_install


def test_the_extras_own_requirements_are_named() -> None:
    said = how_to_install("aggregator")
    assert said == f"{sys.executable} -m pip install 'starlette>=0.40' 'uvicorn>=0.54'"


def test_without_metadata_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert how_to_install("kubernetes").endswith(" -m pip install 'nvtopo[kubernetes]'")
