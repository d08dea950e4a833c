"""Dynamic Resource Allocation: claim templates for GPUs that belong together, by the shapes of hardware that are there.

A shadow device of ours stands for each GPU; a claim ties it to the GPU by its PCI address, and shadows to one another
by what NVIDIA's driver does not say. It takes long to say no to many shadows, so templates have four at most.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

from nvtopo.cluster.nodes import GraphNode
from nvtopo.exporters.schedulers.names import object_name
from nvtopo.exporters.schedulers.view import View
from nvtopo.exporters.shadows import BUS_ID, DRIVER, NIC_ADDRESS, NIC_DRIVER
from nvtopo.model.conclusions import rails
from nvtopo.model.conclusions.complexes import complexes
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.meshes import meshes
from nvtopo.model.records.node import Gpu, Nic, NodeTopology

API_VERSION: Final = "resource.k8s.io/v1"
_GPU_CLASS: Final = "gpu.nvidia.com"
_SIZES: Final = {"pair": 2, "quad": 4}
Tie = Literal["pcie-root", "numa-node", "complex"]
_TIES: Final[Mapping[Tie, str]] = {
    "pcie-root": "resource.kubernetes.io/pcieRoot",
    "numa-node": "resource.kubernetes.io/numaNode",
    "complex": f"{DRIVER}/complex",
}


def documents(view: View, nodes: Mapping[str, GraphNode], name: str) -> list[dict[str, Any]]:
    """Device classes, and a template for each shape that some node has."""
    topologies = [node.topology for node in nodes.values() if node.topology is not None and node.topology.gpus]
    ties = {tie for topology in topologies if (tie := _tie(topology)) is not None}
    numbers = {rail for topology in topologies for rail in _gpu_rails(topology)}
    found = [_class(name, "shadow", f'device.driver == "{DRIVER}" && {_has("type", "gpu-shadow")}')]
    if ties:
        rdma = f'device.attributes["{NIC_DRIVER}"].?rdma.orValue(false)'
        found.append(_class(name, "nic", f'device.driver == "{NIC_DRIVER}" && {rdma}'))
        if "complex" in ties or numbers:
            found.append(_class(name, "nic-shadow", f'device.driver == "{DRIVER}" && {_has("type", "nic-shadow")}'))
    whole = sorted({len(topology.gpus) for topology in topologies if not any(gpu.mig for gpu in topology.gpus)} - {1})
    if whole:
        found.append(_class(name, "node", f'device.driver == "{DRIVER}" && {_has("type", "node-shadow")}'))
    found += [_template(name, f"node-{count}", _whole_node(name, count)) for count in whole]
    found += [_template(name, shape, _group(name, size)) for shape, size in _SIZES.items() if _joined(topologies, size)]
    found += [_template(name, f"gpu-nic-{tie}", _with_nic(name, tie)) for tie in _TIES if tie in ties]
    found += [_template(name, f"rail-{rail}", _on_rail(name, rail)) for rail in sorted(numbers)]
    sizes = sorted({len(place.nodes) for place in view.places.get("nvlinkDomain", ())} - {1})
    if sizes:
        found.append(_class(name, "domain", f'device.driver == "{DRIVER}" && {_has("type", "nvlink-domain")}'))
    found += [_template(name, f"nvlink-domain-{size}", _domain(name, size)) for size in sizes]
    return found


def _has(attribute: str, value: str) -> str:
    """CEL that is false for a device without the attribute; a bare look-up would be an error there."""
    return f'device.attributes["{DRIVER}"].?{attribute}.orValue("") == "{value}"'


def _joined(topologies: Iterable[NodeTopology], size: int) -> bool:
    """Whether some node has so many GPUs each of which is joined to each."""
    return any(len(mesh) >= size for topology in topologies for mesh in meshes(topology) or ())


def _gpu_rails(node: NodeTopology) -> set[int]:
    """The rails that GPUs are on: where a GPU has several NICs, it is on no rail of its own."""
    distances = Distances(node)
    numbers = rails.rails(node, distances)
    return {rail for one in complexes(node, distances) for rail in one.rails(numbers).values()}


def _tie(node: NodeTopology) -> Tie | None:
    """What joins each GPU of the node to a NIC of the compute network: the closest that does so for all GPUs.

    A ConnectX-8 with a data direct function is near its GPU, and under another PCIe root.
    """
    distances = Distances(node)
    nics = rails.compute_nics(node, distances)
    if not nics:
        return None
    last: Tie | None = "complex" if complexes(node, distances) else None
    if any(nic.data_direct for nic in nics):
        return last
    if _each_has(node.gpus, nics, _root):
        return "pcie-root"
    if _each_has(node.gpus, nics, lambda device: device.numa_node):
        return "numa-node"
    return last


def _root(device: Gpu | Nic) -> str | None:
    return device.path.partition("/")[0] or None


def _each_has(gpus: Iterable[Gpu], nics: Iterable[Nic], place: Any) -> bool:
    places = {place(nic) for nic in nics} - {None}
    return all(place(gpu) in places for gpu in gpus)


def _class(name: str, what: str, expression: str) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "DeviceClass",
        "metadata": {"name": object_name(name, what)},
        "spec": {"selectors": [{"cel": {"expression": expression}}]},
    }


def _template(name: str, shape: str, devices: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": object_name(name, shape)},
        "spec": {"metadata": {}, "spec": {"devices": devices}},
    }


def _request(name: str, device_class: str, expression: str | None = None) -> dict[str, Any]:
    selectors = {} if expression is None else {"selectors": [{"cel": {"expression": expression}}]}
    return {"name": name, "exactly": {"deviceClassName": device_class, **selectors}}


def _match(attribute: str, *requests: str) -> dict[str, Any]:
    return {"matchAttribute": attribute, "requests": list(requests)}


def _shadowed(name: str, number: int, expression: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """A GPU and its shadow, and what ties them: ``requests`` or ``constraints`` → an entry."""
    yield "requests", _request(f"gpu-{number}", _GPU_CLASS)
    yield "requests", _request(f"shadow-{number}", object_name(name, "shadow"), expression)
    yield "constraints", _match(BUS_ID, f"gpu-{number}", f"shadow-{number}")


def _devices(entries: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for where, entry in entries:
        found.setdefault(where, []).append(entry)
    return found


def _group(name: str, size: int) -> dict[str, Any]:
    entries = [entry for number in range(size) for entry in _shadowed(name, number)]
    shadows = [f"shadow-{number}" for number in range(size)]
    return _devices([*entries, ("constraints", _match(f"{DRIVER}/nvlinkGroup", *shadows))])


def _whole_node(name: str, count: int) -> dict[str, Any]:
    """All GPUs of a node of so many, and the device that stands for it: a node with a fault in a job's way is avoided.

    Nothing ties GPUs and node but that both are of one node, and there all are taken.
    """
    gpus = {"name": "gpus", "exactly": {"deviceClassName": _GPU_CLASS, "count": count}}
    exact = f'device.attributes["{DRIVER}"].?gpus.orValue(0) == {count}'
    return {"requests": [gpus, _request("node", object_name(name, "node"), exact)]}


def _with_nic(name: str, tie: Tie) -> dict[str, Any]:
    if tie != "complex":
        requests = [_request("gpu", _GPU_CLASS), _request("nic", object_name(name, "nic"))]
        return {"requests": requests, "constraints": [_match(_TIES[tie], "gpu", "nic")]}
    return _devices(
        [*_shadowed(name, 0), *_nic_shadowed(name), ("constraints", _match(_TIES[tie], "shadow-0", "nic-shadow"))]
    )


def _nic_shadowed(name: str, expression: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "requests", _request("nic", object_name(name, "nic"))
    yield "requests", _request("nic-shadow", object_name(name, "nic-shadow"), expression)
    yield "constraints", _match(NIC_ADDRESS, "nic", "nic-shadow")


def _on_rail(name: str, rail: int) -> dict[str, Any]:
    on_it = f'device.attributes["{DRIVER}"].?rail.orValue(-1) == {rail}'
    return _devices([*_shadowed(name, 0, on_it), *_nic_shadowed(name, on_it)])


def _domain(name: str, size: int) -> dict[str, Any]:
    """A device that stands for a whole domain, of so many nodes at least: a gang never starts whole in less."""
    enough = f'device.attributes["{DRIVER}"].?nodes.orValue(0) >= {size}'
    return {"requests": [_request("domain", object_name(name, "domain"), enough)]}
