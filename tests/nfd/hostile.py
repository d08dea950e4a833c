"""Nodes as no machine is, and as a damaged capture or another tool's file could make them."""

from typing import Final

from hypothesis import strategies as st

from nvtopo.model.address import PciAddress
from nvtopo.model.facts import GpuFabric, PcieLink
from nvtopo.model.node import Gpu, Host, Nic, NicPort, NodeTopology, NvLinkBundle
from nvtopo.model.record import Problem

TEXTS: Final = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        ("", " ", "4.0", "10.0", "NVIDIA-TITAN-X-(Pascal)", "a=b", "a\nb=c", "@nvtopo.node.gpus", "-x-", "é", "x" * 64)
    ),
)
_SOME_TEXT: Final = TEXTS.filter(bool)
COUNTS: Final = st.one_of(st.integers(0, 9), st.just(1 << 31))
_BYTES: Final = st.one_of(st.none(), st.integers(0, 10_000), st.just(1 << 62))


def _bundles(gpus: int) -> st.SearchStrategy[NvLinkBundle]:
    peers = st.dictionaries(st.integers(0, gpus).map(_address), st.sampled_from(("0-3", "4", "5-17")), max_size=3)
    return st.builds(
        NvLinkBundle,
        links=st.sampled_from(("0", "0-17", "0,5")),
        state=st.sampled_from(("active", "inactive", "sleep", "odd", None)),
        version=TEXTS,
        remote=st.sampled_from(("gpu", "switch", "npu", None)),
        peers=peers,
    )


def _fabrics() -> st.SearchStrategy[GpuFabric]:
    return st.builds(
        GpuFabric,
        state=st.sampled_from(("not-supported", "not-started", "in-progress", "completed", "completed", None)),
        status=st.sampled_from((None, 0, 0, 5)),
        cluster_uuid=st.one_of(st.none(), TEXTS),
        clique_id=st.one_of(st.none(), COUNTS),
        health_summary=st.sampled_from((None, "healthy", "unhealthy")),
    )


def _address(index: int) -> PciAddress:
    return PciAddress(f"{index:04x}:01:00.0")


@st.composite
def nodes(draw: st.DrawFn) -> NodeTopology:
    count = draw(st.integers(0, 6))
    stride = draw(st.sampled_from((1, 1, 2, 1_000_003)))
    gpus = tuple(
        draw(
            st.builds(
                Gpu,
                index=st.just(index * stride),
                uuid=TEXTS,
                name=TEXTS,
                pci_address=st.just(_address(index)),
                numa_node=st.one_of(st.none(), COUNTS),
                mig=st.sampled_from((None, None, False, True)),
                link=st.one_of(st.none(), st.builds(PcieLink, max_generation=COUNTS)),
                nvlink_count=st.one_of(st.none(), COUNTS),
                nvlinks=st.lists(_bundles(count), max_size=2).map(tuple),
                fabric=st.one_of(st.none(), _fabrics()),
            )
        )
        for index in range(count)
    )
    return NodeTopology(
        host=draw(st.builds(Host, vendor=TEXTS, product=TEXTS, driver_version=st.one_of(st.none(), TEXTS))),
        gpus=gpus,
        nics=tuple(draw(st.lists(_nics(), max_size=4, unique_by=lambda nic: nic.name))),
        problems=draw(st.lists(st.builds(Problem, source=TEXTS, subject=TEXTS, reason=TEXTS), max_size=2).map(tuple)),
    )


def _nics() -> st.SearchStrategy[Nic]:
    port = st.builds(
        NicPort,
        number=COUNTS,
        state=TEXTS,
        link_layer=st.one_of(TEXTS, st.sampled_from(("InfiniBand", "Ethernet"))),
        active_mtu_bytes=_BYTES,
        gid_index=st.one_of(st.none(), COUNTS),
    )
    return st.builds(
        Nic,
        name=_SOME_TEXT,
        numa_node=st.one_of(st.none(), COUNTS),
        mtu_bytes=_BYTES,
        operstate=TEXTS,
        ports=st.lists(port, max_size=2).map(tuple),
    )
