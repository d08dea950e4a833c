"""What tells devices from one another is there once: the API server refuses two, and so does who reads a node."""

from typing import Any

import msgspec
import pytest

from nvtopo.model.records import soundness
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.spec import Spec, expand

ADDRESS = "0000:01:00.0"
TWICE: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("numa", "index"): [{"index": 3}] * 2,
    ("gpus", "index"): [{"index": 0, "uuid": uuid} for uuid in "ab"],
    ("gpus", "uuid"): [{"index": n, "uuid": "a"} for n in range(2)],
    ("gpus", "pciBusID"): [{"index": n, "uuid": str(n), "pciBusID": ADDRESS} for n in range(2)],
    ("pairs", "pair"): [{"a": 0, "b": 1}] * 2,
    ("accelerators", "pciBusID"): [{"pciBusID": ADDRESS}] * 2,
    ("nics", "name"): [{"name": "eth0"}] * 2,
    ("nvmes", "name"): [{"name": "nvme0", "pciBusID": f"0000:0{n}:00.0"} for n in range(2)],
    ("nvmes", "pciBusID"): [{"name": f"nvme{n}", "pciBusID": ADDRESS} for n in range(2)],
}


@pytest.mark.parametrize(("field", "key"), TWICE)
def test_two_of_one_key_are_refused(field: str, key: str) -> None:
    content = {"gpus": [{"index": n, "uuid": str(n)} for n in range(2)], field: TWICE[field, key]}
    with pytest.raises(ValueError, match=f"^{field}: expected each {key} once, got .* twice$"):
        expand(msgspec.convert(content, Spec))


def test_what_may_be_alike_is_taken() -> None:
    nics = [{"name": f"mlx5_{n}", "pciBusID": ADDRESS} for n in range(2)]
    gpus = [{"index": n, "uuid": ""} for n in range(2)]
    assert len(expand(msgspec.convert({"nics": nics, "gpus": gpus}, Spec)).nics) == 2


def test_the_schema_compares_what_the_reader_compares_but_pairs() -> None:
    keys = {(name, key) for name, key, _ in soundness._keys(NodeTopology())}
    assert keys == TWICE.keys()
    said = {message for _, message in soundness.RULES["Spec"]}
    assert said == {f"{name}: each {key} once" for name, key in keys - {("pairs", "pair")}}
