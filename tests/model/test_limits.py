"""What no machine is, is refused in one line: from a file, from the API server; and it is never written."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from nvtopo.cli.resource_file import resource_in
from nvtopo.errors import ParseError
from nvtopo.model.formats import limits
from nvtopo.model.formats.cpulist import count, parse_cpulist
from nvtopo.model.records.node import Gpu, GpuPair, Nic, NodeTopology
from nvtopo.model.records.record import Problem
from nvtopo.model.records.spec import Spec, compact, expand
from nvtopo.sources.capture import parse_capture
from tests.kube.machines import hgx

ADDRESS = "0000:01:00.0"


def gpu(**facts: Any) -> dict[str, Any]:
    return {"index": 0, "uuid": "GPU-0", **facts}


@pytest.mark.parametrize(
    "spec",
    [
        {"gpus": [gpu(nvlinks=[{"links": "0-1048576"}])]},
        {"gpus": [gpu(nvlinks=[{"links": "0", "peers": {ADDRESS: "no list"}}])]},
        {"gpus": [gpu(nvlinks=[{"links": "0", "peers": {"no address": "0"}}])]},
        {"gpus": [gpu(nvlinks=[{"links": "0-63"}, {"links": "0-63", "state": "active"}])]},
        {"gpus": [gpu(nvlinks=[{"links": "0"}] * 17)]},
        {"gpus": [{"index": n, "uuid": f"GPU-{n}"} for n in range(65)]},
        {"gpus": [gpu(), gpu()]},
        {"gpus": [gpu(moduleId=1 << 31)]},
        {"gpus": [gpu(path="/".join(["a"] * 100))]},
        {"gpus": [gpu(localCpus="0-99999")]},
        {"gpus": [gpu()], "pairs": [{"a": 0, "b": 1}]},
        {"gpus": [gpu(), gpu(index=1)], "pairs": [{"a": 1, "b": 0}]},
        {"common": {"gpus": {"nvlinks": [{"links": "64"}]}}},
        {"nics": [{"name": "mlx5_0"}, {"name": "mlx5_0"}]},
        {"numa": [{"index": 0}, {"index": 0}]},
        {"numa": [{"index": 0, "cpus": "0-3;4"}]},
        {"expected": {"gpus": 1 << 31}},
        {"problems": [{"source": "nvml", "subject": "GPU0", "reason": "x" * 1025}]},
        {"attributes": {"x": {"y": [1]}}},
    ],
)
def test_what_is_beyond_the_limits_is_refused_in_one_line(spec: dict[str, Any]) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError)) as refused:
        expand(msgspec.convert(spec, Spec))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300
    with pytest.raises(ParseError, match=r"^bomb\.json: expected a NodeTopology"):
        resource_in(msgspec.json.encode({"spec": spec}), "bomb.json")


@pytest.mark.parametrize(
    "facts",
    [
        {"numa": {"nodes": [{"index": 0, "cpus": "0-1048576"}]}},
        {"numa": {"online_cpus": "0", "onlineCpus": "0-99999"}},
        {"nvml": {"gpus": [{"index": 0, "uuid": "x", "nvlinks": [{"link": 64}]}]}},
        {"nvml": {"gpus": [{"index": n, "uuid": "x"} for n in range(65)]}},
        {"nvml": {"gpus": [{"index": 0, "uuid": "x", "moduleId": 1 << 31}]}},
        {"pci": {"devices": [{"address": "no address"}]}},
        {"rdma": {"devices": [{"name": "mlx5_0", "ports": [{"number": 1}] * 17}]}},
        {"attributes": {"x": {str(n): n for n in range(65)}}},
    ],
)
def test_a_capture_beyond_the_limits_is_refused_in_one_line(facts: dict[str, Any]) -> None:
    with pytest.raises(ParseError, match=r"^bomb\.json: expected a capture") as refused:
        parse_capture(msgspec.json.encode({"capture": 1, **facts}), "bomb.json")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"nvlinks": [{"links": "0-99"}]}, "Expected a list of links from 0 to 63 such as '0-17' - at `$.spec.gpus"),
        ({"localCpus": "0-99999"}, "Expected a list of numbers up to 9999 such as '0-3,8' - at `$.spec.gpus"),
        ({"pciBusID": "1b:00.0"}, "Expected a PCI address such as '0000:1b:00.0' - at `$.spec.gpus"),
        ({"path": "//"}, "Expected at most 48 bridges with '/' between them - at `$.spec.gpus"),
    ],
)
def test_a_pattern_is_said_in_words(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(ParseError) as refused:
        resource_in(msgspec.json.encode({"spec": {"gpus": [gpu(**facts)]}}), "bomb.json")
    assert said in str(refused.value)


@pytest.mark.slow
def test_a_long_list_of_overlapping_ranges_costs_no_more_than_its_numbers() -> None:
    text = ",".join(["0-9999"] * 100_000)
    assert count(text) == 10_000
    assert parse_cpulist(text) == tuple(range(10_000))


def test_what_is_published_is_within_the_limits() -> None:
    many = replace(
        hgx(),
        gpus=tuple(Gpu(index=n, uuid=f"GPU-{n}") for n in range(limits.MOST_GPUS + 1)),
        pairs=(GpuPair(a=0, b=1), GpuPair(a=0, b=limits.MOST_GPUS)),
        nics=tuple(Nic(name=f"eth{n}") for n in range(limits.MOST_NICS + 5)),
        problems=tuple(Problem(source="pci", subject="x" * 9999, reason="y" * 9999) for _ in range(300)),
    )
    spec = msgspec.json.decode(msgspec.json.encode(compact(many)), type=Spec)
    node = expand(spec)
    assert (len(node.gpus), len(node.nics)) == (limits.MOST_GPUS, limits.MOST_NICS)
    assert node.pairs == (GpuPair(a=0, b=1),)
    assert {(one.subject, one.reason) for one in node.problems if one.source == "limits"} == {
        ("gpus", "65 found, at most 64 are published"),
        ("nics", "261 found, at most 256 are published"),
        ("problems", "300 found, at most 256 are published"),
    }


def test_a_node_within_the_limits_is_published_as_it_is() -> None:
    assert expand(compact(hgx())) == hgx()
    assert compact(NodeTopology()) == Spec()
