"""Which GPUs and compute NICs belong together: each is nearest to the other, whether they share a PCIe root or not.

A ConnectX-8 reads GPU memory through a second function (Data Direct), which is near the GPU while its own is not.
"""

from collections.abc import Mapping
from typing import NamedTuple

from nvtopo.model.conclusions import rails
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.locality import Locality
from nvtopo.model.records.node import Gpu, Nic, NodeTopology


class Complex(NamedTuple):
    """GPUs and NICs that belong together; at least one of each."""

    gpus: tuple[Gpu, ...]
    """By PCI address."""
    nics: tuple[Nic, ...]
    """By rail."""

    @property
    def name(self) -> str:
        """Its first GPU's address, which no other complex of the node has."""
        return self.gpus[0].pci_address or self.gpus[0].key

    def rails(self, of_nics: Mapping[str, int]) -> dict[int, int]:
        """GPU index → its rail; empty where a GPU has several NICs, and so no rail of its own."""
        if len(self.gpus) % len(self.nics):
            return {}
        share = len(self.gpus) // len(self.nics)
        return {gpu.index: of_nics[self.nics[at // share].name] for at, gpu in enumerate(self.gpus)}


def complexes(node: NodeTopology, distances: Distances) -> tuple[Complex, ...]:
    """By PCI address of their first GPUs. Across NUMA nodes nothing belongs together."""
    numbers = rails.rails(node, distances)
    nics = [nic for nic in rails.compute_nics(node, distances) if nic.name in numbers]
    near = {gpu.index: _nearest(distances, gpu, nics) for gpu in node.gpus}
    back = {nic.name: _nearest(distances, nic, node.gpus) for nic in nics}
    found: list[tuple[set[int], set[str]]] = []
    for gpu in node.gpus:
        mutual = {nic.name for nic in near[gpu.index] if isinstance(nic, Nic) and gpu in back[nic.name]}
        if not mutual:
            continue
        touched = [one for one in found if one[1] & mutual]
        found = [one for one in found if not one[1] & mutual]
        found.append(({gpu.index}.union(*(one[0] for one in touched)), mutual.union(*(one[1] for one in touched))))
    made = (
        Complex(
            tuple(sorted((gpu for gpu in node.gpus if gpu.index in indices), key=lambda gpu: gpu.pci_address or "")),
            tuple(sorted((nic for nic in nics if nic.name in names), key=lambda nic: numbers[nic.name])),
        )
        for indices, names in found
    )
    return tuple(sorted(made, key=lambda one: one.name))


def _nearest(distances: Distances, one: Gpu | Nic, others: "tuple[Gpu, ...] | list[Nic]") -> list[Gpu | Nic]:
    levels = [(level, other) for other in others if (level := distances.level(one, other)) is not None]
    best = min((level for level, _ in levels), default=Locality.SYS)
    return [other for level, other in levels if level == best] if best < Locality.SYS else []
