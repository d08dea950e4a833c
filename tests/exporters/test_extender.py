"""The extender's answers: kube-scheduler's keys, who stays, why not, and scores."""

from typing import Any

import msgspec
import pytest

from nvtopo.cluster.claims import TIERS
from nvtopo.errors import ParseError
from nvtopo.exporters import extender
from nvtopo.placement.fleet import Host, fleet
from nvtopo.placement.made_fleet import made
from tests.calls import calls

QUAD = ((0, 1, 2, 3),)


def host(name: str, domain: str, *free: int, excluded: str | None = None) -> Host:
    return Host(name, {"nvlinkDomain": domain}, (free,) if free else (), QUAD, excluded)


VIEW = extender.view(
    fleet(
        [
            host("whole", "empty", 0, 1, 2, 3),
            host("part", "busy", 0, 1),
            host("other", "busy", 0, 1, 2, 3),
            host("full", "busy"),
            host("ill", "busy", 0, 1, 2, 3, excluded="not ready"),
        ],
        TIERS,
    )
)


def args(gpus: object, names: list[str] | None, nodes: list[dict[str, Any]] | None = None) -> extender.ExtenderArgs:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": gpus}}}]}}
    items = None if nodes is None else {"items": nodes}
    return extender.read(msgspec.json.encode({"Pod": pod, "Nodes": items, "NodeNames": names}))


def filtered(gpus: object, *names: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(extender.filtered(args(gpus, [*names]), VIEW))
    return found


def scores(gpus: object, *names: str) -> dict[str, int]:
    found = msgspec.to_builtins(extender.prioritized(args(gpus, [*names]), VIEW))
    return {one["Host"]: one["Score"] for one in found}


def test_the_keys_are_the_schedulers() -> None:
    assert filtered("2", "whole", "full", "ill") == {
        "Nodes": None,
        "NodeNames": ["whole"],
        "FailedNodes": {
            "full": "nvtopo: no 2 GPUs that are well, free of reservations and joined by NVLink",
            "ill": "nvtopo: not ready",
        },
        "FailedAndUnresolvableNodes": {},
        "Error": "",
    }


def test_a_node_that_has_too_few_gpus_at_all_is_not_worth_a_preemption() -> None:
    assert filtered(8, "whole")["FailedAndUnresolvableNodes"] == {"whole": "nvtopo: it has fewer than 8 GPUs"}


@pytest.mark.parametrize("gpus", ["0", "", "x", "-1", "99999999"])
def test_what_asks_for_no_gpu_is_left_alone(gpus: str) -> None:
    assert filtered(gpus, "full", "ill")["NodeNames"] == ["full", "ill"]
    assert scores(gpus, "full", "whole") == {"full": 0, "whole": 0}


def test_a_node_that_nobody_knows_stays_and_comes_last() -> None:
    assert filtered(2, "elsewhere", "whole")["NodeNames"] == ["elsewhere", "whole"]
    assert scores(2, "elsewhere") == {"elsewhere": 0}


def test_a_tight_group_in_a_busy_domain_is_best() -> None:
    found = scores(2, "whole", "part", "other", "full")
    assert found["part"] > found["other"] > found["whole"] > found["full"] == 0
    assert all(0 <= score <= 10 for score in found.values())


def test_whole_nodes_are_answered_with_whole_nodes() -> None:
    nodes = [{"metadata": {"name": name}, "status": {"x": 1}} for name in ("whole", "full")]
    found = msgspec.json.decode(msgspec.json.encode(extender.filtered(args(2, None, nodes), VIEW)))
    assert found["NodeNames"] is None
    assert found["Nodes"]["items"] == [nodes[0]]
    assert [*found["FailedNodes"]] == ["full"]


def test_gpus_of_all_containers_count() -> None:
    container = {"resources": {"requests": {"nvidia.com/gpu": 2}}}
    body = msgspec.json.encode({"Pod": {"spec": {"containers": [container, container, {}]}}, "NodeNames": ["part"]})
    assert extender.gpus_of(extender.read(body)) == 4


@pytest.mark.parametrize("body", [b"", b"[]", b'{"NodeNames": "a"}', b"\xff", b'{"Pod": 1}'])
def test_what_is_no_request_is_refused_in_one_line(body: bytes) -> None:
    with pytest.raises(ParseError, match="the extender's request: expected ExtenderArgs of kube-scheduler"):
        extender.read(body)


@pytest.mark.parametrize("candidates", [10, 1000])
def test_each_candidate_is_a_bounded_amount_of_work(candidates: int) -> None:
    known = extender.view(made(56, 18, 4))
    body = msgspec.json.encode(
        {
            "Pod": {"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "4"}}}]}},
            "NodeNames": [*known.fleet.hosts][:candidates],
        }
    )

    def answered() -> None:
        found = extender.filtered(extender.read(body), known)
        assert found.node_names is not None
        assert len(found.node_names) == candidates
        msgspec.json.encode(found)
        msgspec.json.encode(extender.prioritized(extender.read(body), known))

    answered()
    assert calls(answered) < 100 + 50 * candidates, "50,000 calls for a thousand: 5 ms of the 20 that are the aim"


@pytest.mark.parametrize(
    ("said", "found"), [("gang:team/g", "gang:team/g"), ("gang:other/g", ""), ("gang:tea", ""), ("job-7", "job-7")]
)
def test_the_reservation_of_a_gang_is_for_pods_of_its_namespace_alone(said: str, found: str) -> None:
    pod = {"metadata": {"namespace": "team", "annotations": {"nvtopo.io/reservation": said}}}
    args = extender.read(msgspec.json.encode({"Pod": pod, "NodeNames": []}))
    assert extender.reservation_of(args) == found
