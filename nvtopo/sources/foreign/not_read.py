"""Outputs that are known by their look and not read: the refusal names them."""

import re
from typing import Final

from nvtopo.sources.foreign.given import Given

_LOOKED_AT: Final = 1 << 16
_QUERY: Final = re.compile(
    r"(?m)^(?:index|name|uuid|gpu_uuid|pci\.bus_id)(?:, [a-z_.]{2,40}(?: \[[A-Za-z%]{1,8}\])?){1,40}$"
)
_TREE: Final = re.compile(r"(?m)^[-+\\|\s]{0,8}-\[[0-9a-f]{4,8}:[0-9a-f]{2}\]-")
_TOOLS: Final = (
    (_QUERY, "`nvidia-smi --query-gpu`"),
    (re.compile(r"(?m)^# gpu {1,8}(?:pwr|pid|idx|sm|fb)\b"), "`nvidia-smi dmon` or `pmon`"),
    (re.compile(r"(?m)^\s{0,8}vendid=0x[0-9a-f]{1,8}\s*$"), "`ibnetdiscover`, which `nvtopo graph` is for"),
    (re.compile(r"==\([^()\n]{3,80}\)==>"), "`iblinkinfo`"),
    (re.compile(r"(?m)^C[aA]\s: 0x[0-9a-f]{16} ports [0-9]"), "`ibhosts`"),
    (re.compile(r"(?m)^Architecture:\s{1,40}\S"), "`lscpu`"),
    (re.compile(r"(?m)^[0-9]{1,4}: [A-Za-z0-9_.@-]{1,40}: <[A-Z_,]{2,120}> mtu "), "`ip link`"),
    (re.compile(r"(?m)^Settings for [A-Za-z0-9_.-]{1,40}:$"), "`ethtool`"),
    (re.compile(r"(?m)^MST modules:$"), "`mst status`"),
    (re.compile(r"(?m)^Operational Info$"), "`mlxlink`"),
    (re.compile(r"(?m)^[|\s]{0,4}DCGMI\b|^\+-+\+\n\| DCGM"), "`dcgmi`"),
    (re.compile(r"(?m)^# dmidecode [0-9]"), "`dmidecode`"),
    (_TREE, "`lspci -t`, which names no device (`lspci -tv` does)"),
    (re.compile(r"\bLink [0-9]{1,3}: [0-9.]{1,8} GB/s"), "`nvidia-smi nvlink -s` without the lines that name its GPUs"),
)  # fmt: skip


def named(given: Given) -> str:
    """What the text is the output of; empty where nothing shows it."""
    text = given.text[:_LOOKED_AT]
    found = next((tool for pattern, tool in _TOOLS if pattern.search(text)), "")
    return f"the output of {found}; it is not read" if found else ""
