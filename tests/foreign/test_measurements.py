"""What nccl-tests, nvbandwidth and perftest print, as records; several in one text, and what is none of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.errors import ParseError
from nvtopo.model.samples.measured import Collective, Copies, Rdma
from nvtopo.sources.foreign.measurements import joined, read
from tests.foreign import measured_texts as texts


def test_the_best_bus_bandwidth_and_who_took_part() -> None:
    text = texts.nccl(
        {"node-a": range(4), "node-b": range(2)}, [(8, 0.0, 0), (1 << 30, 431.25, 0), (1 << 31, 420.5, 0)]
    )
    (run,) = read(text, "x").collectives
    assert run == Collective({"node-a": (0, 1, 2, 3), "node-b": (0, 1)}, 431_250_000_000, 1 << 31, 0)


def test_wrong_values_are_counted_and_not_checked_is_none() -> None:
    assert read(texts.nccl({"a": range(2)}, [(8, 1.0, 3), (16, 2.0, 1)]), "x").collectives[0].wrong == 8
    assert read(texts.nccl({"a": range(2)}, [(8, 1.0, "N/A")]), "x").collectives[0].wrong == 0


def test_older_releases_have_no_root_and_a_log_may_have_lost_the_hashes() -> None:
    lines = (
        "   Rank  0 Pid   1320 on node-a device  3 [0x1b] Some GPU",
        "       size         count      type   redop     time   algbw   busbw  error     time   algbw   busbw  error",
        "  134217728      33554432     float     sum   1000.0  100.00  175.00  5e-07    990.0  101.00  176.75  5e-07",
    )
    assert read("\n".join(lines).encode(), "x").collectives == (
        Collective({"node-a": (3,)}, 176_750_000_000, 134_217_728, 0),
    )


def test_two_runs_in_one_text_are_two() -> None:
    text = texts.nccl({"a": range(2)}, [(8, 1.0, 0)]) + texts.nccl({"b": range(4)}, [(8, 2.0, 0)])
    runs = read(text, "x").collectives
    assert [(run.ranks, run.bytes_per_second) for run in runs] == [
        ({"a": (0, 1)}, 1_000_000_000),
        ({"b": (0, 1, 2, 3)}, 2_000_000_000),
    ]


def test_a_table_of_copies_between_gpus_and_from_the_host() -> None:
    gpus = texts.nvbandwidth("device_to_device_memcpy_read_ce", [[None, 390.5], [391.0, None]])
    host = texts.nvbandwidth("host_to_device_memcpy_ce", [[55.25, 55.5]], host=True)
    assert read(gpus + host, "x").copies == (
        Copies("device_to_device_memcpy_read_ce", {(0, 1): 390_500_000_000, (1, 0): 391_000_000_000}),
        Copies("host_to_device_memcpy_ce", {(-1, 0): 55_250_000_000, (-1, 1): 55_500_000_000}),
    )


@pytest.mark.parametrize(("unit", "factor"), [("Gb/sec", 125_000_000), ("MB/sec", 1 << 20), ("MiB/sec", 1 << 20)])
def test_rdma_bandwidth_in_each_unit(unit: str, factor: int) -> None:
    (run,) = read(texts.perftest_bandwidth("mlx5_0", 300.0, unit), "x").rdma
    assert run == Rdma("mlx5_0", 300 * factor, message_bytes=65536)


def test_rdma_latency_is_that_of_the_smallest_message() -> None:
    assert read(texts.perftest_latency("mlx5_1", [(2, 1.75), (4096, 3.5)]), "x").rdma == (
        Rdma("mlx5_1", latency_us=1.75),
    )


def test_several_files_are_one() -> None:
    one = read(texts.perftest_bandwidth("mlx5_0", 300.0), "x")
    other = read(texts.nccl({"a": range(2)}, [(8, 1.0, 0)]), "y")
    assert joined([one, other]) == one._replace(collectives=other.collectives)


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"\x00\xff", b"#bytes #iterations\n", b"# Rank 0 Pid 1 on a device 0\n"]
)
def test_anything_else_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(ParseError, match=r"^x: expected output of nccl-tests") as refused:
        read(content, "x")
    assert "\n" not in str(refused.value)


def test_more_lines_than_any_run_prints_are_refused() -> None:
    with pytest.raises(ParseError, match="50000 lines"):
        read(b"\n" * 60_000, "x")


_PIECES = st.sampled_from(
    [line for text in texts.ALL for line in text.decode().splitlines()]
    + ["8 2 float sum -1", "9" * 40, "SUM x", " Device : ", "1 2 3 4 5 6 7 8 9 10 11 12 13"]
)


@given(st.lists(_PIECES | st.text(max_size=30), max_size=40))
def test_lines_in_any_order_are_read_or_refused(lines: list[str]) -> None:
    try:
        found = read("\n".join(lines).encode("utf-8", "replace"), "x")
    except ParseError:
        return
    assert all(run.bytes_per_second >= 0 for run in found.collectives)
    assert all(rate >= 0 for table in found.copies for rate in table.pairs.values())
