"""Matrices that look like that of ``nvidia-smi topo -m`` and say something else: peer access, other makers' GPUs."""

import re
from collections.abc import Iterable
from typing import Final

from nvtopo.sources.foreign.given import Given

_NVLINKS: Final = re.compile(r"NV[0-9]{1,2}")
#: One of so many.
_MOST_STRANGE: Final = 5
_OURS: Final = re.compile(r"NODE|SYS|SOC|PHB|PXB|PIX|\?")
P2P: Final = "`nvidia-smi topo -p2p`, which states peer access and no topology"
#: How another tool's output shows that it is; the first of them names it.
_MAKERS: Final = (
    (re.compile(r"ROCm System Management|ROCm SMI|rocm-smi|\bXGMI\b"), "`rocm-smi --showtopo`, of AMD GPUs"),
    (re.compile(r"\bamd-smi\b|ACCESS TABLE:|LINK TYPE TABLE:"), "`amd-smi topology`, of AMD GPUs"),
    (re.compile(r"MetaX|\bmx-smi\b|\bMXLK?\b *="), "`mx-smi topo`, of MetaX GPUs"),
    (re.compile(r"\bnpu-smi\b|\bHCCS\b|\bNPU[0-9]"), "`npu-smi info -t topo`, of Huawei NPUs"),
    (re.compile(r"\bixsmi\b|Iluvatar"), "`ixsmi topo`, of Iluvatar GPUs"),
    (re.compile(r"\bmthreads-gmi\b|\bMTLINK|\bMTLink|Moore Threads"), "`mthreads-gmi topo`, of Moore Threads GPUs"),
    (re.compile(r"\bcnmon\b|\bMLU-?Link|\bMLU[0-9]"), "`cnmon topo`, of Cambricon MLUs"),
    (re.compile(r"\bhy-smi\b|\bHygon\b"), "`hy-smi --showtopo`, of Hygon DCUs"),
    (re.compile(r"\bxpu-smi\b|\bXL(?:8|16|\*)|Xe ?Link"), "`xpu-smi topology`, of Intel GPUs"),
    (
        re.compile(r"\bxpu_smi\b|\bXPU[0-9]|\bppu-smi\b|\bPPU[0-9]|\bbrsmi\b|\befsmi\b|\bersmi\b"),
        "another maker's tool",
    ),
)
#: A maker's name stands near its matrix, and a matrix of 128 GPUs has 100 KiB.
_LOOKED_AT: Final = 1 << 18
_OWN: Final = re.compile(r"NVIDIA|nvidia-smi|NVLink|\bNV(?:#|[0-9])")
_PEERS: Final = re.compile(r"\s{0,8}GPU[0-9]{1,4}\s+(?:X\s+)?(?:OK|CNS|GNS|TNS|NS)\b")


def states_topology(cells: Iterable[str], given: Given) -> bool:
    """Whether the cells between GPUs are levels of NVIDIA's tool. One GPU has no such cell.

    A word that no driver has printed yet may stand among them, and one that is torn; where it stands in many of them
    the matrix is another's.
    """
    said = [cell for cell in cells if cell and cell != "X"]
    if any(_NVLINKS.fullmatch(cell) for cell in said):
        return True
    if sum(1 for cell in said if not _OURS.fullmatch(cell)) * _MOST_STRANGE > len(said):
        return False
    return bool(_OWN.search(given.text[:_LOOKED_AT])) or not maker(given)


def maker(given: Given) -> str:
    """Which other maker's tool the text is of; empty where nothing says so."""
    text = given.text[:_LOOKED_AT]
    return next((name for pattern, name in _MAKERS if pattern.search(text)), "")


def named(given: Given) -> str:
    """What the text holds instead of a topology, where it is a matrix that is known; else empty."""
    if any(_PEERS.match(line) for line in given.lines):
        return P2P
    found = maker(given)
    return f"the output of {found}, which is not read" if found else ""
