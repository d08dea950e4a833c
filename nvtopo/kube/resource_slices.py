"""ResourceSlices (resource.k8s.io/v1, Kubernetes 1.34 and newer), followed: as much of them as is compared."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from nvtopo.cluster.slices import STANDARD, Device, Slice
from nvtopo.kube.client import Client
from nvtopo.kube.following import FORBIDDEN_SECONDS, Changed, Collection, Following, Listed, Read, Words
from nvtopo.runtime.backoff import Backoff
from nvtopo.wire.documents import Json

COLLECTION: Final = "/apis/resource.k8s.io/v1/resourceslices"
_MOST_DEVICES: Final = 128
_MOST_ATTRIBUTES: Final = 128
_LONGEST: Final = 256
_WORDS: Final = Words(
    "the ResourceSlices",
    "a ResourceSlice",
    "no right to list and watch ResourceSlices: they are not compared (daemonset/components/resource-slices)",
)
_OWN_ROOTS: Final = ("pciRoot", "pcieRoot", "pciRootPort")

SliceEvent = Listed[Slice] | Changed[Slice]
_Word = Annotated[str, Meta(max_length=_LONGEST)]


class _Attribute(msgspec.Struct):
    string: _Word | None = None
    number: int | None = msgspec.field(default=None, name="int")


class _Taint(msgspec.Struct):
    key: _Word = ""
    value: _Word = ""
    effect: _Word = ""


class _Device(msgspec.Struct):
    name: _Word
    attributes: Annotated[dict[_Word, _Attribute], Meta(max_length=_MOST_ATTRIBUTES)] = {}
    taints: Annotated[list[_Taint], Meta(max_length=_MOST_ATTRIBUTES)] = []


class _Pool(msgspec.Struct, rename="camel"):
    name: _Word
    generation: int = 0
    resource_slice_count: int = 0


class _Spec(msgspec.Struct, rename="camel"):
    driver: _Word
    pool: _Pool
    node_name: _Word = ""
    devices: Annotated[list[_Device], Meta(max_length=_MOST_DEVICES)] = []


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""


class Document(msgspec.Struct):
    """As much of an object as is read."""

    metadata: _Metadata
    spec: _Spec


DOCUMENT: Final = Json(Document, "a ResourceSlice")


def read(item: msgspec.Raw) -> Read[Slice]:
    """One object.

    Raises:
        ParseError: it is no ResourceSlice.
    """
    found = DOCUMENT.read(item)
    spec = found.spec
    devices = tuple(_device(one, spec.driver) for one in spec.devices)
    pool = spec.pool
    one = Slice(spec.driver, spec.node_name, pool.name, pool.generation, pool.resource_slice_count, devices)
    return Read(found.metadata.name, found.metadata.resource_version, one)


def _device(found: _Device, driver: str) -> Device:
    """Attributes without a domain are the driver's."""
    given = {name if "/" in name else f"{driver}/{name}": value for name, value in found.attributes.items()}
    numa = next((given[name].number for name in (f"{STANDARD}numaNode", f"{driver}/numaNode") if name in given), None)
    bus_id = _text(given, f"{STANDARD}pciBusID", f"{driver}/pciBusID", f"{driver}/pciAddress")
    return Device(
        name=found.name,
        bus_id=None if bus_id is None else bus_id.lower(),
        root=_text(given, f"{STANDARD}pcieRoot"),
        numa=numa,
        uuid=_text(given, f"{driver}/uuid"),
        own_root=any(f"{driver}/{name}" in given for name in _OWN_ROOTS),
        taints=tuple(f"{one.key}={one.value}:{one.effect}" for one in found.taints),
    )


def _text(given: Mapping[str, _Attribute], *names: str) -> str | None:
    return next((value for name in names if name in given and (value := given[name].string)), None)


FOLLOWED: Final = Collection(COLLECTION, read, _WORDS)


class ResourceSlices:
    """All ResourceSlices, followed."""

    def __init__(
        self,
        client: Client,
        *,
        backoff: Callable[[], Backoff] = Backoff,
        forbidden_seconds: float = FORBIDDEN_SECONDS,
    ) -> None:
        self._following = Following(client, FOLLOWED, backoff=backoff, forbidden_seconds=forbidden_seconds)

    def events(self, stop: threading.Event) -> Iterator[SliceEvent]:
        """``Listed`` first and after each loss, then what happens, until ``stop`` is set."""
        return self._following.events(stop)
