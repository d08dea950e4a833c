"""NVML's events as the real pynvml receives them, from the C library while its fixture is replaced."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from nvtopo.model.records.nvml_events import NvmlEvent
from nvtopo.sources.nvml.events import NvmlEvents
from nvtopo.sources.nvml.events_policy import Pace
from tests.hosts.recorded import FIXTURES
from tests.nvml import build

pytestmark = pytest.mark.slow

H100: Final = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "nvml.json"
GPUS: Final = json.loads(H100.read_text())["gpus"]
FAST: Final = Pace(silence=30, start=30, backoff=0.05, longest_backoff=0.2)
XID, DOUBLE_BIT_ECC = 0x8, 0x2


class Driver:
    """The driver of eight GPUs, and who listens to it."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._path = directory / "nvml.json"
        self._stack = stack
        self._told: list[Any] = []
        self.heard: queue.SimpleQueue[NvmlEvent] = queue.SimpleQueue()
        self.opened: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.is_like()

    def is_like(self, change: Callable[[Any], object] = lambda _: None) -> None:
        model = json.loads(H100.read_text()) | {"events": self._told}
        change(model)
        replacement = self._path.with_suffix(".new")
        replacement.write_text(json.dumps(model))
        replacement.replace(self._path)

    def tells(self, gpu: int, kind: int, data: int = 0, change: Callable[[Any], object] = lambda _: None) -> None:
        self._told.append({"gpu": gpu, "type": kind, "data": data})
        self.is_like(change)

    def listen(self, pace: Pace = FAST, library: str | None = None) -> NvmlEvents:
        events = NvmlEvents(library or str(build.library()), self.heard.put, pace, lambda: self.opened.put(None))
        self._stack.callback(events.join, 10)
        return self._stack.enter_context(events)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    monkeypatch.setenv("NVTOPO_NVML_FIXTURE", str(tmp_path / "nvml.json"))
    monkeypatch.setenv("NVTOPO_NVML_LIVE", "1")
    with ExitStack() as stack:
        yield Driver(tmp_path, stack)


def wait_for(probe: Callable[[], Any], seconds: float = 60) -> Any:
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if found := probe():
            return found
        pause.wait(0.02)
    raise AssertionError("not in time")


def worker(events: NvmlEvents) -> psutil.Process:
    wait_for(lambda: events.listening == 8)
    assert events.worker_pid is not None
    return psutil.Process(events.worker_pid)


def test_an_xid_is_heard_with_its_gpu(driver: Driver) -> None:
    worker(driver.listen())
    driver.tells(3, XID, 79)
    assert driver.heard.get(timeout=30) == NvmlEvent(kind="xid", gpu=3, uuid=GPUS[3]["uuid"], xid=79)


def test_other_events_are_heard_by_kind_and_clocks_are_not(driver: Driver) -> None:
    worker(driver.listen())
    driver.tells(0, 0x10)
    driver.tells(5, DOUBLE_BIT_ECC)
    assert driver.heard.get(timeout=30) == NvmlEvent(kind="double-bit-ecc", gpu=5, uuid=GPUS[5]["uuid"])


def test_a_gpu_without_events_does_not_keep_us_from_the_others(driver: Driver) -> None:
    def is_odd(model: Any) -> None:
        model["gpus"][1]["returns"] = {"nvmlDeviceRegisterEvents": 3}
        model["gpus"][2]["lost"] = True

    driver.is_like(is_odd)
    events = driver.listen()
    wait_for(lambda: events.listening == 6)
    driver.tells(7, XID, 31, is_odd)
    assert driver.heard.get(timeout=30).gpu == 7


def test_a_wait_that_finds_a_gpu_lost_says_so_and_is_begun_anew(driver: Driver) -> None:
    events = driver.listen()
    before = worker(events).pid
    driver.is_like(lambda model: model.update(returns={"nvmlEventSetWait_v2": 15}))
    assert driver.heard.get(timeout=30) == NvmlEvent(kind="gpu-lost")
    driver.is_like()
    wait_for(lambda: events.listening == 8 and events.worker_pid not in (None, before))


def test_a_worker_that_dies_is_replaced(driver: Driver) -> None:
    events = driver.listen()
    first = worker(events)
    first.kill()
    wait_for(lambda: events.worker_pid not in (None, first.pid))
    worker(events)
    driver.tells(3, XID, 79)
    assert driver.heard.get(timeout=30).xid == 79


def test_a_worker_that_hangs_is_replaced_and_said_once(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    driver.is_like(lambda model: model.update(delays={"nvmlEventSetWait_v2": 600_000}))
    events = driver.listen(FAST._replace(silence=0.3))
    first = wait_for(lambda: events.worker_pid)
    wait_for(lambda: events.worker_pid not in (None, first))
    driver.is_like()
    worker(events)
    said = [vars(record).get("reason") for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["no answer within 0.3 s: the driver hangs"]


def test_a_driver_that_comes_later_is_heard(driver: Driver, tmp_path: Path) -> None:
    library = tmp_path / "libnvidia-ml.so.1"
    events = driver.listen(library=str(library))
    assert events.listening == 0
    library.symlink_to(build.library())
    worker(events)


def test_gpus_that_came_are_heard_after_a_renewal_and_nobody_is_killed_for_it(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    driver.is_like(lambda model: model["gpus"].pop())
    events = driver.listen()
    wait_for(lambda: events.listening == 7)
    driver.is_like()
    events.renew()
    driver.opened.get(timeout=30)
    driver.opened.get(timeout=30)
    driver.tells(7, XID, 79)
    assert driver.heard.get(timeout=30).gpu == 7
    assert caplog.records == []


def test_the_end_is_quick_and_leaves_nobody(driver: Driver) -> None:
    with NvmlEvents(str(build.library()), driver.heard.put, FAST) as events:
        process = worker(events)
    events.join(10)
    assert not process.is_running()
