"""What the NVML worker prints is what the records read: a member that no record knows would be dropped in silence."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nvtopo.model.records.facts import nvml
from nvtopo.model.records.record import Record
from tests.hosts.recorded import FIXTURES
from tests.nvml import build

HOSTS = ("gb200-nvl72-tray", "h100-sxm-8gpu-8cx7")


def _answer(nvml: Path) -> Any:
    """The worker's line, before any record has seen it."""
    program = "from nvtopo.sources.nvml import worker; worker.main()"
    child = subprocess.run(
        [sys.executable, "-c", program, str(build.library())],
        env=os.environ | {"NVTOPO_NVML_FIXTURE": str(nvml)},
        capture_output=True,
        check=True,
    )
    return json.loads(child.stdout)["facts"]


def _members(value: Any) -> set[str]:
    """The names of members of objects, however deep they are."""
    if isinstance(value, list):
        return {name for item in value for name in _members(item)}
    return set(value).union(*map(_members, value.values())) if isinstance(value, dict) else set()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.slow
def test_every_member_that_the_worker_prints_is_in_a_record(host: str) -> None:
    records = [kind for kind in vars(nvml).values() if isinstance(kind, type) and issubclass(kind, Record)]
    known = {name for record in records for name in record.__struct_encode_fields__}
    assert _members(_answer(FIXTURES / "hosts" / host / "nvml.json")) - known == set()
