"""An all-reduce over the GPUs of all pods, printed as nccl-tests prints it, for ``nvtopo doctor --measured``.

``torchrun`` starts it once for each GPU. It needs PyTorch with NCCL and nothing of nvtopo.
"""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

SIZES = (64 << 20, 256 << 20, 1 << 30)
WARM_UP, RUNS = 5, 20


class Torch:
    """The ranks as PyTorch has them."""

    def __init__(self) -> None:
        import torch
        import torch.distributed

        self._torch: Any = torch
        self._device = int(os.environ["LOCAL_RANK"])
        torch.cuda.set_device(self._device)
        torch.distributed.init_process_group("nccl")
        self.rank = torch.distributed.get_rank()

    def ranks(self) -> "list[Any]":
        """Node and GPU of each rank."""
        found: list[Any] = [None] * self._torch.distributed.get_world_size()
        own = (os.environ.get("NODE_NAME") or os.uname().nodename, self._device)
        self._torch.distributed.all_gather_object(found, own)
        return found

    def seconds(self, size: int, runs: int) -> float:
        """How long so many all-reduces of this size take."""
        data = self._torch.ones(size // 4, dtype=self._torch.float32, device="cuda")
        self._torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(runs):
            self._torch.distributed.all_reduce(data)
        self._torch.cuda.synchronize()
        return time.perf_counter() - began


def lines(group: Any) -> "Iterator[str]":
    """What rank 0 prints: its ranks, then a row for each size with algorithm and bus bandwidth in GB/s."""
    ranks = group.ranks()
    yield "# Using devices"
    for rank, (node, device) in enumerate(ranks):
        yield f"#  Rank {rank:2} Group  0 Pid {rank + 1:6} on {node:>10} device {device:2} [0000:00:00] GPU"
    yield "#       size         count      type   redop    root     time   algbw   busbw #wrong"
    for size in SIZES:
        group.seconds(size, WARM_UP)
        each = group.seconds(size, RUNS) / RUNS
        rate = size / each / 1e9
        bus = rate * 2 * (len(ranks) - 1) / len(ranks)
        yield f"{size:12} {size // 4:12} float sum -1 {each * 1e6:.2f} {rate:.2f} {bus:.2f} N/A"


def main() -> None:
    """Every rank takes part, and the first prints."""
    group = Torch()
    for line in lines(group):
        if group.rank == 0:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
