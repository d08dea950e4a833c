"""Expectations: what a file may say, of which node it is said, and how a wrong one is refused."""

import json
from pathlib import Path
from typing import Final

import pytest
import yaml
from msgspec.structs import replace

from nvtopo.errors import ParseError
from nvtopo.findings.expectation import expectations_in
from nvtopo.model.records.expected import Expectation, PcieExpectation
from nvtopo.model.records.node import Gpu, Host, NodeTopology

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
_H100 = "NVIDIA H100 80GB HBM3"
_FILE = {
    "shapes": {
        "hgx-h100": {
            "match": {"gpu": _H100},
            "expect": {
                "gpus": 8,
                "nics": 10,
                "rails": 8,
                "nvlinksPerGpu": 18,
                "mtuBytes": 9000,
                "rdmaMtuBytes": 4096,
                "gidIndex": 3,
                "pcie": {"width": 16, "generation": 5},
                "versions": {"driver": "580.105.08", "cuda": "13.0", "kernel": "6.8.0"},
            },
        },
        "any-of-acme": {"match": {"product": "Acme 9000"}, "expect": {"gpus": 4}},
    }
}
_NODE = NodeTopology(
    host=Host(product="Acme 9000"), gpus=tuple(Gpu(index=n, uuid=str(n), name=_H100) for n in range(8))
)


@pytest.mark.parametrize("text", [json.dumps(_FILE), yaml.safe_dump(_FILE, sort_keys=False)], ids=["json", "yaml"])
def test_a_file_is_json_or_yaml(text: str) -> None:
    expected = expectations_in(text.encode(), "expect").of(_NODE)
    assert expected is not None
    assert (expected.gpus, expected.nvlinks_per_gpu, expected.gid_index) == (8, 18, 3)
    assert expected.pcie is not None
    assert (expected.pcie.width, expected.pcie.generation) == (16, 5)
    assert expected.versions is not None
    assert expected.versions.driver == "580.105.08"


def test_the_first_shape_that_a_node_is_of_counts() -> None:
    expectations = expectations_in(json.dumps(_FILE).encode(), "expect")
    others = tuple(replace(gpu, name="NVIDIA A100") for gpu in _NODE.gpus)
    assert expectations.of(replace(_NODE, gpus=others)) == Expectation(gpus=4)
    assert expectations.of(replace(_NODE, gpus=(*others[:4], *_NODE.gpus[4:]))) == Expectation(gpus=4)
    assert expectations.of(replace(_NODE, gpus=(), host=Host())) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("shapes: {a: {match: {}, expect: {gpuz: 8}}}", "unknown field `gpuz`"),
        ("shapes: {a: {match: {}, expect: {pcie: {lanes: 8}}}}", "unknown field `lanes`"),
        ("shapes: {a: {match: {gpus: x}, expect: {}}}", "unknown field `gpus`"),
        ("shapes: {a: {match: {}, expect: {gpus: -1}}}", "`int` >= 0"),
        ("shapes: {a: {match: {}, expect: {gpus: eight}}}", "Expected `int"),
        ("shapes: {a: {expect: {}}}", "missing required field `match`"),
        ("shape: {}", "unknown field `shape`"),
        ("shapes: [", "expected `shapes: NAME"),
        ('{"shapes": ', "truncated"),
        ("7", "Expected `object`"),
    ],
)
def test_what_is_not_an_expectation_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(ParseError) as error:
        expectations_in(text.encode(), "expect.yaml")
    assert says in str(error.value)
    assert str(error.value).startswith("expect.yaml: ")
    assert "\n" not in str(error.value)


def test_the_documented_example_is_one() -> None:
    expectations = expectations_in((DOCS / "expectations.yaml").read_bytes(), "expectations.yaml")
    assert expectations.of(_NODE) == Expectation(
        gpus=8, rails=8, nvlinks_per_gpu=18, mtu_bytes=9000, gid_index=3, pcie=PcieExpectation(width=16, generation=5)
    )


def test_what_follows_from_each_field_is_documented() -> None:
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert [name for name in Expectation.__struct_encode_fields__ if f"`{name}`" not in text] == []
