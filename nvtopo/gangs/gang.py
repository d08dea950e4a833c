"""What one gang of pods asks for: pure functions of its pods."""

from collections.abc import Collection
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from nvtopo.errors import ParseError
from nvtopo.model.records.record import Record
from nvtopo.placement import document
from nvtopo.placement.document import Parsed
from nvtopo.placement.pods import GANG, MOST_CLAIMED, PREFIX, SIZE, TEMPLATE, WISHES, GpuPod, in_order
from nvtopo.wire import yaml
from nvtopo.wire.documents import reason

MOST_PODS: Final = 20_000
_MOST_WISHES: Final = 16 << 10
_SUBJECT: Final = f"the annotation {WISHES}"

OnTimeout = Literal["wait", "open", "fail"]


class Timing(Record, frozen=True, kw_only=True):
    """What becomes of a gang that finds no place."""

    timeout_seconds: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    """Since its oldest pod was made; None to wait for ever."""
    on_timeout: OnTimeout = "wait"
    """Wait on, leave it to kube-scheduler, or let its pods fail."""


class Key(NamedTuple):
    """Which gang."""

    namespace: str
    gang: str
    group: str = ""

    @property
    def id(self) -> str:
        """Of its reservation."""
        return f"{PREFIX}{self.namespace}/{self.gang}" + (f"/{self.group}" if self.group else "")


class Asked(NamedTuple):
    """What a whole gang asks for."""

    content: bytes
    """The request in the same bytes each time."""
    parsed: Parsed
    timing: Timing
    by_claim: bool = False
    """Whether its pods ask for GPUs by claims."""


def key_of(pod: GpuPod) -> Key:
    """The gang that a pod is of."""
    return Key(pod.namespace, pod.gang, pod.group)


def asked(key: Key, pods: Collection[GpuPod]) -> Asked:
    """The request of a gang that is whole: ``pods`` are those that wait.

    Raises:
        ParseError: its pods don't say what it is, or disagree.
    """
    first, *others = in_order(pods)
    for name, values in ((SIZE, {pod.size for pod in pods}), (WISHES, {pod.wishes for pod in pods})):
        if len(values) > 1:
            raise ParseError(f"{name}: expected the same on each pod of {key.gang}, got {len(values)} different ones")
    _same_way(key, pods)
    sizes = {pod.asks for pod in others}
    if len(sizes) > 1 or not first.asks or 0 in sizes:
        how = f"{TEMPLATE}N, N up to {MOST_CLAIMED}, each by one claim" if first.claim else "nvidia.com/gpu"
        raise ParseError(f"{key.gang}: expected pods that ask for equally many {how}, the first one aside")
    leads = bool(sizes) and first.asks not in sizes
    wishes, timing = _said(first.wishes)
    spec = {"pods": len(pods) - leads, "gpusPerPod": min(sizes, default=first.asks), **wishes}
    if leads:
        spec["leader"] = {"gpus": first.asks}
    content = _in_order({"metadata": {"name": key.gang}, "spec": spec})
    return Asked(content, document.parse(content, _SUBJECT), timing, by_claim=bool(first.claim))


def _same_way(key: Key, pods: Collection[GpuPod]) -> None:
    """All by claims, or all of a device plugin."""
    if len({bool(pod.claim) for pod in pods}) > 1 or any(pod.claim and pod.gpus for pod in pods):
        raise ParseError(f"{key.gang}: expected GPUs by claims alone or nvidia.com/gpu alone, got both")


def size_of(pods: Collection[GpuPod]) -> int:
    """How many pods the gang has.

    Raises:
        ParseError: its pods don't say so.
    """
    said = min((pod.size for pod in pods), default="")
    if not (said.isascii() and said.isdecimal() and 1 <= int(said[:6]) <= MOST_PODS):
        raise ParseError(f"the label {SIZE}: expected the number of pods with this {GANG}, up to {MOST_PODS}")
    return int(said)


def timing_of(pods: Collection[GpuPod]) -> Timing:
    """When waiting ends; never, if what it asks for can't be read."""
    try:
        return _said(min((pod.wishes for pod in pods), default=""))[1]
    except ParseError:
        return Timing()


def _in_order(request: dict[str, Any]) -> bytes:
    """As JSON, the same for equal requests. YAML has keys that JSON has not: numbers, dates, null."""
    try:
        return msgspec.json.encode(request, order="sorted")
    except (TypeError, ValueError) as error:
        raise ParseError(f"{_SUBJECT}: expected names as keys: {reason(error)}") from error


def _said(wishes: str) -> tuple[dict[str, Any], Timing]:
    if len(wishes) > _MOST_WISHES:
        raise ParseError(f"{_SUBJECT}: expected at most {_MOST_WISHES} characters, got {len(wishes)}")
    if not wishes.strip():
        return {}, Timing()
    expected = "fields of a PlacementRequest's spec in YAML or JSON"
    content = wishes.encode()
    found = yaml.read(content, dict[str, Any], expected, _SUBJECT)
    timing = yaml.read(content, Timing, expected, _SUBJECT)
    for field in ("pods", "gpusPerPod", "leader"):
        if field in found:
            raise ParseError(f"{_SUBJECT}: {field}: expected none, since the pods themselves say so")
    return {name: value for name, value in found.items() if name not in {"timeoutSeconds", "onTimeout"}}, timing
