"""DeviceTaintRules through the keeper of exports: written, given back, pruned; and what says that there are none."""

import logging
from typing import Any, Final

import msgspec
import pytest

from nvtopo.aggregator.device_taints import KIND, TaintSource
from nvtopo.aggregator.export_keeper import CHECK_SECONDS, ExportKeeper
from nvtopo.aggregator.followed_slices import FollowedSlices
from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster.drift import Timing
from nvtopo.cluster.inventory import Listed as NodesListed
from nvtopo.errors import NotFound
from nvtopo.kube import discovery
from nvtopo.kube.following import Changed, Listed
from nvtopo.sinks.metrics.series import text
from tests.aggregator.running import PATIENCE, Script, running
from tests.aggregator.test_export_keeper import OWNER, FakeClient
from tests.aggregator.test_slice_watch import Silent
from tests.cluster.test_taints import GPU_1, graph, published, three, three_published

GROUP: Final = "/apis/resource.k8s.io"
RULES: Final = f"{GROUP}/v1beta2/devicetaintrules"


class Server(FakeClient):
    """An API server that serves the rules in some versions."""

    def __init__(self, *versions: str) -> None:
        super().__init__()
        self.versions = versions

    def get(self, path: str, *, seconds: float = 0) -> bytes:
        if path == GROUP:
            known = [{"groupVersion": f"resource.k8s.io/{version}"} for version in ("v1", "v1beta2", "v1alpha3")]
            return msgspec.json.encode({"versions": known})
        if path.count("/") == GROUP.count("/") + 1:
            names = ["resourceslices", *(["devicetaintrules"] if path.rpartition("/")[2] in self.versions else [])]
            return msgspec.json.encode({"resources": [{"name": name} for name in names]})
        return super().get(path, seconds=seconds)


class Kept:
    """A keeper of rules, and a clock."""

    def __init__(self, *versions: str, aggregator: Aggregator | None = None, most: int = 64) -> None:
        source: Any = None
        self.client = Server(*versions)
        self.now = 0.0
        self.term = 1
        aggregator = aggregator or Aggregator(source)
        self.slices = FollowedSlices(Silent())
        self.taints = TaintSource(self.slices, aggregator, Timing(60, 600), most=most, clock=lambda: self.now)
        self.keeper = self.new_keeper(aggregator)

    def new_keeper(self, aggregator: Aggregator) -> ExportKeeper:
        return ExportKeeper(
            aggregator,
            self.client,
            lambda: self.term,
            (KIND,),
            OWNER,
            timed={KIND: self.taints},
            clock=lambda: self.now,
            wall_clock=lambda: 1_800_000_000,
        )

    def keep(self, ill: list[int], seconds: float = 0) -> list[str]:
        """The paths that are written so much later, while these GPUs of the first node are ill."""
        self.now += seconds
        self.client.written.clear()
        seen = graph(three(ill=ill))
        self.taints._changed |= seen.nodes.keys()
        self.keeper.keep(seen, self.term)
        queue, now = self.keeper.applier._queue, self.now
        while queue.waiting and (write := queue.next(now, self.term)) is not None:
            self.keeper.applier._send(write)
            now += 1
        return list(self.client.written)


@pytest.fixture(name="kept")
def _kept() -> Kept:
    kept = Kept("v1beta2", "v1alpha3")
    kept.slices.take(Listed(three_published()))
    return kept


def test_a_rule_for_one_device_comes_is_restored_and_goes(kept: Kept) -> None:
    assert kept.keep([1]) == []
    (path,) = kept.keep([1], 60)
    assert path.startswith(f"{RULES}/nvtopo-")
    rule = kept.client.objects[path]
    assert (rule["apiVersion"], rule["kind"]) == ("resource.k8s.io/v1beta2", "DeviceTaintRule")
    assert rule["spec"] == {
        "deviceSelector": GPU_1._asdict(),
        "taint": {"key": "topo.nvtopo.io/degraded", "value": "nvlinks-missing", "effect": "NoSchedule"},
    }
    assert kept.keep([1], CHECK_SECONDS) == []
    rule["spec"]["taint"]["timeAdded"] = "2026-11-30T00:00:00Z"  # as the API server adds it
    assert kept.keep([1], CHECK_SECONDS) == []
    rule["spec"]["taint"]["effect"] = "NoExecute"
    assert kept.keep([1], CHECK_SECONDS) == [path]
    del kept.client.objects[path]
    assert kept.keep([1], CHECK_SECONDS) == [path]
    assert kept.keep([]) == []
    assert kept.keep([], 60) == [path]
    assert kept.client.objects == {}


def test_nothing_is_written_or_deleted_before_the_slices_are_listed() -> None:
    kept = Kept("v1beta2")
    kept.slices.take(Changed("s0", published("n0")))
    assert kept.keep([1]) == kept.keep([1], 60) == kept.keep([], 60) == []


def test_a_new_leader_takes_over_what_stands_at_once(kept: Kept) -> None:
    kept.keep([1])
    kept.keep([1], 60)
    before = dict(kept.client.objects)
    kept.term = 2
    assert kept.keep([1], 1) == []
    assert kept.client.objects == before


def test_rules_of_others_stay(kept: Kept) -> None:
    theirs = {"metadata": {"name": "theirs"}, "spec": {"taint": {"key": "a", "effect": "NoExecute"}}}
    kept.client.objects[f"{RULES}/theirs"] = theirs
    kept.keep([1])
    kept.keep([1], 60)
    kept.keep([], 60)
    kept.keep([], 60)
    assert kept.client.objects == {f"{RULES}/theirs": theirs}


def test_an_older_version_of_the_api_does(kept: Kept) -> None:
    kept.client.versions = ("v1alpha3",)
    kept.keep([1])
    (path,) = kept.keep([1], 60)
    assert path.startswith(f"{GROUP}/v1alpha3/devicetaintrules/")
    assert kept.client.objects[path]["apiVersion"] == "resource.k8s.io/v1alpha3"


def test_a_server_without_the_gate_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    kept.slices.take(Listed(three_published()))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert kept.keep([1], 60) == []
    (record,) = caplog.records
    assert record.__dict__["reason"] == "the API server serves no devicetaintrules.resource.k8s.io in any version"
    assert kept.keeper.failed_at == {KIND: 1_800_000_000}
    kept.client.versions = ("v1beta2",)
    kept.keep([1], 60)
    assert len(kept.keep([1], 60)) == 1, "once the gate is on"


def test_discovery_finds_the_first_version_in_the_servers_order() -> None:
    assert discovery.served(Server("v1", "v1alpha3"), "resource.k8s.io", "devicetaintrules") == "resource.k8s.io/v1"
    with pytest.raises(NotFound, match=r"serves no devicetaintrules\.resource\.k8s\.io"):
        discovery.served(Server(), "resource.k8s.io", "devicetaintrules")


def test_too_many_are_a_finding_and_a_series_until_there_are_fewer() -> None:
    with running(Script(NodesListed(three(ill=[1, 2])))) as aggregator:
        first = aggregator.wait(0, PATIENCE)
        assert first is not None
        kept = Kept("v1beta2", aggregator=aggregator, most=1)
        kept.slices.take(Listed(three_published()))
        kept.keep([1, 2])
        assert kept.keep([1, 2], 60) == []
        told = aggregator.wait(first.generation, PATIENCE)
        assert told is not None
        (finding,) = [one for one in told.drift if one.kind == "taints"]
        assert finding.finding.id == "device-taints-withheld"
        assert finding.reason == "2 degraded devices are not tainted: 1 may be at a time"
        assert "nvtopo_aggregator_device_taints_withheld 2\n" in text(kept.taints.families())
        kept.keep([1])
        assert len(kept.keep([1], 60)) == 1
        after = aggregator.wait(told.generation, PATIENCE)
        assert after is not None
        assert [one for one in after.drift if one.kind == "taints"] == []
