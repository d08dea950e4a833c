"""What a machine should have: stated, accepted, learned, and what makes fewer right."""

import os
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace

from nvtopo.agent.expectation_file import ExpectationFile
from nvtopo.agent.expectations import AgentExpectations
from nvtopo.model.conclusions import health
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.node import Accelerator, NodeTopology
from nvtopo.model.records.standing import Standing
from tests.cluster.machines import tray

NAME: Final = "NVIDIA GB200"


def with_gpus(count: int, *drivers: str) -> NodeTopology:
    """So many GPUs that answer, and one without an answer for each driver."""
    silent = tuple(
        Accelerator(pci_address=PciAddress(f"0000:{number:02x}:00.0"), model="10de:2941", driver=driver)
        for number, driver in enumerate(drivers, 1)
    )
    return replace(tray(), gpus=tray().gpus[:count], accelerators=silent)


def a_file(path: Path, expect: str, name: str = NAME) -> ExpectationFile:
    path.write_text(f"shapes: {{a: {{match: {{gpu: {name}}}, expect: {expect}}}}}", encoding="utf-8")
    return ExpectationFile(path)


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        ([with_gpus(4)], 4),
        ([with_gpus(4), with_gpus(3)], 4),
        ([with_gpus(3), with_gpus(4), with_gpus(0)], 4),
        ([with_gpus(2, "nvidia", "vfio-pci")], 4),
        ([with_gpus(0)], None),
    ],
)
def test_the_most_that_was_seen_is_learned(seen: list[NodeTopology], count: int | None) -> None:
    expectations = AgentExpectations()
    found = [expectations.of(node).expected for node in seen][-1]
    assert (None if found is None else (found.gpus, found.learned)) == (None if count is None else (count, ("gpus",)))


def test_each_field_is_of_the_first_source_that_states_it(tmp_path: Path) -> None:
    files = [a_file(tmp_path / "own.yaml", "{rails: 4}"), a_file(tmp_path / "map.yaml", "{gpus: 3, rails: 8}")]
    standing = Standing(
        accepted=Expectation(gpus=2, mtu_bytes=9000), learned=Expectation(mtu_bytes=1500, nvlinks_per_gpu=18)
    )
    found = AgentExpectations(files, lambda: standing).of(with_gpus(4)).expected
    assert found is not None
    assert (found.rails, found.gpus, found.mtu_bytes, found.nvlinks_per_gpu) == (4, 3, 9000, 18)
    assert found.learned == ("nvlinksPerGpu",)


def test_of_what_was_learned_the_larger_counts() -> None:
    heard = [Standing(learned=Expectation(gpus=8))]
    expectations = AgentExpectations(standing=lambda: heard[0])
    first = expectations.of(with_gpus(4)).expected
    heard[0] = Standing(learned=Expectation(gpus=2))
    second = expectations.of(with_gpus(3)).expected
    assert first is not None
    assert second is not None
    assert (first.gpus, second.gpus) == (8, 4)


def test_a_shape_that_no_entry_names_has_no_expectation(tmp_path: Path) -> None:
    due = AgentExpectations([a_file(tmp_path / "file", "{gpus: 8, rails: 8}", "NVIDIA H100")]).of(with_gpus(0))
    assert due.expected is None
    assert due.problems == ()


def test_a_gpu_gone_is_a_fault_and_one_given_away_is_none() -> None:
    expectations = AgentExpectations()
    expectations.of(with_gpus(4))
    gone, given = with_gpus(3), with_gpus(3, "vfio-pci")
    of_gone = health.of(replace(gone, expected=expectations.of(gone).expected))
    of_given = health.of(replace(given, expected=expectations.of(given).expected))
    assert (of_gone.ready, of_gone.level, list(of_gone.slots)) == (False, "fault", ["missing 1"])
    assert of_given.ready is True


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"shapes: {a: {expect: {}}}", "file: expected `shapes: NAME"),
        (b"\xff\xfe\x00", "file: expected `shapes: NAME"),
        (b"", "file: expected `shapes: NAME"),
        (b"[" * 100_000, "file: expected `shapes: NAME"),
        (b"{" * 100_000, "file: expected `shapes: NAME"),
        (b"# " + b"x" * (1 << 20), "{path}: expected a file of at most 1 MiB"),
    ],
)
def test_a_file_that_is_none_is_a_problem_in_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    due = AgentExpectations([ExpectationFile(path)]).of(with_gpus(4))
    (problem,) = due.problems
    assert problem.subject == str(path)
    assert problem.reason.startswith(says.replace("{path}", str(path)))
    assert "\n" not in problem.reason


def test_a_file_that_is_not_there_is_a_problem_unless_it_need_not_be(tmp_path: Path) -> None:
    files = [ExpectationFile(tmp_path / "no"), ExpectationFile(tmp_path / "other", optional=True)]
    (problem,) = AgentExpectations(files).of(with_gpus(4)).problems
    assert (problem.subject, problem.reason) == (str(tmp_path / "no"), "No such file or directory")


def test_a_folder_is_a_problem(tmp_path: Path) -> None:
    (problem,) = AgentExpectations([ExpectationFile(tmp_path, optional=True)]).of(with_gpus(4)).problems
    assert problem.reason == "is no file"


def test_a_file_is_read_again_when_it_changes_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    expectations = AgentExpectations([a_file(path, "{rails: 4}")])

    def rails() -> tuple[int | None, list[str]]:
        due = expectations.of(with_gpus(4))
        return (None if due.expected is None else due.expected.rails), [one.reason for one in due.problems]

    assert rails() == (4, [])
    a_file(path, "{rails: 16}")
    assert rails() == (16, [])
    path.write_text("shapes: [", encoding="utf-8")
    count, (reason,) = rails()
    assert count == 16
    assert reason.endswith("; what it said before stays in force")
    assert rails() == (16, [reason])
    a_file(path, "{rails: 2}")
    assert rails() == (2, [])


def test_a_configmap_that_is_swapped_is_read_again_and_one_that_goes_says_nothing(tmp_path: Path) -> None:
    for version, rails in (("1", 4), ("2", 8)):
        (tmp_path / version).mkdir()
        a_file(tmp_path / version / "file", f"{{rails: {rails}}}")
    link = tmp_path / "data"
    link.symlink_to("1")
    expectations = AgentExpectations([ExpectationFile(link / "file", optional=True)])
    found = [expectations.of(with_gpus(4)).expected]
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").replace(link)
    found.append(expectations.of(with_gpus(4)).expected)
    link.unlink()
    found.append(expectations.of(with_gpus(4)).expected)
    assert [None if one is None else one.rails for one in found] == [4, 8, None]


def test_a_configmap_with_another_key_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "expect.yaml").write_text("shapes: {}", encoding="utf-8")
    file = ExpectationFile(tmp_path / "expectations.yaml", optional=True)
    (problem,) = AgentExpectations([file]).of(with_gpus(4)).problems
    assert problem.reason == "expected the key expectations.yaml, got expect.yaml"
    (tmp_path / "expect.yaml").unlink()
    assert AgentExpectations([file]).of(with_gpus(4)).problems == ()


@pytest.mark.parametrize("name", [os.fsdecode(b"\xff"), "\x1b]0;x\x07"])
def test_a_file_name_that_is_no_text_can_be_published(tmp_path: Path, name: str) -> None:
    """The node's object is JSON, which has no place for half a character."""
    (tmp_path / name).touch()
    missing, named = ExpectationFile(tmp_path / name / "x"), ExpectationFile(tmp_path / "file", optional=True)
    for file in (missing, named):
        file.read()
        assert file.problem is not None
        msgspec.json.encode(file.problem)
        assert file.problem.subject.isprintable()
        assert file.problem.reason.isprintable()
