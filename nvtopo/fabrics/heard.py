"""What the agents hear by LLDP, of all nodes together."""

from collections.abc import Mapping, Sequence

from nvtopo.cluster.claims import Reading
from nvtopo.fabrics import lldp, lldp_fabric
from nvtopo.fabrics.fabric import Known
from nvtopo.fabrics.lldp import Neighbour
from nvtopo.model.records.facts import Neighbor

NAME = "lldp (agents)"


def reading(nodes: Mapping[str, tuple[Neighbor, ...]]) -> dict[str, Reading]:
    """Node → its neighbours as one reading; none if no node hears a switch."""
    heard = [lldp.heard(name, [_neighbour(one) for one in said]) for name, said in sorted(nodes.items()) if said]
    if not any(one.switches or one.unclear for one in heard):
        return {}
    return {NAME: lldp_fabric.reading(heard, Known({}, frozenset(nodes)))}


def switches(said: Sequence[Neighbor]) -> dict[str, str]:
    """Network device of one node → the switch that it is cabled to; what is not clear is left out."""
    heard = lldp.heard("", [_neighbour(one) for one in said])
    return {port: one.name or one.chassis for port, one in heard.switches.items()}


def _neighbour(one: Neighbor) -> Neighbour:
    return Neighbour(
        interface=one.netdev,
        chassis=one.chassis,
        name=one.name,
        system=one.system,
        capabilities=frozenset(one.capabilities),
        port_kind=one.port_kind,
        port=one.port,
        port_description=one.port_description,
    )
