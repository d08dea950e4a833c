"""What kubelet and plugin say to each other, in Protocol Buffers' wire format.

k8s.io/kubelet/pkg/apis has the fields' numbers: pluginregistration/v1, dra/v1, dra-health/v1alpha1.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from nvtopo.errors import ParseError
from nvtopo.sources.kubelet import protobuf

REGISTRATION: Final = "pluginregistration.Registration"
PLUGIN: Final = "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin"
HEALTH: Final = "v1alpha1.DRAResourceHealth"
VERSIONS: Final = ("v1.DRAPlugin", "v1alpha1.DRAResourceHealth")
_TYPE: Final = "DRAPlugin"
#: The kubelet asks for the claims of one pod, which has few.
_MOST_CLAIMS: Final = 1024
_BYTES: Final = 2
_SEVEN_BITS: Final = 0x7F
_MORE: Final = 0x80

State = Literal["unknown", "healthy", "unhealthy"]
_STATES: Final[Mapping[State, int]] = {"unknown": 0, "healthy": 1, "unhealthy": 2}


class Claim(NamedTuple):
    """A claim of a pod that is to start, or has ended."""

    namespace: str
    uid: str
    name: str


class Prepared(NamedTuple):
    """A device that a claim has."""

    request: str
    pool: str
    device: str


class DeviceHealth(NamedTuple):
    """What becomes of a running pod's status."""

    pool: str
    device: str
    state: State
    words: str = ""


def plugin_info(driver: str) -> bytes:
    """``PluginInfo``; without an endpoint the kubelet uses the socket of the registration."""
    return _text(1, _TYPE) + _text(2, driver) + b"".join(_text(4, version) for version in VERSIONS)


def registration(message: bytes) -> tuple[bool, str]:
    """``RegistrationStatus``: whether the kubelet took the plugin, and why it did not.

    Raises:
        ParseError: it is none.
    """
    return bool(protobuf.number(message, 1)), protobuf.text(message, 2)


def claims(message: bytes) -> list[Claim]:
    """Of ``NodePrepareResourcesRequest`` and ``NodeUnprepareResourcesRequest``.

    Raises:
        ParseError: it is none.
    """
    found = [
        Claim(protobuf.text(one, 1), protobuf.text(one, 2), protobuf.text(one, 3))
        for one in protobuf.messages(message, 1)
    ]
    if len(found) > _MOST_CLAIMS:
        raise ParseError(f"message: expected at most {_MOST_CLAIMS} claims, got {len(found)}")
    return found


def answers(found: Mapping[str, Iterable[Prepared]]) -> bytes:
    """``NodePrepareResourcesResponse`` and ``NodeUnprepareResourcesResponse``: every claim by its UID, and no error."""
    entries = (_text(1, uid) + _message(2, b"".join(map(_device, devices))) for uid, devices in found.items())
    return b"".join(_message(1, entry) for entry in entries)


def health(devices: Iterable[DeviceHealth], unix_seconds: int, valid_seconds: int) -> bytes:
    """``NodeWatchResourcesResponse``."""
    return b"".join(_message(1, _health(one, unix_seconds, valid_seconds)) for one in devices)


def _device(one: Prepared) -> bytes:
    """Without CDI devices: the container gets nothing from us."""
    return _message(1, _text(1, one.request) + _text(2, one.pool) + _text(3, one.device))


def _health(one: DeviceHealth, unix_seconds: int, valid_seconds: int) -> bytes:
    identifier = _text(1, one.pool) + _text(2, one.device)
    numbers = _number(2, _STATES[one.state]) + _number(3, unix_seconds) + _number(4, valid_seconds)
    return _message(1, identifier) + numbers + _text(5, one.words)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode()) if value else b""


def _message(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def _number(field: int, value: int) -> bytes:
    """A number that is not negative."""
    return _varint(field << 3) + _varint(value) if value else b""


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > _SEVEN_BITS:
        found.append(value & _SEVEN_BITS | _MORE)
        value >>= 7
    found.append(value)
    return bytes(found)
