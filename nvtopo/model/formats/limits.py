"""How much one node may say: the one table of limits.

The records' types are made of it, and with them the decoders and the CRD's schema: the API server refuses what a file's
decoder refuses.

Each limit is at least twice what the largest machine that is known needs. What is beyond is no machine, and would cost
others time and memory.
"""

from typing import Final

MOST_GPUS: Final = 64
"""16 are on one board (DGX-2, HGX A100 16), 32 in the largest PCIe expanders."""
MOST_PAIRS: Final = MOST_GPUS * (MOST_GPUS - 1) // 2
"""Each pair of GPUs once."""
MOST_LINKS: Final = 64
"""NVLinks of one GPU: Rubin has 36. Links are numbered from 0."""
MOST_BUNDLES: Final = 16
"""Bundles of one GPU: links that work are one or two bundles, and a link has few states to differ in."""
MOST_NICS: Final = 256
"""32 EFA on one instance; scalable functions with an RDMA device of their own count too."""
MOST_PORTS: Final = 16
"""RDMA ports of one NIC: verbs number them in a byte, adapters have two."""
MOST_NEIGHBORS: Final = 64
"""Neighbours that the ports hear by LLDP: a switch on each, of 10 to 40 ports."""
MOST_NETDEVS: Final = 64
"""Network devices of one NIC: its own, and the representors of virtual functions."""
MOST_NVMES: Final = 128
"""A storage server has 24 to 64."""
MOST_ACCELERATORS: Final = 64
"""The same limit as for GPUs."""
MOST_NVSWITCHES: Final = 64
"""DGX-2 has 12; 18 are in one NVL72 rack."""
MOST_NUMA_NODES: Final = 256
"""A GB200 tray has 34: two of its CPUs, and up to eight for the memory of each GPU. 32 sockets in four are 128."""
MOST_PAGE_SIZES: Final = 16
"""arm64 has four sizes of huge pages."""
MOST_ROOTS: Final = 1024
"""PCI root buses: virtual machines with a domain for each device have as many as devices."""
MOST_STATED: Final = 16_384
"""Stated levels between two devices: other tools' matrices have up to 128 devices."""
MOST_ATTRIBUTES: Final = 64
"""Sources of attributes, and names that one of them gives."""
MOST_FUNCTIONS: Final = 65_536
"""PCI functions and network devices of a capture: virtual functions and the pods' interfaces are many."""
MOST_RDMA_DEVICES: Final = 1024
"""RDMA devices of a capture, those of virtual functions included."""
MOST_GIDS: Final = 1024
"""Entries of a port's GID table; adapters have 256."""
MOST_PROBLEMS: Final = 256
"""Problems of one node; of more, the first are published."""
MOST_EXPECTED: Final = 32
"""Fields of an expectation."""
MOST_DOMAIN_TYPES: Final = 16
"""The kernel has seven types of IOMMU domain."""

HIGHEST_INDEX: Final = 1023
"""Indices of GPUs and NUMA nodes: the kernel's MAX_NUMNODES is 1024."""
HIGHEST_SMALL: Final = 255
"""Places in a rack, modules, ports, lanes: NVML and verbs have a byte for each."""
HIGHEST_BYTES: Final = (1 << 53) - 1
"""Sizes and rates: what every reader of JSON keeps exactly. Sums over all GPUs and links of a node fit 64 bits."""
HIGHEST_CPU: Final = 9999
"""Numbers in lists have up to four digits: distributions build kernels for 8192 CPUs."""

LONGEST_NAME: Final = 256
"""Characters of a name; the kernel's and NVML's are at most 128."""
LONGEST_WORD: Final = 64
"""Characters of a state, level or notation."""
LONGEST_REASON: Final = 1024
"""Characters of a problem's reason; a longer one is cut before it is published."""
LONGEST_LIST: Final = 4096
"""Characters of a list of CPUs: 800 CPUs without two neighbours."""
LONGEST_LINKS: Final = 192
"""Characters of a list of links: each link by itself."""
LONGEST_PATH: Final = 1024
"""Characters of a device's path."""
DEEPEST_PATH: Final = 48
"""Bridges above a device: a switch is two, and no bus number can be deeper than 128 switches."""

LARGEST_OBJECT_BYTES: Final = 512 << 10
"""One NodeTopology as JSON, ``status`` and managed fields included; 64 GPUs and 256 NICs with all their facts take
less. The API server and etcd hold 1.5 MiB."""

#: A list of CPUs or NUMA nodes.
NUMBERS: Final = r"^([0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*)?$"
#: A list of links, 0 to ``MOST_LINKS`` - 1.
_LINK: Final = r"([1-5]?[0-9]|6[0-3])"
LINKS: Final = rf"^({_LINK}(-{_LINK})?(,{_LINK}(-{_LINK})?)*)?$"
#: A PCI function as sysfs spells it.
ADDRESS: Final = r"^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$"
#: Bridges with slashes between them.
PATH: Final = rf"^([^/]+(/[^/]+){{0,{DEEPEST_PATH - 1}}})?$"

#: Pattern → what it wants, in words.
_WORDS: Final = {
    NUMBERS: f"a list of numbers up to {HIGHEST_CPU} such as '0-3,8'",
    LINKS: f"a list of links from 0 to {MOST_LINKS - 1} such as '0-17'",
    ADDRESS: "a PCI address such as '0000:1b:00.0'",
    PATH: f"at most {DEEPEST_PATH} bridges with '/' between them",
}


def in_words(message: str) -> str:
    """What a decoder said, with words in place of patterns."""
    for pattern, words in _WORDS.items():
        message = message.replace(f"`str` matching regex {pattern!r}", words)
    return message
