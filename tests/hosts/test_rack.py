"""The eighteen captures of ``fixtures/clusters/gb200-nvl72-rack``, which the demonstration shows."""

from pathlib import Path

import msgspec
import pytest

from fixtures import synthesize
from nvtopo.model.assemble import assemble
from nvtopo.model.fabric import domain
from nvtopo.sources.capture import read_capture
from tests import golden
from tests.hosts.recorded import RACK, snapshot_of

TRAYS = 18


@pytest.fixture(scope="module")
def trays() -> list[tuple[str, str, str]]:
    return list(synthesize.trays(TRAYS))


@pytest.mark.parametrize("tray", range(TRAYS))
def test_a_tray_s_capture_is_what_the_sources_read(
    trays: list[tuple[str, str, str]], tray: int, tmp_path: Path
) -> None:
    name, sys_text, nvml_text = trays[tray]
    nvml = tmp_path / "nvml.json"
    nvml.write_text(nvml_text, encoding="utf-8")
    content = msgspec.json.encode(snapshot_of(sys_text, nvml), order="deterministic").decode() + "\n"
    golden.check(content, RACK / f"{name}.json")


def test_the_rack_is_one_nvlink_domain_of_72_gpus() -> None:
    nodes = [assemble(read_capture(path)) for path in sorted(RACK.glob("*.json"))]
    assert len(nodes) == TRAYS
    assert sum(len(node.gpus) for node in nodes) == 72
    assert len({domain(node) for node in nodes}) == 1
    assert len({gpu.uuid for node in nodes for gpu in node.gpus}) == 72
