"""Two machines as ``nvidia-smi topo -m`` prints them, made by the grammar of that output."""

from collections.abc import Sequence
from typing import Final

LEVELS: Final = ("PIX", "NODE", "SYS")


def _text(links: Sequence[Sequence[str]], nics: int) -> str:
    gpus = len(links)
    half = gpus // 2
    labels = [f"GPU{index}" for index in range(gpus)] + [f"NIC{index}" for index in range(nics)]
    rows = ["\t".join(["", *labels, "CPU Affinity", "NUMA Affinity", "GPU NUMA ID"])]
    for one in range(gpus + nics):
        cells = [
            " X "
            if one == other
            else links[one][other]
            if max(one, other) < gpus
            else _level(one % gpus, other % gpus, half)
            for other in range(gpus + nics)
        ]
        tail = [f"{32 * (one // half)}-{32 * (one // half) + 31}", str(one // half), "N/A"] if one < gpus else []
        rows.append("\t".join([labels[one], *cells, *tail]))
    legend = [f"  NIC{index}: mlx5_{index}" for index in range(nics)]
    return "\n".join([*rows, "", "Legend:", "", "  X    = Self", "", "NIC Legend:", "", *legend, ""])


def _level(one: int, other: int, half: int) -> str:
    return LEVELS[0 if one == other else 1 if one // half == other // half else 2]


def switched() -> str:
    """Eight GPUs on one switch, each with a NIC beside it."""
    return _text([["NV18"] * 8 for _ in range(8)], nics=8)


def bridged() -> str:
    """Four cards; a bridge joins 0 with 2, another 1 with 3."""
    return _text(
        [["NV4" if abs(a - b) == 2 else "NODE" if a // 2 == b // 2 else "SYS" for b in range(4)] for a in range(4)],
        nics=1,
    )
