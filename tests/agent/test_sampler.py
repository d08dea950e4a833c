"""The sampler over the C library: rates that are right, faults that take series off the page, and letting go."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nvtopo.agent.parts.sampler import Sampler, part, sampling
from nvtopo.agent.parts.sampler_policy import Pace
from nvtopo.sinks.metrics.sampler import REASONS, Sampled
from nvtopo.sinks.metrics.series import text
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsRoot
from tests.hosts.recorded import FIXTURES
from tests.nvml import build

pytestmark = pytest.mark.slow

H100 = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "nvml.json"
GB200 = FIXTURES / "hosts" / "gb200-nvl72-tray" / "nvml.json"
PATIENCE = 60.0
FAST = Pace(interval=0.05, health=0.2, deadline=5.0, backoff=0.05, longest_backoff=0.2)

Change = Callable[[Any], None]


class Bench:
    """A machine that a test describes, and a sampler of it."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path = path
        self._stack = stack
        self.sampler = Sampler("unset")

    def is_like(self, fixture: Path, change: Change = lambda _: None) -> None:
        model = json.loads(fixture.read_text())
        change(model)
        self._path.write_text(json.dumps(model))

    def start(self, pace: Pace = FAST) -> None:
        self.sampler = self._stack.enter_context(Sampler(str(build.library()), pace))
        self.sampler.scrape()

    def wait(self, condition: Callable[[Sampled], bool]) -> None:
        assert self.sampler.wait(condition, PATIENCE)

    def scrape_until(self, condition: Callable[[Sampled], bool]) -> None:
        """As a Prometheus that keeps coming."""
        deadline = time.monotonic() + PATIENCE
        while not self.sampler.wait(condition, 0.1):
            assert time.monotonic() < deadline
            self.sampler.scrape()

    def wait_for_samples(self, number: int) -> None:
        seen = self.sampler.scrape()
        assert seen is not None
        self.wait(lambda state: state.samples >= seen.samples + number)

    def page(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """Name → labels and values."""
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(text(part(self.sampler, lambda: None)())):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    def problems(self) -> set[str]:
        return {labels["reason"] for labels, value in self.page()["nvtopo_sampler_problem"] if value}

    def worker(self) -> psutil.Process:
        pid = self.sampler.worker_pid
        assert pid is not None
        return psutil.Process(pid)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("NVTOPO_NVML_FIXTURE", str(tmp_path / "nvml.json"))
    with ExitStack() as stack:
        yield Bench(tmp_path / "nvml.json", stack)


def busy_link(model: Any) -> None:
    model["gpus"][1]["links"][4].update(txRate=6_640_500_000, rxRate=2_656_200_000)


def shares_of(page: dict[str, list[tuple[dict[str, str], float]]], direction: str, statistic: str) -> list[float]:
    found = page[f"nvtopo_nvlink_{direction}_utilisation_ratio"]
    wanted = {"gpu": "1", "link": "4", "statistic": statistic}
    return [value for labels, value in found if labels.items() >= wanted.items()]


@pytest.mark.parametrize(("fixture", "capacity"), [(H100, 26_562_000_000), (GB200, 53_125_000_000)])
def test_a_known_rate_is_the_rate_on_the_page(bench: Bench, fixture: Path, capacity: int) -> None:
    bench.is_like(fixture, busy_link)
    bench.start()
    bench.wait_for_samples(20)
    page = bench.page()
    assert shares_of(page, "transmit", "mean") == [pytest.approx(6_640_500_000 / capacity, rel=0.05)]
    assert shares_of(page, "receive", "mean") == [pytest.approx(2_656_200_000 / capacity, rel=0.05)]
    (peak,) = shares_of(page, "transmit", "peak")
    assert peak >= shares_of(page, "transmit", "mean")[0]
    assert page["nvtopo_sampler_up"] == [({}, 1)]
    assert bench.problems() == set()


def test_every_link_has_its_bytes_and_every_gpu_their_sum(bench: Bench) -> None:
    bench.is_like(H100, lambda model: model.update(uptimeSeconds=1024))
    bench.start()
    bench.wait_for_samples(1)
    page = bench.page()
    links = [value for _, value in page["nvtopo_nvlink_transmitted_bytes_total"]]
    assert links == [(1 << 30) + 1024 * 1000] * 8 * 18
    assert [value for _, value in page["nvtopo_gpu_nvlink_transmitted_bytes_total"]] == [18 * links[0]] * 8


def test_a_frozen_counter_is_a_rate_of_nothing(bench: Bench) -> None:
    bench.is_like(H100, lambda model: model.update(uptimeSeconds=1024))
    bench.start()
    bench.wait_for_samples(3)
    assert {value for _, value in bench.page()["nvtopo_nvlink_receive_utilisation_ratio"]} == {0}


def test_a_first_scrape_does_not_wait_and_says_so(bench: Bench) -> None:
    bench.is_like(H100, lambda model: model.update(delays={"nvmlInitWithFlags": 60_000}))
    bench.start()
    page = bench.page()
    assert page["nvtopo_sampler_up"] == [({}, 0)]
    assert bench.problems() == {"starting"}
    assert not [name for name in page if not name.startswith("nvtopo_sampler")]


def test_reasons_are_a_closed_set(bench: Bench) -> None:
    bench.is_like(H100)
    bench.start()
    assert [labels["reason"] for labels, _ in bench.page()["nvtopo_sampler_problem"]] == list(REASONS)


def test_a_hang_takes_the_series_off_the_page_until_the_driver_answers_again(bench: Bench) -> None:
    bench.is_like(H100)
    bench.start(FAST._replace(deadline=0.5))
    bench.wait_for_samples(2)
    assert "nvtopo_nvlink_transmitted_bytes_total" in bench.page()
    bench.is_like(H100, lambda model: model.update(delays={"nvmlDeviceGetFieldValues": 60_000}))
    hung = bench.worker()
    hung.send_signal(signal.SIGSTOP)
    bench.wait(lambda state: state.reasons == {"hang"})
    page = bench.page()
    assert not [name for name in page if not name.startswith("nvtopo_sampler")]
    assert page["nvtopo_sampler_up"] == [({}, 0)]
    bench.wait(lambda state: state.restarts >= 1)
    bench.is_like(H100)
    bench.wait(lambda _: bench.sampler.worker_pid not in {None, hung.pid})
    bench.worker().kill()  # it may have read the sick fixture already
    bench.wait(lambda state: not state.reasons)
    bench.wait_for_samples(2)
    assert "nvtopo_nvlink_transmitted_bytes_total" in bench.page()
    assert not hung.is_running()


def test_a_killed_worker_is_replaced_and_counters_go_on(bench: Bench) -> None:
    bench.is_like(H100)
    bench.start()
    bench.wait_for_samples(2)
    before = bench.page()["nvtopo_nvlink_received_bytes_total"]
    bench.worker().kill()
    bench.wait(lambda state: state.restarts == 1)
    bench.wait(lambda state: not state.reasons)
    after = bench.page()["nvtopo_nvlink_received_bytes_total"]
    assert [labels for labels, _ in after] == [labels for labels, _ in before]
    assert all(new >= old for (_, new), (_, old) in zip(after, before, strict=True))


def test_a_lost_gpu_vanishes_alone_and_comes_back(bench: Bench) -> None:
    bench.is_like(H100, lambda model: model["gpus"][3].update(lost=True))
    bench.start()
    bench.wait_for_samples(2)
    assert bench.problems() == {"gpu-lost"}
    gpus = {labels["gpu"] for labels, _ in bench.page()["nvtopo_gpu_temperature_celsius"]}
    assert gpus == {"0", "1", "2", "4", "5", "6", "7"}
    bench.is_like(H100)
    bench.wait(lambda state: not state.reasons)
    assert len(bench.page()["nvtopo_gpu_temperature_celsius"]) == 8


def test_a_counter_that_was_reset_gives_no_negative_rate(bench: Bench) -> None:
    bench.is_like(H100, lambda model: model["gpus"][3].update(lost=True))
    bench.start()
    bench.wait_for_samples(2)
    bench.is_like(H100, lambda model: model["gpus"][0]["nvlink"].update(txBase=0))  # read when the lost GPU is retried
    bench.wait(lambda state: not state.reasons)
    bench.wait_for_samples(2)
    assert all(value >= 0 for _, value in bench.page()["nvtopo_nvlink_transmit_utilisation_ratio"])


def test_without_a_scrape_the_driver_is_let_go_and_the_next_one_takes_it_up(bench: Bench) -> None:
    bench.is_like(H100)
    bench.start(FAST._replace(idle=0.5))
    bench.scrape_until(lambda state: state.samples > 1)
    worker = bench.worker()
    bench.wait(lambda state: state.reasons == {"starting"})
    assert not worker.is_running()
    assert bench.sampler.worker_pid is None
    bench.scrape_until(lambda state: not state.reasons)


def test_the_end_of_the_sampler_is_the_end_of_the_worker(bench: Bench) -> None:
    bench.is_like(H100)
    with Sampler(str(build.library()), FAST) as sampler:
        sampler.scrape()
        assert sampler.wait(lambda state: state.samples > 1, PATIENCE)
        assert sampler.worker_pid is not None
        worker = psutil.Process(sampler.worker_pid)
    assert not worker.is_running()


def test_a_hang_does_not_hold_up_the_end(bench: Bench) -> None:
    bench.is_like(H100, lambda model: model.update(delays={"nvmlInitWithFlags": 60_000}))
    with Sampler(str(build.library()), FAST) as sampler:
        sampler.scrape()
        while (pid := sampler.worker_pid) is None:
            sampler.wait(lambda _: False, 0.01)
        worker = psutil.Process(pid)
    assert not sampler.alive
    assert not worker.is_running()


def test_a_driver_that_is_not_ready_is_asked_again(bench: Bench) -> None:
    bench.is_like(H100, lambda model: model.update(returns={"nvmlInitWithFlags": 9}))
    bench.start()
    bench.wait(lambda state: state.reasons == {"driver"})
    bench.is_like(H100)
    bench.wait(lambda state: not state.reasons)


def test_a_machine_without_a_driver_has_no_series() -> None:
    with Sampler("/nonexistent/libnvidia-ml.so.1", FAST) as sampler:
        assert list(part(sampler, lambda: None)()) == []


def test_a_machine_whose_driver_is_not_asked_has_no_sampler() -> None:
    with sampling(Machine(SysfsRoot("/"), NoNvml()), lambda: None) as parts:
        assert parts == ()
