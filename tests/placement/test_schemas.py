"""The schemas in docs/placement are those of the types. ``python -m tests.placement.test_schemas`` writes them."""

from pathlib import Path

import pytest

from nvtopo.placement.schemas import schemas, written

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "placement"


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_schema_is_that_of_the_type(name: str) -> None:
    assert (FOLDER / name).read_bytes() == written(schemas()[name])


def test_there_are_no_others() -> None:
    assert {file.name for file in FOLDER.glob("*.schema.json")} == {*schemas()}


if __name__ == "__main__":
    for file, schema in schemas().items():
        (FOLDER / file).write_bytes(written(schema))
