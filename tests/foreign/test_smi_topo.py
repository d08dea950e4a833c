"""``nvidia-smi topo -m``: matrices of invented machines, and what logs make of them."""

import json
import re
from collections.abc import Callable

import pytest

from nvtopo.errors import ParseError
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.document import derived as document
from nvtopo.sinks.document.derived import DerivedDocument
from nvtopo.sources.foreign.recognise import read_foreign
from tests.foreign.samples import matrix, switched


def node(text: str) -> NodeTopology:
    return read_foreign(text.encode(), "input")


def derived(text: str) -> DerivedDocument:
    return document.of(derive(node(text)))


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


def _terminal(rows: list[str]) -> str:
    """Rows of a header and GPUs as a terminal shows their tabs."""
    return "\n".join(rows).expandtabs(8) + "\n"


_HEADER = "\tGPU0\tGPU1\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID"


@pytest.mark.parametrize(
    ("tail", "cpus", "numa", "memory"),
    [
        ("0-35\t1\t\tN/A", "0-35", 1, None),
        ("\t1\t\tN/A", "", 1, None),
        ("0-35\t\t\tN/A", "0-35", None, None),
        ("\t\t\tN/A", "", None, None),
        ("\t1\t\t7", "", 1, 7),
        ("0-35,72-107\t1\t\t7", "0-35,72-107", 1, 7),
    ],
)
def test_an_empty_cell_of_places_is_empty_whether_tabs_or_blanks_stand_there(
    tail: str, cpus: str, numa: int | None, memory: int | None
) -> None:
    rows = [_HEADER, "GPU0\t X \tNV18\tNODE\t0-3\t0\t\tN/A", f"GPU1\tNV18\t X \tNODE\t{tail}", "NIC0\tNODE\tNODE\t X"]
    for text in ("\n".join(rows) + "\n", _terminal(rows)):
        found = derived(text)
        assert (found.cpu_affinity["GPU1"], found.numa["GPU1"]) == (cpus, numa)
        assert node(text).gpus[1].memory_numa_node == memory


def test_places_below_the_titles_of_a_header_that_somebody_aligned() -> None:
    text = (
        "      GPU0  GPU1   CPU Affinity  NUMA Affinity    GPU NUMA ID\n"
        "GPU0   X    NV18                 3                2\n"
        "GPU1  NV18   X     0-71                           N/A\n"
    )
    gpus = node(text).gpus
    assert [(gpu.local_cpus, gpu.numa_node, gpu.memory_numa_node) for gpu in gpus] == [("", 3, 2), ("0-71", None, None)]


def test_a_number_that_can_be_a_cpu_or_a_numa_node_is_neither() -> None:
    text = "GPU0 GPU1 CPU Affinity NUMA Affinity GPU NUMA ID\nGPU0 X SYS 1 N/A\nGPU1 SYS X 0-3 1 N/A\n"
    assert node(text).gpus[0].local_cpus == ""
    assert node(text).gpus[0].numa_node is None
    assert "can't be read" in node(text).problems[0].reason


@pytest.mark.parametrize("cpus", ["0,2,4,6,8,10", "4,6,8,10,12", "1,9,17,25,33"])
def test_a_cpu_list_that_the_tool_cut_is_known_as_cut(cpus: str) -> None:
    found = derived(matrix([["X"]], ["GPU0"], [f"{cpus}\t0\t\tN/A"]))
    assert "is longer than" in found.problems[0].reason


@pytest.mark.parametrize("cpus", ["0-3", "0-23,96-119", "0,2,4", "0-0,2-2,4-4,6-6"])
def test_a_whole_cpu_list_is_not_cut(cpus: str) -> None:
    assert derived(matrix([["X"]], ["GPU0"], [f"{cpus}\t0\t\tN/A"])).complete


@pytest.mark.parametrize("title", ["NUMA", "NUMA Node", "NUMA Affinity"])
def test_a_short_title_is_no_device(title: str) -> None:
    text = f"        GPU0  GPU1  {title}\nGPU0    X     NV4   0\nGPU1    NV4   X     1\n"
    assert node(text).nics == ()
    assert derived(text).numa == {"GPU0": 0, "GPU1": 1}
    assert derived(text).cpu_affinity == {"GPU0": "", "GPU1": ""}
    assert derived(text).complete


@pytest.mark.parametrize("mark", ["**{}**", "__{}__", "`{}`", "*{}*"])
def test_emphasis_in_a_table_says_nothing(mark: str) -> None:
    nv4 = mark.format("NV4")
    rows = (f"| GPU0 | X | {nv4} | 0 |", f"| {mark.format('GPU1')} | {nv4} | X | 0 |")
    text = "\n".join(("|  | GPU0 | GPU1 | NUMA |", "|--|:-:|--|--|", *rows)) + "\n"
    found = derived(text)
    assert found.nvlink_groups == ((0, 1),)
    assert found.gpu_pairs[0].link == "NV4"
    assert found.complete


def test_a_fence_may_touch_the_last_line() -> None:
    text = "```\n\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-3\nGPU1\tNV4\t X \t4-7```\nthat is all"
    assert derived(text).cpu_affinity == {"GPU0": "0-3", "GPU1": "4-7"}
    assert derived(text).complete


@pytest.mark.parametrize(
    "line",
    [
        "NIC0: mlx5_7",
        "- NIC0: mlx5_7",
        "* NIC0: mlx5_7 -> eth0 (Up)",
        "NIC0: mlx5_7 => ib0",
        "NIC0: mlx5_7 (NUMA 0)",
        "NIC0: mlx5_7, the storage",
        "NIC0: mlx5_7 | eth2",
    ],
)
def test_a_legend_may_say_more_than_the_name(line: str) -> None:
    text = matrix(*switched(1, 1)) + f"\nNIC Legend:\n\n  {line}\n"
    assert [nic.name for nic in node(text).nics] == ["mlx5_7"]
    assert derived(text).complete


@pytest.mark.parametrize("rest", ["A", "IC59", "NIC59", "C3", "PIX", "ity", "UMA Affinity"])
def test_a_torn_legend_names_nothing(rest: str) -> None:
    text = matrix(*switched(1, 1)) + f"\nNIC Legend:\n\n  NIC0: {rest}\n"
    assert [nic.name for nic in node(text).nics] == ["NIC0"]
    assert not derived(text).complete


_PEERS = " \tGPU0\tGPU1\t\n GPU0\tX\t{0}\t\n GPU1\t{0}\tX\t\n\nLegend:\n\n  X    = Self\n  OK   = Status Ok\n"


@pytest.mark.parametrize("cell", ["OK", "CNS", "GNS", "TNS", "NS"])
def test_peer_access_is_no_topology(cell: str) -> None:
    peers, topology = _PEERS.format(cell), matrix(*switched(2, 0, "NV4"))
    assert node(peers + "\n" + topology) == node(topology)
    assert node(topology + "\n" + peers) == node(topology)
    with pytest.raises(ParseError, match="topo -p2p"):
        node(peers)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("   GPU0  GPU1\nGPU0  0  XGMI\nGPU1  XGMI  0\n", "AMD"),
        ("=== ROCm System Management Interface ===\n   GPU0  GPU1\nGPU0  0  15\nGPU1  15  0\n", "AMD"),
        (square(["X MX SYS", "MX X SYS", "SYS SYS X"]).replace("NV#", "MX") + "MX  = MetaXLink\n", "MetaX"),
        (square(["X MX", "MX X"]), "another maker|expected"),
        ("mx-smi topo -m\n" + square(["X SYS", "SYS X"]).replace("NV#", "MX"), "MetaX"),
        ("   NPU0  NPU1\nNPU0  X  HCCS\nNPU1  HCCS  X\nGPU: none\n", "Huawei"),
    ],
)
def test_other_makers_matrices_are_refused(text: str, says: str) -> None:
    with pytest.raises(ParseError, match=says) as refusal:
        node(text)
    assert "\n" not in str(refusal.value)


def test_rows_of_few_gpus_leave_the_groups_open() -> None:
    cells, labels, tails = switched(4, 0, "SYS")
    text = matrix(cells, labels, tails)
    cut = "\n".join(line for line in text.split("\n") if not line.startswith(("GPU1", "GPU2", "GPU3")))
    assert derived(text).nvlink_groups == ()
    assert derived(cut).nvlink_groups is None


def test_some_of_a_machines_gpus_leave_its_groups_open() -> None:
    text = matrix(*switched(2, 1)).replace("GPU1", "GPU5").replace("GPU0", "GPU2")
    found = derived(text)
    assert found.nvlink_groups is None
    assert found.gpu_pairs[0].link == "NV18"
    assert not found.complete


@pytest.mark.parametrize(("tail", "cpus", "numa"), [("\t\t1\t\tN/A", "", 1), ("\t0-7\t\t\tN/A", "0-7", None)])
def test_tabs_that_became_four_blanks_each(tail: str, cpus: str, numa: int | None) -> None:
    rows = [_HEADER, "GPU0\t X \tNV18\tNODE\t0-3\t0\t\tN/A", f"GPU1\tNV18\t X \tNODE{tail}", "NIC0\tNODE\tNODE\t X"]
    found = derived("\n".join(rows).replace("\t", "    ") + "\n")
    assert (found.cpu_affinity["GPU1"], found.numa["GPU1"]) == (cpus, numa)


def test_a_matrix_in_a_web_page() -> None:
    text = matrix(*switched(2, 0))
    assert node(f"<pre class='x'><code>{text}</code></pre>") == node(text)
