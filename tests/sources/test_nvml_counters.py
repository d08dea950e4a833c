"""The counters worker over the C library: families by what the driver answers, one batch a GPU, and every fault."""

import json
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nvtopo.model.samples.gpu_counters import GpuHealth, GpuSample
from nvtopo.runtime.forked_worker import ForkedWorker
from nvtopo.runtime.worker_policy import Failure
from nvtopo.sources.nvml.counters import HEALTH, TRAFFIC, CounterLine, decode
from nvtopo.sources.nvml.counters_fields import bit_error_ratio
from nvtopo.sources.nvml.forks import fork_server
from tests.hosts.recorded import FIXTURES
from tests.nvml import build

H100 = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "nvml.json"
GB200 = FIXTURES / "hosts" / "gb200-nvl72-tray" / "nvml.json"
HOUR = 3600
GIB = 1 << 30

PATIENCE = 90.0

Change = Callable[[Any], None]


def heard(worker: ForkedWorker) -> CounterLine | Failure:
    lines: list[bytes] = []
    while not lines:
        assert select.select(worker.descriptors, [], [], PATIENCE)[0]
        lines = worker.receive()
        assert not worker.gone
    return decode(lines[0])


def ask(worker: ForkedWorker, *, health: bool) -> CounterLine:
    worker.send(HEALTH if health else TRAFFIC)
    answer = heard(worker)
    assert isinstance(answer, CounterLine)
    return answer


class Driver:
    """Workers on a machine that a test describes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.calls_path = path.with_name("calls")

    def is_like(self, fixture: Path, change: Change = lambda _: None) -> None:
        model = json.loads(fixture.read_text())
        model["uptimeSeconds"] = HOUR
        change(model)
        self._path.write_text(json.dumps(model))

    @contextmanager
    def worker(self) -> Iterator[ForkedWorker]:
        worker = fork_server().fork("nvml-counters", str(build.library()))
        try:
            yield worker
        finally:
            assert worker.end(PATIENCE)

    def answer(self, *, health: bool = True) -> CounterLine:
        with self.worker() as worker:
            return ask(worker, health=health)

    def calls(self) -> dict[str, int]:
        return dict(json.loads(self.calls_path.read_text()))


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver(tmp_path / "nvml.json")
    monkeypatch.setenv("NVTOPO_NVML_FIXTURE", str(tmp_path / "nvml.json"))
    monkeypatch.setenv("NVTOPO_NVML_CALLS", str(driver.calls_path))
    return driver


def health_of(gpu: GpuSample) -> GpuHealth:
    assert gpu.health is not None
    return gpu.health


def test_hopper_counts_in_kibibytes(driver: Driver) -> None:
    driver.is_like(H100, lambda model: model["gpus"][0]["links"][3].update(txRate=1 << 20))
    answer = driver.answer()
    assert [gpu.index for gpu in answer.gpus] == list(range(8))
    assert answer.lost == 0
    gpu = answer.gpus[0]
    assert gpu.sent[3] == GIB + HOUR * (1 << 20)
    assert gpu.sent[0] == (GIB + HOUR * 1000) // 1024 * 1024
    assert gpu.received[0] == (GIB + HOUR * 2000) // 1024 * 1024
    assert set(health_of(gpu).errors) == {"replay", "recovery", "crc"}
    assert health_of(gpu).bit_error_ratios == health_of(gpu).recoveries == {}


def test_blackwell_counts_in_bytes(driver: Driver) -> None:
    driver.is_like(GB200)
    gpu = driver.answer().gpus[0]
    assert gpu.sent == (GIB + HOUR * 1000,) * 18
    assert gpu.received == (GIB + HOUR * 2000,) * 18
    assert len(health_of(gpu).errors) == 9
    assert set(health_of(gpu).recoveries) == {"successful", "failed"}
    assert health_of(gpu).capacities == (53_125_000_000,) * 18


def test_the_answer_decides_about_the_family_and_not_the_generation(driver: Driver) -> None:
    driver.is_like(H100, lambda model: model.update(returns={"field:138": 3, "field:139": 3}))
    raw = driver.answer().gpus[0].sent[0]
    assert raw == (GIB + HOUR * 1000) // 16 * 17 // 1024 * 1024


def test_without_any_family_there_are_no_bytes_and_the_rest_is_there(driver: Driver) -> None:
    silent = dict.fromkeys((f"field:{number}" for number in range(138, 142)), 3)
    driver.is_like(H100, lambda model: model.update(returns=silent))
    gpu = driver.answer().gpus[0]
    assert gpu.sent == gpu.received == ()
    assert len(health_of(gpu).errors["crc"]) == 18


def test_errors_and_ratios_are_of_their_link(driver: Driver) -> None:
    fields = {"222": 0x50F, "221": 77, "208": {"base": 1, "rate": 2}, "213": 4}
    driver.is_like(GB200, lambda model: model["gpus"][1]["links"][7].update(fields=fields))
    health = health_of(driver.answer().gpus[1])
    assert health.bit_error_ratios["symbol"][7] == 5e-15
    assert health.bit_error_ratios["symbol"][6] == 0
    assert health.errors["symbol"][7] == 77
    assert health.errors["receive"][7] == 1 + 2 * HOUR
    assert health.recoveries["successful"] == (*(0,) * 7, 4, *(0,) * 10)


@pytest.mark.parametrize(("packed", "ratio"), [(0, 0), (0x0FF, 0), (0x10C, 1e-12), (0xF08, 15e-8), (None, None)])
def test_bit_error_ratio(packed: int | None, ratio: float | None) -> None:
    assert bit_error_ratio(packed) == ratio


def test_pcie_heat_and_power(driver: Driver) -> None:
    fields = {"197": 11, "198": 12, "94": 13, "83": 14_500}
    driver.is_like(H100, lambda model: model["gpus"][2].update(fields=fields, eventReasons=0x44, temperature=61))
    gpu = driver.answer().gpus[2]
    health = health_of(gpu)
    assert (gpu.pcie_sent, gpu.pcie_received, health.pcie_replays, health.energy_joules) == (11, 12, 13, 14.5)
    assert (health.temperature_celsius, health.power_watts) == (61, 72)
    assert health.clocks_hertz == {"sm": 1_980_000_000, "memory": 2_619_000_000}
    assert health.clock_events is not None
    assert {name for name, holds in health.clock_events.items() if holds} == {"software_power_cap", "hardware_thermal"}


def test_limits_of_hopper_are_margins(driver: Driver) -> None:
    def capped(model: Any) -> None:
        model["gpus"][1]["powerLimits"].update(enforced=450_500, requested=500_000)
        model["gpus"][1].update(margin=-3)

    driver.is_like(H100, capped)
    health = health_of(driver.answer().gpus[1])
    watts = {"enforced": 450.5, "requested": 500, "default": 700, "minimum": 200, "maximum": 700}
    assert health.power_limits_watts == watts
    assert health.temperature_margin_celsius == -3
    assert health.temperature_margin_thresholds_celsius == {"shutdown": -8, "slowdown": -2, "gpu_maximum": 0}
    assert health.temperature_thresholds_celsius == {}


def test_limits_of_ampere_are_temperatures(driver: Driver) -> None:
    driver.is_like(FIXTURES / "hosts" / "hgx-a100-8gpu" / "nvml.json")
    health = health_of(driver.answer().gpus[0])
    degrees = {"shutdown": 92, "slowdown": 89, "memory_maximum": 95, "gpu_maximum": 85}
    assert health.temperature_thresholds_celsius == degrees
    assert health.temperature_margin_celsius is None
    assert health.temperature_margin_thresholds_celsius == {}


def test_what_fails_is_named_and_asked_again(driver: Driver) -> None:
    def sick(model: Any) -> None:
        model["gpus"][2]["returns"] = {"nvmlDeviceGetEnforcedPowerLimit": 999, "field:94": 999}

    driver.is_like(H100, sick)
    with driver.worker() as worker:
        answers = [ask(worker, health=True) for _ in range(2)]
    failed = ("GPU2: field 94: Unknown Error", "GPU2: nvmlDeviceGetEnforcedPowerLimit: Unknown Error")
    assert [answer.failed for answer in answers] == [failed, failed]
    health = health_of(answers[0].gpus[2])
    assert "enforced" not in health.power_limits_watts
    assert health.power_limits_watts["default"] == 700
    assert health.pcie_replays is None


def test_what_a_driver_lacks_is_asked_for_once(driver: Driver) -> None:
    driver.is_like(FIXTURES / "hosts" / "hgx-a100-8gpu" / "nvml.json")
    with driver.worker() as worker:
        for _ in range(3):
            assert ask(worker, health=True).failed == ()
    calls = driver.calls()
    assert calls["nvmlDeviceGetMarginTemperature"] == 8
    assert calls["nvmlDeviceGetTemperatureThreshold"] == 3 * 4 * 8


def test_what_is_not_supported_is_absent(driver: Driver) -> None:
    def bare(model: Any) -> None:
        for gpu in model["gpus"]:
            for key in (
                "temperature",
                "power",
                "clock",
                "memoryClock",
                "links",
                "nvlink",
                "powerLimits",
                "margin",
                "fields",
            ):
                del gpu[key]
            absent = ("field:94", "field:197", "field:198", "nvmlDeviceGetCurrentClocksEventReasons")
            gpu["returns"] = dict.fromkeys(absent, 3)

    driver.is_like(H100, bare)
    gpu = driver.answer().gpus[0]
    assert gpu == GpuSample(index=0, uuid=gpu.uuid, at=gpu.at, health=GpuHealth())


def test_a_field_that_fails_is_absent_and_asked_again(driver: Driver) -> None:
    driver.is_like(H100, lambda model: model["gpus"][0]["links"][2].update(returns={"field:138": 999}))
    gpu = driver.answer().gpus[0]
    assert gpu.sent[2] is None
    assert gpu.received[2] is not None


def test_a_sample_is_one_call_a_gpu(driver: Driver) -> None:
    driver.is_like(H100)
    with driver.worker() as worker:
        for _ in range(10):
            assert len(ask(worker, health=False).gpus) == 8
    calls = driver.calls()
    assert calls["nvmlDeviceGetFieldValues"] == 8 * (2 + 10)
    assert calls["nvmlInitWithFlags"] == calls["nvmlShutdown"] == 1
    assert sum(calls.values()) == 8 * (2 + 10) + 2 * 8 + 3


def test_health_is_in_the_same_batch(driver: Driver) -> None:
    driver.is_like(H100)
    driver.answer(health=True)
    calls = driver.calls()
    assert calls["nvmlDeviceGetFieldValues"] == 8 * (2 + 1)
    assert calls["nvmlDeviceGetTemperature"] == 8


def test_a_lost_gpu_does_not_hide_the_others(driver: Driver) -> None:
    driver.is_like(H100, lambda model: model["gpus"][3].update(lost=True))
    answer = driver.answer()
    assert [gpu.index for gpu in answer.gpus] == [0, 1, 2, 4, 5, 6, 7]
    assert answer.lost == 1


@pytest.mark.parametrize("function", ["nvmlDeviceGetUUID", "nvmlDeviceGetFieldValues"])
def test_a_gpu_that_fails_counts_as_lost(driver: Driver, function: str) -> None:
    driver.is_like(H100, lambda model: model["gpus"][0].update(returns={function: 999}))
    answer = driver.answer()
    assert [gpu.index for gpu in answer.gpus] == list(range(1, 8))
    assert answer.lost == 1


def test_a_driver_that_is_not_ready_says_why(driver: Driver) -> None:
    driver.is_like(H100, lambda model: model.update(returns={"nvmlInitWithFlags": 9}))
    with driver.worker() as worker:
        assert heard(worker) == Failure("driver", "Driver Not Loaded")


def test_the_worker_ends_with_its_input(driver: Driver) -> None:
    driver.is_like(H100)
    with driver.worker() as worker:
        ask(worker, health=False)
    assert driver.calls()["nvmlShutdown"] == 1


def test_a_line_that_is_no_answer_is_a_failure() -> None:
    failure = decode(b'{"gpus": 3}')
    assert isinstance(failure, Failure)
    assert failure.reason == "garbled"
