"""This very process, and a worker of it."""

import resource
import subprocess
import sys
import threading

import psutil

from nvtopo.sinks.metrics import processes as process_metrics
from nvtopo.sinks.metrics.series import text
from nvtopo.sources.linux import own_process


def test_it_is_this_process() -> None:
    found = own_process.read()
    assert found.cpu_seconds > 0
    assert found.started_at_seconds == psutil.Process().create_time()
    assert 0 < found.resident_bytes < found.virtual_bytes
    assert 0 < found.open_files <= found.most_files == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_workers_are_counted_whichever_thread_started_them() -> None:
    started: list[subprocess.Popen[bytes]] = []
    program = [sys.executable, "-c", "print(flush=True); input()"]

    def start() -> None:
        started.append(subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert started[-1].stdout
        assert started[-1].stdout.readline()
        began.set()
        end.wait(30)

    began, end = threading.Event(), threading.Event()
    thread = threading.Thread(target=start)
    thread.start()
    try:
        assert began.wait(30)
        found = own_process.read()
        assert found.workers == len(psutil.Process().children()) >= 1
        assert found.workers_resident_bytes
        assert found.workers_resident_bytes > 1 << 20
    finally:
        end.set()
        thread.join()
        with started[0]:
            started[0].communicate(b"\n", timeout=30)


def test_the_page_has_what_every_exporter_has() -> None:
    page = text(process_metrics.families(own_process.read()))
    assert "\nprocess_resident_memory_bytes " in page
    assert "# TYPE process_cpu_seconds_total counter\n" in page
