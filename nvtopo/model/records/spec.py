"""``Spec``: a ``NodeTopology`` as resource and documents store it; values that most devices share are stated once.

The eight GPUs of a board differ in their place and in little else. So if more than half of the devices have the same
value, ``common`` holds it: memory size, PCIe link, NVLinks and fabric of GPUs, RDMA ports of NICs. Other devices keep
their own value. A field that some device lacks is never moved to ``common``: a device without the field has the value
in ``common``, and if that lacks it too, the value is unknown. An 8-GPU node takes less than 6 KiB (fixtures/hosts).
"""

from collections.abc import Sequence
from itertools import islice
from operator import attrgetter
from typing import Annotated, Any, Final, TypeVar, get_origin

from msgspec import Meta
from msgspec.structs import asdict, fields, replace

from nvtopo.model.formats import limits
from nvtopo.model.records import soundness
from nvtopo.model.records.facts import GpuFabric, PcieLink
from nvtopo.model.records.node import Gpu, Nic, NicPort, NodeFacts, NodeTopology
from nvtopo.model.records.nvlinks import NvLinkBundle
from nvtopo.model.records.record import Bytes, Name, Problem, Record, Small


class GpuCommon(Record, frozen=True, kw_only=True):
    """Values of each GPU that does not have its own."""

    vbios: Name | None = None
    compute_capability: Name | None = None
    memory_bytes: Bytes | None = None
    mig: bool | None = None
    link: PcieLink | None = None
    acs_redirect: bool | None = None
    nvlink_count: Small | None = None
    nvlinks: Annotated[tuple[NvLinkBundle, ...], Meta(max_length=limits.MOST_BUNDLES)] = ()
    fabric: GpuFabric | None = None
    c2c_links: Small | None = None
    c2c_bytes_per_second: Bytes | None = None


class NicCommon(Record, frozen=True, kw_only=True):
    """Values of each NIC that does not have its own."""

    model: Name | None = None
    acs_redirect: bool | None = None
    firmware: Name = ""
    psid: Name = ""
    ports: Annotated[tuple[NicPort, ...], Meta(max_length=limits.MOST_PORTS)] = ()


class Common(Record, frozen=True, kw_only=True):
    """Values that more than half of the devices of a kind share."""

    gpus: GpuCommon | None = None
    """Values shared by the GPUs."""
    nics: NicCommon | None = None
    """Values shared by the NICs."""


class Spec(NodeFacts, frozen=True, kw_only=True):
    """The facts of a node, as its agent publishes them."""

    common: Common | None = None
    """Values stated once instead of on each device. A device's own value takes precedence."""


def compact(node: NodeTopology) -> Spec:
    """The node with shared values in ``common``; ``expand`` reverses it.

    What is beyond the limits is left out, and said: no reader would take it.
    """
    node = _within_limits(node)
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


def expand(spec: Spec) -> NodeTopology:
    """The node with the shared values back on each device.

    Raises:
        ValueError: it contradicts itself (``soundness``).
    """
    common = spec.common or Common()
    gpus, nics = _said(common.gpus), _said(common.nics)
    return soundness.check(
        NodeTopology(
            **_facts(spec)
            | {
                "gpus": _all_with(spec.gpus, gpus),
                "nics": _all_with(spec.nics, nics),
            }
        )
    )


_Device = TypeVar("_Device", Gpu, Nic)

#: Of a device, in the resource as in memory, what has this value is not said.
_UNSAID: Final[dict[str, Any]] = {
    field.name: field.default for kind in (GpuCommon, NicCommon) for field in fields(kind)
}
_FACTS: Final = tuple(field.name for field in fields(NodeFacts))


#: Field → how many of it a node may have.
_MOST: Final[dict[str, int]] = {
    field.name: field.type.__metadata__[0].max_length
    for field in fields(NodeFacts)
    if get_origin(field.type) is Annotated
}


def _within_limits(node: NodeTopology) -> NodeTopology:
    beyond = {name: most for name, most in _MOST.items() if len(getattr(node, name)) > most}
    long = any(
        max(map(len, (problem.source, problem.subject, problem.reason))) > limits.LONGEST_NAME
        for problem in node.problems
    )
    if not beyond and not long:
        return node
    said = tuple(
        Problem(source="limits", subject=name, reason=f"{len(getattr(node, name))} found, at most {most} are published")
        for name, most in sorted(beyond.items())
    )
    kept = {name: getattr(node, name)[:most] for name, most in beyond.items() if name not in ("problems", "attributes")}
    if "gpus" in beyond:
        left = {gpu.index for gpu in kept["gpus"]}
        kept["pairs"] = tuple(pair for pair in node.pairs if {pair.a, pair.b} <= left)[: limits.MOST_PAIRS]
    problems = (*said, *map(_cut, node.problems))[: limits.MOST_PROBLEMS]
    attributes = dict(islice(node.attributes.items(), limits.MOST_ATTRIBUTES))
    return replace(node, **kept, attributes=attributes, problems=problems)


def _cut(problem: Problem) -> Problem:
    return Problem(
        source=problem.source[: limits.LONGEST_NAME],
        subject=problem.subject[: limits.LONGEST_NAME],
        reason=problem.reason[: limits.LONGEST_REASON],
    )


def _facts(node: NodeFacts) -> dict[str, Any]:
    return {name: getattr(node, name) for name in _FACTS}


def _shared(devices: Sequence[Gpu | Nic], kind: type[GpuCommon | NicCommon]) -> dict[str, Any]:
    """Field → the value that more than half of the devices have, of the fields that all of them have."""
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
    """The value that more than half have, by Boyer and Moore's vote, because bundles have no hash."""
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


def _all_with(devices: Sequence[_Device], said: dict[str, Any]) -> tuple[_Device, ...]:
    """Each with the shared values that it does not have of its own; most have none of their own."""
    if not said:
        return tuple(devices)
    values = attrgetter(*said, "path")  # two names at least, so that it gives a tuple
    unsaid = tuple(_UNSAID[name] for name in said)
    return tuple(
        [replace(device, **said) if values(device)[:-1] == unsaid else _with(device, said) for device in devices]
    )


def _with(device: _Device, said: dict[str, Any]) -> _Device:
    return replace(device, **{name: value for name, value in said.items() if getattr(device, name) == _UNSAID[name]})
