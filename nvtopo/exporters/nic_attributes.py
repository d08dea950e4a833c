"""What belongs with each NIC, as attributes for the device that another DRA driver publishes of it.

dranet asks its provider for them (https://dranet.sigs.k8s.io, "webhook providers"). They have the names of our own
driver, so that a constraint can tie dranet's NIC to a GPU's shadow by ``rail`` or ``complex``.
"""

from collections.abc import Mapping
from typing import NamedTuple

from nvtopo.exporters.shadows import DRIVER, LONGEST_VALUE
from nvtopo.model.conclusions import rails
from nvtopo.model.conclusions.complexes import complexes
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.formats.address import is_pci_address, parse_pci_address
from nvtopo.model.records.node import Nic, NodeTopology

Attribute = Mapping[str, str | int]
"""``{"int": 3}`` or ``{"string": "leaf-1"}``."""


class Asked(NamedTuple):
    """A device, as dranet knows it."""

    pci_address: str = ""
    name: str = ""
    """The network device's; empty if it has none."""


class NicAttributes:
    """The attributes that dranet publishes of the NICs of one node."""

    def __init__(self, node: NodeTopology, leaves: Mapping[str, str]) -> None:
        """``leaves``: network device → the switch that it is cabled to, as far as it is known."""
        distances = Distances(node)
        self._node = node
        self._leaves = leaves
        self._rails = rails.rails(node, distances)
        self._complexes = {nic.name: one.name for one in complexes(node, distances) for nic in one.nics}

    def of(self, asked: Asked) -> dict[str, Attribute]:
        """What is known of the device; nothing of one that is no NIC of the compute network."""
        nic = self._nic(asked)
        if nic is None or nic.name not in self._rails:
            return {}
        known: dict[str, str | int | None] = {
            "rail": self._rails[nic.name],
            "plane": _plane(nic, asked.name),
            "leaf": self._leaf(nic, asked.name),
            "complex": self._complexes.get(nic.name),
        }
        return {
            f"{DRIVER}/{name}": {"int": value} if isinstance(value, int) else {"string": value}
            for name, value in known.items()
            if value is not None and (isinstance(value, int) or 0 < len(value) <= LONGEST_VALUE)
        }

    def _nic(self, asked: Asked) -> Nic | None:
        """By its address; by its network device if none is given."""
        if not asked.pci_address:
            return next((nic for nic in self._node.nics if asked.name and asked.name in nic.netdevs), None)
        if not is_pci_address(asked.pci_address):
            return None
        address = parse_pci_address(asked.pci_address)
        return next((nic for nic in self._node.nics if nic.pci_address == address), None)

    def _leaf(self, nic: Nic, netdev: str) -> str | None:
        """The switch that its port is cabled to, if it is known which."""
        ports = (netdev,) if netdev in nic.netdevs else nic.netdevs
        names = {self._leaves[port] for port in ports if port in self._leaves}
        return names.pop() if len(names) == 1 else None


def _plane(nic: Nic, netdev: str) -> int | None:
    """Which of its NIC's ports it is; None for a NIC of one port, which is on no plane of its own."""
    return nic.netdevs.index(netdev) if len(nic.netdevs) > 1 and netdev in nic.netdevs else None
