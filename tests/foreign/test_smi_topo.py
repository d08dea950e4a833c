"""``nvidia-smi topo -m``: matrices of invented machines, and what logs make of them."""

import json
import re
from collections.abc import Callable

import pytest

from nvtopo.errors import ParseError
from nvtopo.model.derive import Derived, derive
from nvtopo.model.node import NodeTopology
from nvtopo.sources.foreign.recognise import read_foreign
from tests.foreign.samples import matrix, switched


def node(text: str) -> NodeTopology:
    return read_foreign(text.encode(), "input")


def derived(text: str) -> Derived:
    return derive(node(text))


def square(rows: list[str], nics: int = 0) -> str:
    """A matrix from rows such as ``X NV4 SYS``."""
    labels = [f"GPU{index}" for index in range(len(rows) - nics)] + [f"NIC{index}" for index in range(nics)]
    return matrix([row.split() for row in rows], labels)


def test_a_switched_machine_is_one_full_group() -> None:
    found = derived(matrix(*switched(8, 0)))
    assert found.nvlink_groups == ((0, 1, 2, 3, 4, 5, 6, 7),)
    assert found.nvlink_full_mesh == (True,)
    assert found.nvlink_degraded == ()
    assert found.complete


def test_affinity_columns_are_read() -> None:
    found = derived(matrix(*switched(2, 0)))
    assert found.cpu_affinity == {"GPU0": "0-7", "GPU1": "8-15"}
    assert found.numa == {"GPU0": 0, "GPU1": 1}


@pytest.mark.parametrize(
    ("tail", "cpus", "numa", "memory"),
    [
        ("0-3\t0\t\tN/A", "0-3", 0, None),
        ("0-3\t0\t\t2", "0-3", 0, 2),
        ("0-3\t\tN/A\t\tN/A", "0-3", None, None),
        ("\t\t\tN/A", "", None, None),
        ("0-3   0   N/A", "0-3", 0, None),
        ("N/A", "", None, None),
        ("0-89   0N/A", "0-89", 0, None),
        ("90-1791N/A", "90-179", 1, None),
        ("0,2,4\t0-1\t\tN/A", "0,2,4", "0-1", None),
        ("0-71   0,3-9   2", "0-71", "0,3-9", 2),
    ],
)
def test_a_tail_is_read_whatever_is_missing_or_glued(
    tail: str, cpus: str, numa: int | str | None, memory: int | None
) -> None:
    text = matrix([["X"]], ["GPU0"], [tail])
    found = derived(text)
    assert (found.cpu_affinity["GPU0"], found.numa["GPU0"]) == (cpus, numa)
    assert node(text).gpus[0].memory_numa_node == memory


@pytest.mark.parametrize(("rest", "cpus"), [("0-1\n5   0   N/A", "0-15"), ("0-15\n0   N/A", "0-15"), ("0-15\n2", "")])
def test_a_tail_that_wraps_is_read_where_it_can_be_one_thing_only(rest: str, cpus: str) -> None:
    found = derived(matrix([["X"]], ["GPU0"], [rest]))
    assert found.cpu_affinity["GPU0"] == cpus
    assert found.complete == bool(cpus)


def test_a_tail_that_is_no_affinity_is_a_problem() -> None:
    assert not derived(matrix([["X"]], ["GPU0"], ["what is this"])).complete


_WRAP = 44


def _wrapped(text: str) -> str:
    head, _, rest = text.partition("\nLegend")
    lines = [line[at : at + _WRAP] for line in head.expandtabs(8).split("\n") for at in range(0, len(line), _WRAP)]
    return "\n".join(lines) + "\n\nLegend" + rest


@pytest.mark.parametrize(
    "mangle",
    [
        lambda text: text.expandtabs(8),
        lambda text: "\x1b[4m" + text.replace("\n", "\x1b[0m\n", 1),
        lambda text: "[4m" + text.replace("\n", "[0m\n", 1),
        lambda text: "\ufffd[4m" + text.replace("\n", "\ufffd[0m\n", 1),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: re.sub("(?m)^", "INFO 2025-04-06T03:02:45.8Z ", text),
        lambda text: re.sub("(?m)^", "> ", text),
        lambda text: text.lstrip("\t"),
        lambda text: "# Report\n\n```\n" + text + "\n```\nGPU0 is fine.\n",
        lambda text: re.sub("[\t ]+", " ", text),
        lambda text: text.expandtabs(8).replace("NIC0    NIC1", "NIC0NIC1").replace("PIX     SYS", "PIXSYS"),
        lambda text: json.dumps({"log": "\ufffd[4m" + text}),
        lambda text: "".join(json.dumps({"log": f"{line}\n", "stream": "stdout"}) + "\n" for line in text.split("\n")),
        lambda text: re.sub("(?m)^(?=.*\t)|\t", " | ", text),
        _wrapped,
        lambda text: re.sub("(?m) +$", "", _wrapped(text)),
    ],
    ids=[
        "blanks",
        "esc",
        "no-esc",
        "fffd",
        "crlf",
        "log",
        "quote",
        "no-tab",
        "markdown",
        "single",
        "glued",
        "json",
        "docker",
        "table",
        "wrapped",
        "wrapped-stripped",
    ],
)
def test_a_mangled_matrix_says_the_same(mangle: Callable[[str], str]) -> None:
    text = matrix(*switched(4, 2))
    assert node(mangle(text)) == node(text)


def test_utf16_of_a_windows_shell_is_text() -> None:
    text = matrix(*switched(2, 0))
    assert read_foreign(text.encode("utf-16"), "input") == node(text)


def test_names_come_from_the_legend_where_it_is_sound() -> None:
    text = matrix(*switched(2, 2)) + "\nNIC Legend:\n\n  NIC0: mlx5_7\n  NIC1: SYS    NODE\n"
    assert [nic.name for nic in node(text).nics] == ["mlx5_7", "NIC1"]
    assert not derived(text).complete


def test_nearest_nics_are_those_of_the_best_level() -> None:
    found = derived(square(["X SYS PIX NODE", "SYS X SYS SYS", "PIX SYS X SYS", "NODE SYS SYS X"], nics=2))
    assert (found.nearest_nics["GPU0"].level, found.nearest_nics["GPU0"].nics) == ("PIX", ("NIC0",))
    assert (found.nearest_nics["GPU1"].level, found.nearest_nics["GPU1"].nics) == ("SYS", ("NIC0", "NIC1"))


def test_one_sided_links_do_not_count_and_the_gpu_that_lost_them_is_degraded() -> None:
    found = derived(square(["X NV6 NV6", "NV6 X NV6", "SYS SYS X"]))
    assert found.nvlink_groups == ((0, 1),)
    assert found.nvlink_degraded == (2,)
    assert not found.complete


@pytest.mark.parametrize(
    ("rows", "degraded"),
    [
        (["X NV18 SYS SYS", "NV18 X SYS SYS", "SYS SYS X NV17", "SYS SYS NV17 X"], (2, 3)),
        (["X NV8 SYS SYS", "NV8 X SYS SYS", "SYS SYS X NV4", "SYS SYS NV4 X"], ()),
        (["X NV1 NV2 SYS", "NV1 X SYS NV2", "NV2 SYS X NV1", "SYS NV2 NV1 X"], ()),
        (["X NV16 NV18 NV18", "NV16 X NV16 NV16", "NV18 NV16 X NV18", "NV18 NV16 NV18 X"], (1,)),
        (["X NV4 SYS SYS", "NV4 X SYS SYS", "SYS SYS X NV3", "SYS SYS NV3 X"], (2, 3)),
    ],
    ids=["17-of-18", "bridges-in-part", "cube-mesh", "switched", "odd-bridge"],
)
def test_fewer_links_are_degraded_only_where_wiring_does_not_explain_them(
    rows: list[str], degraded: tuple[int, ...]
) -> None:
    assert derived(square(rows)).nvlink_degraded == degraded


def test_a_legend_without_nvlink_leaves_nvlink_unknown() -> None:
    found = derived(square(["X SYS", "SYS X"]).replace("NV#", "QQ"))
    assert found.nvlink_groups is None
    assert not found.complete


def test_old_columns_are_read() -> None:
    text = "\tGPU0\tGPU1\tmlx5_0\tCPU Affinity\nGPU0\t X \tSOC\tPHB\t0-7\nGPU1\tSOC\t X \tSOC\t8-15\n"
    found = derived(text + "mlx5_0\tPHB\tSOC\t X \n")
    assert found.nearest_nics["GPU0"].nics == ("mlx5_0",)
    assert found.gpu_pairs[0].link == "SYS"
    assert found.complete


def test_a_cut_matrix_is_answered_for_what_is_there() -> None:
    text = matrix(*switched(4, 1))
    found = derived(text[: text.index("GPU3\tNV18")])
    assert found.nvlink_groups == ((0, 1, 2),)
    assert not found.complete
    assert "GPU3" in {problem.subject for problem in found.problems}


def test_a_torn_row_is_not_believed() -> None:
    text = square(["X NV4 SYS", "NV4 X SYS", "SYS SYS X"])
    found = derived(text.replace("GPU1\tNV4\tX\tSYS", "GPU1\tX\tSYS"))
    assert found.nvlink_groups == ()
    assert not found.complete


def test_two_different_matrices_are_a_problem() -> None:
    assert not derived(matrix(*switched(2, 0)) + matrix(*switched(2, 0, "NV4"))).complete
    assert derived(matrix(*switched(2, 0)) + matrix(*switched(2, 0))).complete


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GPU0 and GPU1 are fine",
        "\tGPU0\tGPU1\tCPU Affinity\n",
        "ERROR: Option -m is missing its value.",
        "\tGPU0\tGPU0\tCPU Affinity\nGPU0\tX\tSYS\n",
    ],
)
def test_what_holds_no_matrix_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ParseError, match="expected") as refusal:
        node(text)
    assert "\n" not in str(refusal.value)
