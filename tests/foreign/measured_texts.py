"""Output as nccl-tests, nvbandwidth and perftest lay it out, made from numbers."""

import json
from collections.abc import Iterable, Mapping, Sequence


def nccl(ranks: Mapping[str, Iterable[int]], rows: Sequence[tuple[int, float, int | str]]) -> bytes:
    """Of all_reduce_perf: size, bus bandwidth and wrong values of each row."""
    numbered = [(host, device) for host, devices in ranks.items() for device in devices]
    lines = ["# nThread 1 nGpus 1 minBytes 8 maxBytes 2147483648 step: 2(factor) validation: 1", "#", "# Using devices"]
    for rank, (host, device) in enumerate(numbered):
        where = f"on {host:>10} device {device:2} [0000:18:00] Some GPU"
        lines.append(f"#  Rank {rank:2} Group  0 Pid {4000 + rank:6} {where}")
    lines += [
        "#",
        "#                                                   out-of-place                       in-place",
        f"#       size         count      type   redop    root {'     time   algbw   busbw  #wrong' * 2}",
        "#        (B)    (elements)                              (us)  (GB/s)  (GB/s)             (us)  (GB/s)  (GB/s)",
    ]
    for size, rate, wrong in rows:
        half = f"{123.4:8.1f} {rate / 2:7.2f} {rate:7.2f} {wrong:>7}"
        lines.append(f"{size:12} {size // 4:13} {'float':>9} {'sum':>7} {-1:7} {half} {half}")
    return "\n".join([*lines, "# Out of bounds values : 0 OK", "# Avg bus bandwidth    : 200.1", "#", ""]).encode()


def nvbandwidth(name: str, rows: Sequence[Sequence[float | None]], *, host: bool = False) -> bytes:
    """A test's matrix."""
    head = "memcpy CE CPU(row) -> GPU(column)" if host else "memcpy CE GPU(row) -> GPU(column)"
    lines = [
        f"Running {name}.",
        f"{head} bandwidth (GB/s)",
        "  ".join(["", *(f"{one:9}" for one in range(len(rows[0])))]),
    ]
    for number, row in enumerate(rows):
        lines.append(f"{number:2} " + " ".join("      N/A" if rate is None else f"{rate:9.2f}" for rate in row))
    total = sum(rate for row in rows for rate in row if rate is not None)
    return "\n".join([*lines, "", f"SUM {name} {total:.2f}", "", ""]).encode()


def perftest_bandwidth(device: str, average: float, unit: str = "Gb/sec", size: int = 65536) -> bytes:
    """Of ib_write_bw."""
    return "\n".join(
        [
            *_perftest_head("RDMA_Write BW Test", device),
            f" #bytes     #iterations    BW peak[{unit}]    BW average[{unit}]   MsgRate[Mpps]",
            f" {size:<10} 5000             {average + 1:.2f}             {average:.2f}             0.58",
            "-" * 87,
            "",
        ]
    ).encode()


def perftest_latency(device: str, rows: Sequence[tuple[int, float]]) -> bytes:
    """Of ib_write_lat."""
    columns = "t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]"
    lines = [*_perftest_head("RDMA_Write Latency Test", device), f" #bytes #iterations    {columns}"]
    lines += [
        f" {size}       1000          {one - 0.25}        9.5          {one}           {one}    0.1"
        for size, one in rows
    ]
    return "\n".join([*lines, "-" * 87, ""]).encode()


def _perftest_head(title: str, device: str) -> list[str]:
    return [
        "-" * 87,
        f"                    {title}",
        f" Dual-port       : OFF\t\tDevice         : {device}",
        " Number of qps   : 1\t\tTransport type : IB",
        " Mtu             : 4096[B]",
        " Link type       : Ethernet",
        " local address: LID 0000 QPN 0x0123 PSN 0xabcdef",
        "-" * 87,
    ]


def fio(jobs: Sequence[tuple[str, int, int, int]], before: str = "") -> bytes:
    """Of ``fio --output-format=json``: name, read and written bytes per second, error."""
    made = [
        {"jobname": name, "error": error, "read": {"bw_bytes": read, "iops": 1.5}, "write": {"bw_bytes": written}}
        for name, read, written, error in jobs
    ]
    return f"{before}{json.dumps({'fio version': 'fio-3.36', 'jobs': made}, indent=2)}\n".encode()


def gdsio(rate: float, way: str = "GPUD") -> bytes:
    """A run's line."""
    sizes = "Threads: 8 DataSetSize: 8363008/8388608(KiB) IOSize: 1024(KiB)"
    line = f"IoType: READ XferType: {way} {sizes} Throughput: {rate:.6f} GiB/sec, Avg_Latency: 1138.9 usecs ops: 8167"
    return f"{line} total_time 1.170003 secs\n".encode()


def dcgmi(results: Sequence[tuple[str, int, str, str]]) -> bytes:
    """Of ``dcgmi diag -j``: test, GPU, status, warning."""
    tests = [
        {
            "name": name,
            "results": [
                {
                    "entity_group": "GPU",
                    "entity_id": gpu,
                    "status": status,
                    **({"warnings": [{"warning": said, "error_id": 29}]} if said else {}),
                }
            ],
        }
        for name, gpu, status, said in results
    ]
    categories = [{"category": "Deployment", "tests": tests}]
    document = {"DCGM Diagnostic": {"test_categories": categories}, "metadata": {"version": "4.2.3"}}
    return json.dumps(document).encode()


ALL = (
    nccl({"node-a": range(2)}, [(8, 0.1, 0), (1 << 30, 300.0, 0)]),
    nvbandwidth("device_to_device_memcpy_read_ce", [[None, 390.5], [391.0, None]]),
    nvbandwidth("host_to_device_memcpy_ce", [[55.25, 55.5]], host=True),
    perftest_bandwidth("mlx5_0", 380.0),
    perftest_latency("mlx5_0", [(2, 1.75)]),
    gdsio(6.5),
)
JSON = (fio([("seq", 7_000_000_000, 0, 0)]), dcgmi([("software", 0, "Pass", "")]))
