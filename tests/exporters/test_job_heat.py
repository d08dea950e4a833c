"""One job with the heat of its GPUs: what stands out, what is not known, and what can't be."""

from typing import Any

import pytest
from msgspec.structs import replace

from nvtopo.exporters import job_heat
from nvtopo.exporters.heat_readings import Figure
from nvtopo.exporters.heat_records import GpuHeat, GpuSlowdown, GpuTemperature, NvlinkUse
from nvtopo.exporters.job_document import JobDocument
from nvtopo.exporters.job_heat import Told
from nvtopo.reports import job as report
from tests.exporters.test_job_document import HELD, TWO, graph, leaves, of
from tests.kube.machines import hgx

UUIDS = [gpu.uuid for gpu in hgx().gpus]
FULL = sum(one.count * (one.bytes_per_second or 0) for one in hgx().gpus[0].nvlinks)


def told(error: str = "", ago: float = 0.0, **figures: dict[tuple[str, int], Any]) -> Told:
    """Figure → node and GPU → value, or a whole figure."""
    readings = {
        name: {
            (node, UUIDS[gpu]): value if isinstance(value, Figure) else Figure(value, 10.0)
            for (node, gpu), value in found.items()
        }
        for name, found in figures.items()
    }
    return Told(readings, ago, error)


def slowed(*reasons: str, age: float = 10.0) -> Figure:
    return Figure(len(reasons), age, reasons)


def heated(said: Told) -> JobDocument:
    two = graph(TWO, *leaves(a="l1", b="l1"))
    return job_heat.heated(of(two), said, two)


def gpu(said: Told, pod: int = 0, name: str = "GPU0") -> GpuHeat:
    heat = heated(said).pods[pod].heat
    assert heat is not None
    return heat[name]


def all_gpus(value: Any) -> dict[tuple[str, int], Any]:
    return dict.fromkeys((("a", 0), ("a", 1), ("b", 0), ("b", 4)), value)


def test_everything_of_one_gpu() -> None:
    figures: dict[str, Any] = {
        "temperature": 64.0,
        "margin": 23.0,
        "slowdown": slowed(),
        "sent": FULL / 4,
        "received": 0.0,
    }
    said: dict[str, Any] = {name: {("a", 0): value} for name, value in figures.items()}
    assert gpu(told(ago=5.4, **said)) == GpuHeat(
        state="ok",
        temperature=GpuTemperature(celsius=64.0, below_slowdown_celsius=23.0, age_seconds=15),
        hot=False,
        slowdown=GpuSlowdown(reasons=(), age_seconds=15),
        sent=NvlinkUse(bytes_per_second=round(FULL / 4), share=0.25, age_seconds=15),
        received=NvlinkUse(bytes_per_second=0, share=0.0, age_seconds=15),
    )


def test_what_nobody_says_is_null_and_said_why() -> None:
    found = heated(told())
    assert gpu(told()) == GpuHeat(state="unknown", temperature=None, hot=None, slowdown=None, sent=None, received=None)
    assert found.heat is not None
    assert (found.heat.gpus, found.heat.known, found.heat.worst) == (4, 0, ())
    assert "no temperature and clock events of 4 of 4 GPUs" in (found.heat.unknown or "")


def test_when_prometheus_is_away_the_job_stands_and_what_was_told_gets_old() -> None:
    figures: dict[str, Any] = {"temperature": all_gpus(60.0), "slowdown": all_gpus(slowed())}
    recent, old = (heated(told("Prometheus: no route", ago, **figures)) for ago in (100.0, 111.0))
    assert recent.heat is not None
    assert old.heat is not None
    assert (recent.heat.known, old.heat.known) == (4, 0)
    assert recent.heat.unknown == old.heat.unknown == "Prometheus: no route"
    assert [pod.name for pod in old.pods] == ["w-0", "w-1"]


def test_all_that_is_known_needs_no_reason() -> None:
    found = heated(told(temperature=all_gpus(60.0), slowdown=all_gpus(slowed()))).heat
    assert found is not None
    assert (found.known, found.unknown) == (4, None)


def test_gpus_of_others_and_of_other_machines_are_left_out() -> None:
    found = heated(
        Told({"temperature": {("a", UUIDS[2]): Figure(99.0, 1.0), ("b", "GPU-of-another"): Figure(99.0, 1.0)}})
    )
    assert found.heat is not None
    assert found.heat.worst == ()
    assert [sorted(pod.heat or ()) for pod in found.pods] == [["GPU0", "GPU1"], ["GPU0", "GPU4"]]


def test_the_worst_come_first() -> None:
    found = heated(
        told(
            temperature={("a", 0): 80.0, ("a", 1): 70.0, ("b", 0): 60.0, ("b", 4): 90.0},
            margin={("a", 0): 5.0, ("a", 1): 20.0},
            slowdown={
                ("a", 1): slowed("software_power_cap"),
                ("b", 0): slowed("hardware_thermal", "software_power_cap"),
            },
        )
    ).heat
    assert found is not None
    assert [(one.node, one.gpu, one.pod, one.state, one.celsius) for one in found.worst] == [
        ("b", "GPU0", "w-1", "heat", 60.0),
        ("a", "GPU0", "w-0", "hot", 80.0),
        ("a", "GPU1", "w-0", "power", 70.0),
    ]


def test_no_more_than_so_many_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_heat, "MOST_WORST", 3)
    found = heated(told(slowdown=all_gpus(slowed("hardware_power_brake")))).heat
    assert found is not None
    assert (len(found.worst), found.left_off, found.worst[0].state, found.worst[0].celsius) == (3, 1, "hardware", None)


@pytest.mark.parametrize("value", [-51.0, 201.0, 1e308])
def test_a_temperature_that_cannot_be_is_not_known(value: float) -> None:
    assert gpu(told(temperature={("a", 0): value})).temperature is None


def test_a_margin_without_a_temperature_or_out_of_bounds_says_nothing() -> None:
    assert gpu(told(margin={("a", 0): 1.0})).hot is None
    assert gpu(told(temperature={("a", 0): 60.0}, margin={("a", 0): 1e9})).hot is None


@pytest.mark.parametrize("rate", [-1.0, FULL * 1.3, 1e308])
def test_a_rate_that_cannot_be_is_not_known(rate: float) -> None:
    assert gpu(told(sent={("a", 0): rate})).sent is None


def test_a_rate_a_little_above_what_the_links_carry_is_all_of_it() -> None:
    assert gpu(told(sent={("a", 0): FULL * 1.2})).sent == NvlinkUse(
        bytes_per_second=round(FULL * 1.2), share=1.0, age_seconds=10
    )


def test_where_the_rate_of_a_link_is_not_known_there_is_no_share() -> None:
    board = hgx()
    first = board.gpus[0]
    links = tuple(replace(one, bytes_per_second=None) for one in first.nvlinks)
    assert job_heat.capacity(replace(first, nvlinks=links)) is None
    assert job_heat.capacity(replace(first, nvlinks=(*first.nvlinks, *links))) is None
    assert job_heat.capacity(replace(first, nvlinks=())) is None
    assert job_heat.capacity(first) == FULL
    two = graph({"a": replace(board, gpus=(replace(first, nvlinks=links), *board.gpus[1:])), "b": hgx()})
    heat = job_heat.heated(of(two), told(sent={("a", 0): 5e9}), two).pods[0].heat
    assert heat is not None
    assert heat["GPU0"].sent == NvlinkUse(bytes_per_second=5_000_000_000, share=None, age_seconds=10)


def test_a_node_that_is_not_there_and_a_pod_whose_gpus_nobody_knows() -> None:
    one = graph({"a": hgx()})
    found = job_heat.heated(of(one, {"b": HELD["b"]}), told(temperature=all_gpus(60.0)), one)
    assert found.pods[0].heat is None
    assert {heat.state for heat in (found.pods[1].heat or {}).values()} == {"unknown"}
    assert found.heat is not None
    assert "it is not known which GPUs 1 of the pods hold" in (found.heat.unknown or "")


def test_as_text() -> None:
    """What ``nvtopo pods --job team/train --prometheus http://prometheus.monitoring:9090`` prints."""
    said = told(
        temperature=all_gpus(61.0) | {("b", 4): 91.0},
        slowdown=all_gpus(slowed()) | {("b", 4): slowed("hardware_thermal")},
        sent={("a", 0): FULL / 2, ("a", 1): FULL / 4},
    )
    assert report.text(heated(said)).splitlines() == [
        "team/train: 2 pods on 2 nodes",
        "meets in: leaf",
        "slowest NIC: mlx5_0 of a, 400 Gb/s",
        "slowest pair: GPU0 - GPU1 over NV18, 478 GB/s",
        "heat: known of 4 of 4 GPUs, 1 hot or held back",
        "  b GPU4 (w-1): 91 °C, slowed by heat (hardware_thermal)",
        "",
        "RANK  POD  NODE  GPUS       NVLINK GROUPS  NICS    RAILS  HEAT                   NVLINK USE",
        "0     w-0  a     GPU0,GPU1  1              mlx5_0  ?      61 °C                  sent 50%, received ?",
        "1     w-1  b     GPU0,GPU4  1              -       ?      61-91 °C GPU4(slowed)  sent ?, received ?",
        "",
        "leaf: leaf-l000001 (2 nodes)",
    ]
    away = report.text(heated(told("Prometheus: Connection refused"))).splitlines()
    assert away[4:6] == ["heat: known of 0 of 4 GPUs", "heat not known: Prometheus: Connection refused"]
    assert away[8].endswith("?      ?     sent ?, received ?")
