"""The eighteen captures of ``fixtures/clusters/gb200-nvl72-rack``, which the demonstration shows."""

from pathlib import Path

import msgspec
import pytest

from fixtures import synthesize
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.fabric import domain
from nvtopo.sources.capture import read_capture
from tests import golden
from tests.hosts.recorded import RACK, snapshot_of

TRAYS = 18
DEMO = RACK.with_name("gb200-nvl72-demo")


@pytest.fixture(scope="module")
def trays() -> list[tuple[str, str, str]]:
    return list(synthesize.trays(TRAYS))


@pytest.mark.parametrize("tray", [0, *(pytest.param(tray, marks=pytest.mark.slow) for tray in range(1, TRAYS))])
def test_a_tray_s_capture_is_what_the_sources_read(
    trays: list[tuple[str, str, str]], tray: int, tmp_path: Path
) -> None:
    name, sys_text, nvml_text = trays[tray]
    nvml = tmp_path / "nvml.json"
    nvml.write_text(nvml_text, encoding="utf-8")
    content = msgspec.json.encode(snapshot_of(sys_text, nvml), order="deterministic").decode() + "\n"
    golden.check(content, RACK / f"{name}.json")


@pytest.mark.parametrize(("number", "name"), [(0, "nvl72-r01-t03"), (1, "nvl72-r01-t12")])
def test_the_demonstration_s_faulty_trays_are_what_the_sources_read(number: int, name: str, tmp_path: Path) -> None:
    found, sys_text, nvml_text = list(synthesize.faulty_trays())[number]
    assert found == name
    nvml = tmp_path / "nvml.json"
    nvml.write_text(nvml_text, encoding="utf-8")
    content = msgspec.json.encode(snapshot_of(sys_text, nvml), order="deterministic").decode() + "\n"
    golden.check(content, DEMO / f"{name}.json")


def test_the_demonstration_s_other_trays_are_those_of_the_rack_and_one_is_missing() -> None:
    shown = {path.name for path in DEMO.glob("*.json")}
    assert {path.name for path in RACK.glob("*.json")} - shown == {"nvl72-r01-t08.json"}
    for name in shown - {"nvl72-r01-t03.json", "nvl72-r01-t12.json"}:
        assert (DEMO / name).read_bytes() == (RACK / name).read_bytes()


def test_the_rack_is_one_nvlink_domain_of_72_gpus() -> None:
    nodes = [assemble(read_capture(path)) for path in sorted(RACK.glob("*.json"))]
    assert len(nodes) == TRAYS
    assert sum(len(node.gpus) for node in nodes) == 72
    assert len({domain(node) for node in nodes}) == 1
    assert len({gpu.uuid for node in nodes for gpu in node.gpus}) == 72
