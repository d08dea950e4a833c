"""Asks the real pynvml over the stand-in library in a process of its own, since pynvml never forgets what it loaded.

`ask` sends Python expressions to a child; the child answers with their values, or with NVML's code where one raises.
Names in them: `p` is pynvml, `h` the list of GPU handles (of those that can be had), and the functions in `VOCABULARY`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.nvml import build

VOCABULARY: Final = '''
import ctypes, json, sys, time
import pynvml as p

def fields(handle, *ids):
    """(code, value type, value) of each field."""
    members = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
    found = p.nvmlDeviceGetFieldValues(handle, list(ids))
    return [[f.nvmlReturn, f.valueType, getattr(f.value, members[f.valueType])] for f in found]

def fabric(handle, revision):
    """[cluster UUID, status, clique, state, health mask, summary] as the revision has them."""
    info = {1: p.c_nvmlGpuFabricInfo_t, 2: p.c_nvmlGpuFabricInfo_v2_t, 3: p.c_nvmlGpuFabricInfo_v3_t}[revision]()
    (p.nvmlDeviceGetGpuFabricInfo if revision == 1 else p.nvmlDeviceGetGpuFabricInfoV)(handle, ctypes.byref(info))
    answer = [bytes(info.clusterUuid).hex(), info.status, info.cliqueId, info.state & 0xFF]
    return answer + [getattr(info, name) for name in ("healthMask", "healthSummary") if hasattr(info, name)]

def platform(handle, revision):
    """The structure's bytes after the version word."""
    info = {1: p.c_nvmlPlatformInfo_v1_t, 2: p.c_nvmlPlatformInfo_v2_t}[revision]()
    p.nvmlDeviceGetPlatformInfo(handle, ctypes.byref(info))
    return ctypes.string_at(ctypes.addressof(info) + 4, ctypes.sizeof(info) - 4).hex()

def pairs(function):
    """The function of every ordered pair of different GPUs."""
    return [function(a, b) for a in h for b in h if a is not b]

def timed(function):
    start = time.monotonic()
    value = function()
    return [value, time.monotonic() - start]
'''

_ANSWER: Final = """
def attempt(function):
    try:
        return {"value": function()}
    except p.NVMLError as error:
        return {"code": error.value}

expressions = json.load(sys.stdin)
init = attempt(p.nvmlInit)
h = []
for index in range(0 if "code" in init else p.nvmlDeviceGetCount()):
    found = attempt(lambda: p.nvmlDeviceGetHandleByIndex(index))
    h += [found["value"]] if "value" in found else []
answers = {name: attempt(lambda: eval(text)) for name, text in expressions.items()}
if "value" in init:
    p.nvmlShutdown()
json.dump({"init": init, **answers}, sys.stdout)
"""


@dataclass(frozen=True)
class Code:
    """What NVML returned instead of a value."""

    value: int


@dataclass(frozen=True)
class Answers:
    """Values by name of the expression; `stderr` is what the library said."""

    values: Mapping[str, Any]
    stderr: str

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def ask(fixture: Path, environment: Mapping[str, str] | None = None, /, **expressions: str) -> Answers:
    """The values of expressions, `init` too, in a child that has loaded the library with the fixture."""
    done = subprocess.run(
        [sys.executable, "-c", VOCABULARY + _ANSWER],
        input=json.dumps(expressions),
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(build.library().parent),
            "NVTOPO_NVML_FIXTURE": str(fixture),
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    values = {name: Code(answer["code"]) if "code" in answer else answer["value"] for name, answer in answers.items()}
    return Answers(values, done.stderr)
