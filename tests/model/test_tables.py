"""What the model knows of other people's names, as a golden file: each line is a fact that somebody can look up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nvtopo.model.changes.words import words
from nvtopo.model.conclusions import nvlink_path, pcie
from nvtopo.model.records.expected import Expectation, VersionExpectation
from nvtopo.model.records.facts import GpuFabric, GpuPlatform, KubeletFacts, NumaNode, PcieLink
from nvtopo.model.records.node import Gpu, GpuPair, Host, Nic, NicPort, NodeTopology, Nvme
from nvtopo.model.records.nvlinks import NvLink
from nvtopo.model.records.nvml_events import OF_APPLICATIONS, XIDS
from nvtopo.model.records.places import PciRoot
from nvtopo.model.samples.rdma_counters import MEANINGS, TRAFFIC, kinds
from nvtopo.sinks.document.derived import DerivedDocument, HealthEntry, NearestNics, PairBandwidth, ReasonEntry
from tests import golden

GOLDEN: Final = Path(__file__).parent / "golden" / "tables.txt"
RECORDS: Final = (
    *(NodeTopology, Host, Gpu, GpuPair, GpuFabric, GpuPlatform, Nic, NicPort, Nvme, PciRoot, PcieLink, NvLink),
    *(Expectation, VersionExpectation),
    *(NumaNode, KubeletFacts, ReasonEntry, HealthEntry, PairBandwidth, NearestNics, DerivedDocument),
)


def lines() -> Iterator[str]:
    yield "The files of an RDMA port, what they count, in which unit, and where they stop:"
    yield from (
        f"{file} → {meaning.family} {meaning.kind} {meaning.unit} {meaning.ceiling}"
        for file, meaning in sorted(MEANINGS.items())
    )
    yield "Kinds of errors: " + " ".join(kinds("errors"))
    yield "Traffic: " + " ".join(sorted(TRAFFIC))
    yield "The fields of a node, and how people call them:"
    names = {name for record in RECORDS for name in record.__struct_encode_fields__}
    yield from (f"{name} → {words(name)}" for name in sorted(names))
    yield "Nominal rates of NVLink, in bytes per second:"
    yield from (f"{version} → {rate}" for version, rate in nvlink_path.NOMINAL_BYTES_PER_SECOND.items())
    yield "XIDs, with a star those of applications:"
    yield from (f"{xid}{'*' * (xid in OF_APPLICATIONS)} → {text}" for xid, text in XIDS.items())
    yield f"Of applications: {sorted(OF_APPLICATIONS)}"
    yield "Speeds of PCIe, in GT/s, and what a lane carries, in bytes per second:"
    yield from (f"{speed} → {generation}" for speed, generation in pcie.GENERATION_BY_GIGATRANSFERS.items())
    yield from (f"{generation} → {rate}" for generation, rate in pcie.LANE_BYTES_PER_SECOND.items())


def test_tables() -> None:
    golden.check("".join(f"{line}\n" for line in lines()), GOLDEN)
