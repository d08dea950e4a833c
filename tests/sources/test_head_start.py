"""The NVML worker that starts before the command line is read: a guess that costs nothing if it is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nvtopo.sources.nvml import head_start
from tests.hosts.recorded import FIXTURES
from tests.machines import sysfs_text
from tests.nvml import build

HOST = FIXTURES / "hosts" / "h100-one-link-down"
LIBRARY = "/opt/driver/libnvidia-ml.so.1"


@pytest.mark.parametrize(
    ("arguments", "environment", "library"),
    [
        (["dump"], {}, ""),
        (["dump", "-o", "tree"], {}, ""),
        (["dump", "--nvml", LIBRARY], {}, LIBRARY),
        (["dump", f"--nvml={LIBRARY}", "--root", "/host"], {}, LIBRARY),
        (["dump", "--nvml"], {}, None),
        (["dump"], {"NVTOPO_NVML": LIBRARY}, LIBRARY),
        (["dump"], {"NVTOPO_DUMP_NVML": LIBRARY}, LIBRARY),
        (["dump", "--nvml", "none"], {"NVTOPO_NVML": LIBRARY}, "none"),
        (["dump", "--root", "/host"], {}, None),
        (["dump"], {"NVTOPO_DUMP_ROOT": "/host"}, None),
        (["dump", "--from", "file"], {}, None),
        (["dump", "--from=file", "--nvml", LIBRARY], {}, None),
        (["dump"], {"NVTOPO_DUMP_FROM": "file"}, None),
        (["dump", "--help"], {}, None),
        (["doctor"], {}, None),
        (["--version"], {}, None),
        ([], {}, None),
    ],
)
def test_what_is_guessed(arguments: list[str], environment: dict[str, str], library: str | None) -> None:
    assert head_start.guess(arguments, environment) == library


def test_without_a_driver_nothing_starts(tmp_path: Path) -> None:
    missing = str(tmp_path / "libnvidia-ml.so.1")
    head_start.begin(["dump", "--nvml", missing], {})
    worker = head_start.take(missing)
    assert worker is not None
    assert worker.finish().facts is None


@pytest.mark.slow
@pytest.mark.parametrize("taken", [True, False])
def test_a_worker_for_another_library_or_for_nobody_is_ended(taken: bool) -> None:
    library = str(build.library())
    head_start.begin(["dump", "--nvml", library], {})
    child = head_start._started[0]._child
    assert child is not None
    if taken:
        assert head_start.take(LIBRARY) is None
    else:
        head_start.end()
    assert child.ended
    assert head_start.take(library) is None


@pytest.mark.slow
def test_it_starts_before_what_takes_time_is_imported() -> None:
    code = (
        "import sys, nvtopo.__main__; from nvtopo.sources.nvml import head_start;"
        f"head_start.begin(['dump', '--nvml', {str(build.library())!r}], {{}});"
        "print(len(head_start._started), *sorted({'click', 'msgspec', 'ctypes', 'subprocess'} & sys.modules.keys()));"
        "head_start.end()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "1\n"


@pytest.mark.slow
def test_a_dump_asks_the_driver_once(tmp_path: Path) -> None:
    sysfs_text.unpack((HOST / "sys.txt").read_text(encoding="utf-8"), tmp_path)
    calls = tmp_path / "calls"
    environment = {**os.environ, "NVTOPO_NVML_FIXTURE": str(HOST / "nvml.json"), "NVTOPO_NVML_CALLS": str(calls)}
    arguments = ("dump", "--root", str(tmp_path), "--nvml", str(build.library()))
    for _try in range(20):  # the worker that has answered may be ended before it has written its calls
        done = subprocess.run(
            [sys.executable, "-m", "nvtopo", *arguments],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "! GPU2: 17 of 18 NVLinks, link 7 inactive" in done.stdout
        if calls.exists():
            break
    sessions = [json.loads(line) for line in calls.read_text(encoding="utf-8").splitlines()]
    assert len(sessions) == 1


@pytest.mark.slow
def test_a_dump_imports_nothing_that_only_others_need() -> None:
    code = (
        "import json, sys; from nvtopo import cli; cli.main(['dump', '--nvml', 'none'], standalone_mode=False);"
        "json.dump(sorted(sys.modules), sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    imported = set(json.loads(done.stderr))
    assert "nvtopo.sources.reading" in imported
    assert "nvtopo.runtime.call_guard" not in imported, "a dump has no deadlines"
    assert imported & {"asyncio", "ctypes", "hashlib", "http", "ipaddress", "logging", "pathlib", "subprocess"} == set()
    assert {name for name in imported if name.partition(".")[0] in {"kubernetes", "pynvml", "urllib3", "yaml"}} == set()


@pytest.mark.slow
@pytest.mark.parametrize("worker", ["worker", "counters_worker", "events_worker"])
def test_a_worker_imports_pynvml_without_what_it_uses_on_windows_only(worker: str) -> None:
    code = (
        f"import sys; from nvtopo.sources.nvml import {worker};"
        "unused = {'ctypes.util', 'random', 'subprocess', 'tempfile'};"
        "print('pynvml' in sys.modules, *sorted(unused & sys.modules.keys()));"
        "import ctypes.util; print(ctypes.util.__file__ is not None)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\nTrue\n"


@pytest.mark.slow
def test_who_imports_pynvml_has_ctypes_util_as_it_was() -> None:
    code = (
        "import sys, ctypes.util; from nvtopo.sources.nvml.binding import pynvml;"
        "print(pynvml.find_library is ctypes.util.find_library is sys.modules['ctypes.util'].find_library)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n"
