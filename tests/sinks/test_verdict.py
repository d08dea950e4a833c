"""The last lines of the matrix say why a node is not ready, and a path that lacks links looks it."""

import pytest

from nvtopo.cli import colour
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.health_kinds import ILL, KINDS
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.text import matrix, verdict
from nvtopo.sources.capture import read_capture
from tests.hosts.recorded import FIXTURES

HOSTS = sorted(path.name for path in (FIXTURES / "hosts").iterdir() if (path / "capture.json").exists())


def _node(host: str) -> NodeTopology:
    return assemble(read_capture(FIXTURES / "hosts" / host / "capture.json"))


def _marked(text: str, look: str) -> str:
    """The style of a terminal that shows looks as words."""
    return f"<{look}>{text}</>" if look else text


def _lines(host: str) -> list[str]:
    node = _node(host)
    return verdict.lines(node, derive(node), matrix.plain).splitlines()


@pytest.mark.parametrize("host", HOSTS)
def test_a_node_that_is_not_ready_yet_or_at_all_says_why_and_one_without_a_fault_says_nothing(host: str) -> None:
    health = derive(_node(host)).health
    faults = [reason for reason in health.reasons if KINDS[reason.code].level in ILL]
    assert bool(_lines(host)) is (health.ready is False or health.level == "registering" or bool(faults))


def test_the_link_is_named_and_gpus_alike_share_a_line() -> None:
    assert _lines("h100-one-link-down") == ["! GPU2: 17 of 18 NVLinks, link 7 inactive"]
    assert _lines("gb200-fabric-unhealthy") == ["! GPUs 0-3: unhealthy to the NVLink fabric"]


def test_they_are_the_last_lines_and_have_the_look_of_their_level() -> None:
    node = _node("h100-one-link-down")
    text = matrix.render(node, derive(node), _marked)
    assert text.splitlines()[-1] == "<degraded>! GPU2: 17 of 18 NVLinks, link 7 inactive</>"


def test_a_problem_is_said_once() -> None:
    node = _node("h100-gpu-lost")
    text = matrix.render(node, derive(node))
    assert text.count("GPU is lost") == 1
    assert "Could not be read" not in text


def test_a_path_that_lacks_links_is_not_the_same_green() -> None:
    node = _node("h100-one-link-down")
    text = matrix.render(node, derive(node), _marked)
    assert text.count("<NV, links missing>NV17") == 2 * 7
    assert text.count("<NV>NV18") == 7 * 6


@pytest.mark.parametrize("host", HOSTS)
def test_without_a_gpu_that_lacks_links_no_path_does(host: str) -> None:
    node = _node(host)
    derived = derive(node)
    lacking = any(reason.code == "nvlinks-missing" for reason in derived.health.reasons)
    assert ("<NV, links missing>" in matrix.render(node, derived, _marked)) is lacking


@pytest.mark.parametrize("look", ["NV", "NV, links missing", "PIX", "PXB", "PHB", "NODE", "SYS", "?", *sorted(ILL)])
def test_every_look_has_a_colour_of_its_own(look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "wanted", lambda: True)
    assert colour.style("x", look) != "x"
    assert colour.style("x", "NV, links missing") != colour.style("x", "NV")
