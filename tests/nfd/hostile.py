"""Nodes as no machine is, and as a damaged capture or another tool's file could make them."""

from functools import cache
from typing import Final

from hypothesis import strategies as st

from nvtopo.model.formats import limits
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.facts import GpuFabric, PcieLink
from nvtopo.model.records.node import Gpu, Host, Nic, NicPort, NodeTopology
from nvtopo.model.records.nvlinks import NvLinkBundle
from nvtopo.model.records.record import Problem

TEXTS: Final = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        ("", " ", "4.0", "10.0", "NVIDIA-TITAN-X-(Pascal)", "a=b", "a\nb=c", "@nvtopo.node.gpus", "-x-", "é", "x" * 64)
    ),
)
WORDS: Final = TEXTS.map(lambda text: text[: limits.LONGEST_WORD])
_SOME_TEXT: Final = TEXTS.filter(bool)
COUNTS: Final = st.one_of(st.integers(0, 9), st.just(limits.HIGHEST_SMALL))
_BYTES: Final = st.one_of(st.none(), st.integers(0, 10_000), st.just(limits.HIGHEST_BYTES))


def _bundles(gpus: int) -> st.SearchStrategy[NvLinkBundle]:
    peers = st.dictionaries(st.integers(0, gpus).map(_address), st.sampled_from(("0-3", "4", "5-17")), max_size=3)
    return st.builds(
        NvLinkBundle,
        links=st.sampled_from(("0", "0-17", "0,5")),
        state=st.sampled_from(("active", "inactive", "sleep", "odd", None)),
        version=WORDS,
        remote=st.sampled_from(("gpu", "switch", "npu", None)),
        peers=peers,
    )


def _fabrics() -> st.SearchStrategy[GpuFabric]:
    return st.builds(
        GpuFabric,
        state=st.sampled_from(("not-supported", "not-started", "in-progress", "completed", "completed", None)),
        status=st.sampled_from((None, 0, 0, 5)),
        cluster_uuid=st.one_of(st.none(), WORDS),
        clique_id=st.one_of(st.none(), COUNTS),
        health_summary=st.sampled_from((None, "healthy", "unhealthy")),
    )


def _address(index: int) -> PciAddress:
    return PciAddress(f"{index:04x}:01:00.0")


@st.composite
def nodes(draw: st.DrawFn) -> NodeTopology:
    count = draw(st.integers(0, 6))
    stride = draw(st.sampled_from((1, 1, 2, 199)))
    return NodeTopology(
        host=draw(_HOSTS),
        gpus=tuple(draw(_gpus(index, stride, count)) for index in range(count)),
        nics=draw(_NICS),
        problems=draw(_PROBLEMS),
    )


@cache
def _gpus(index: int, stride: int, count: int) -> st.SearchStrategy[Gpu]:
    """Made once: to make a strategy takes longer than to draw from it."""
    return st.builds(
        Gpu,
        index=st.just(index * stride),
        uuid=TEXTS.map(lambda text: text and f"{text}{index}"),
        name=TEXTS,
        pci_address=st.just(_address(index)),
        numa_node=st.one_of(st.none(), COUNTS),
        mig=st.sampled_from((None, None, False, True)),
        link=st.one_of(st.none(), st.builds(PcieLink, max_generation=COUNTS)),
        nvlink_count=st.one_of(st.none(), COUNTS),
        nvlinks=st.lists(_bundles(count), max_size=2).map(tuple),
        fabric=st.one_of(st.none(), _fabrics()),
    )


def _nics() -> st.SearchStrategy[Nic]:
    port = st.builds(
        NicPort,
        number=COUNTS,
        state=WORDS,
        link_layer=st.one_of(WORDS, st.sampled_from(("InfiniBand", "Ethernet"))),
        active_mtu_bytes=_BYTES,
        gid_index=st.one_of(st.none(), COUNTS),
    )
    return st.builds(
        Nic,
        name=_SOME_TEXT,
        numa_node=st.one_of(st.none(), COUNTS),
        mtu_bytes=_BYTES,
        operstate=WORDS,
        ports=st.lists(port, max_size=2).map(tuple),
    )


_HOSTS: Final = st.builds(Host, vendor=TEXTS, product=TEXTS, driver_version=st.one_of(st.none(), TEXTS))
_NICS: Final = st.lists(_nics(), max_size=4, unique_by=lambda nic: nic.name).map(tuple)
_PROBLEMS: Final = st.lists(st.builds(Problem, source=TEXTS, subject=TEXTS, reason=TEXTS), max_size=2).map(tuple)
