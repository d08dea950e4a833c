"""The JSON schemas of what goes in and comes out, made of the types themselves: ``docs/placement``."""

from collections.abc import Mapping
from typing import Any

import msgspec

from nvtopo.placement.document import PlacementRequest
from nvtopo.placement.result import Assignment, NoFit


def schemas() -> Mapping[str, dict[str, Any]]:
    """Name of the file → schema."""
    return {
        f"{kind.__name__}.schema.json": {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        | msgspec.json.schema(kind)
        for kind in (PlacementRequest, Assignment, NoFit)
    }


def written(schema: dict[str, Any]) -> bytes:
    """A schema as it stands in its file."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
