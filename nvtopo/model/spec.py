"""``Spec``: a ``NodeTopology`` as the resource and the documents have it, with what most devices share said once.

Eight GPUs of a board differ in where they are and in little else. So memory size, PCIe link, NVLinks and fabric of the
GPUs, and the RDMA ports of the NICs, stand in ``common`` where more than half of them say the same; what is
unlike it stays with its device. A field that any device is silent about is not folded: so a device's silence means what
``common`` says, and unknown where that is silent too. An 8-GPU node takes less than 6 KiB of JSON (fixtures/hosts).
"""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from msgspec.structs import asdict, fields, replace

from nvtopo.model.facts import Bytes, Count, GpuFabric, PcieLink
from nvtopo.model.node import Gpu, Nic, NicPort, NodeFacts, NodeTopology, NvLinkBundle
from nvtopo.model.record import Record


class GpuCommon(Record, frozen=True, kw_only=True):
    """True of each GPU that does not say otherwise itself."""

    memory_bytes: Bytes | None = None
    mig: bool | None = None
    link: PcieLink | None = None
    acs_redirect: bool | None = None
    nvlink_count: Count | None = None
    nvlinks: tuple[NvLinkBundle, ...] = ()
    fabric: GpuFabric | None = None
    c2c_links: Count | None = None
    c2c_bytes_per_second: Bytes | None = None


class NicCommon(Record, frozen=True, kw_only=True):
    """True of each NIC that does not say otherwise itself."""

    acs_redirect: bool | None = None
    ports: tuple[NicPort, ...] = ()


class Common(Record, frozen=True, kw_only=True):
    """What more than half of the devices of a kind have in common."""

    gpus: GpuCommon | None = None
    """Of the GPUs."""
    nics: NicCommon | None = None
    """Of the NICs."""


class Spec(NodeFacts, frozen=True, kw_only=True):
    """The facts of a node, as its agent publishes them."""

    common: Common | None = None
    """Said here once instead of with each device; a device that says otherwise itself is unlike the others."""


def folded(node: NodeTopology) -> Spec:
    """The node as it is written; ``whole`` is the way back."""
    gpus, nics = _shared(node.gpus, GpuCommon), _shared(node.nics, NicCommon)
    common = Common(gpus=GpuCommon(**gpus) if gpus else None, nics=NicCommon(**nics) if nics else None)
    return Spec(
        **_facts(node)
        | {
            "common": common if gpus or nics else None,
            "gpus": tuple(_without(gpu, gpus) for gpu in node.gpus),
            "nics": tuple(_without(nic, nics) for nic in node.nics),
        }
    )


def whole(spec: Spec) -> NodeTopology:
    """The node that was written so."""
    common = spec.common or Common()
    gpus, nics = _said(common.gpus), _said(common.nics)
    return NodeTopology(
        **_facts(spec)
        | {
            "gpus": tuple(_with(gpu, gpus) for gpu in spec.gpus),
            "nics": tuple(_with(nic, nics) for nic in spec.nics),
        }
    )


_Device = TypeVar("_Device", Gpu, Nic)

#: Of a device, in the resource as in memory, what has this value is not said.
_UNSAID: Final[dict[str, Any]] = {
    field.name: field.default for kind in (GpuCommon, NicCommon) for field in fields(kind)
}
_FACTS: Final = tuple(field.name for field in fields(NodeFacts))


def _facts(node: NodeFacts) -> dict[str, Any]:
    return {name: getattr(node, name) for name in _FACTS}


def _shared(devices: Sequence[Gpu | Nic], kind: type[GpuCommon | NicCommon]) -> dict[str, Any]:
    """Field → the value that more than half of the devices have, of fields that all of them say."""
    if len(devices) < 2:  # noqa: PLR2004 - one device has nothing in common with others
        return {}
    found = {}
    for name in kind.__struct_fields__:
        values = [getattr(device, name) for device in devices]
        most = _majority(values)
        if most is not None and _UNSAID[name] not in values:
            found[name] = most
    return found


def _majority(values: list[Any]) -> Any | None:
    """What more than half of them are, by Boyer and Moore's vote: bundles have an equality and no hash."""
    candidate, lead = None, 0
    for value in values:
        if lead == 0:
            candidate = value
        lead += 1 if value == candidate else -1
    return candidate if values.count(candidate) * 2 > len(values) else None


def _said(common: GpuCommon | NicCommon | None) -> dict[str, Any]:
    return {} if common is None else {name: value for name, value in asdict(common).items() if value != _UNSAID[name]}


def _without(device: _Device, shared: dict[str, Any]) -> _Device:
    return replace(device, **{name: _UNSAID[name] for name, value in shared.items() if getattr(device, name) == value})


def _with(device: _Device, said: dict[str, Any]) -> _Device:
    return replace(device, **{name: value for name, value in said.items() if getattr(device, name) == _UNSAID[name]})
