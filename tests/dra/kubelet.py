"""The kubelet as its plugins see it: gRPC's own client, and protobuf's own messages."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TYPES: Final = descriptor_pb2.FieldDescriptorProto
_TEXT, _NUMBER, _BOOL, _ENUM = _TYPES.TYPE_STRING, _TYPES.TYPE_INT64, _TYPES.TYPE_BOOL, _TYPES.TYPE_INT32
_MESSAGES: Final[Mapping[str, Mapping[str, tuple[int, int | str, bool]]]] = {
    # message → field → number, type, repeated; the published ones, and a map as the entries that it is
    "InfoRequest": {},
    "PluginInfo": {
        "type": (1, _TEXT, False),
        "name": (2, _TEXT, False),
        "endpoint": (3, _TEXT, False),
        "supported_versions": (4, _TEXT, True),
    },
    "RegistrationStatus": {"plugin_registered": (1, _BOOL, False), "error": (2, _TEXT, False)},
    "RegistrationStatusResponse": {},
    "Claim": {"namespace": (1, _TEXT, False), "uid": (2, _TEXT, False), "name": (3, _TEXT, False)},
    "Claims": {"claims": (1, "Claim", True)},
    "Device": {
        "request_names": (1, _TEXT, True),
        "pool_name": (2, _TEXT, False),
        "device_name": (3, _TEXT, False),
        "cdi_device_ids": (4, _TEXT, True),
        "share_id": (5, _TEXT, False),
    },
    "Prepared": {"devices": (1, "Device", True), "error": (2, _TEXT, False)},
    "PreparedEntry": {"key": (1, _TEXT, False), "value": (2, "Prepared", False)},
    "PreparedClaims": {"claims": (1, "PreparedEntry", True)},
    "Unprepared": {"error": (1, _TEXT, False)},
    "UnpreparedEntry": {"key": (1, _TEXT, False), "value": (2, "Unprepared", False)},
    "UnpreparedClaims": {"claims": (1, "UnpreparedEntry", True)},
    "NodeWatchResourcesRequest": {},
    "DeviceIdentifier": {"pool_name": (1, _TEXT, False), "device_name": (2, _TEXT, False)},
    "DeviceHealth": {
        "device": (1, "DeviceIdentifier", False),
        "health": (2, _ENUM, False),
        "last_updated_time": (3, _NUMBER, False),
        "health_check_timeout_seconds": (4, _NUMBER, False),
        "message": (5, _TEXT, False),
    },
    "NodeWatchResourcesResponse": {"devices": (1, "DeviceHealth", True)},
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="plugin.proto", package="plugin", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            label = _TYPES.LABEL_REPEATED if repeated else _TYPES.LABEL_OPTIONAL
            made = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                made.type, made.type_name = _TYPES.TYPE_MESSAGE, f".plugin.{kind}"
            else:
                made.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"plugin.{name}"))  # type: ignore[no-untyped-call, unused-ignore]
        for name in _MESSAGES
    }


CLASSES: Final = _classes()
REGISTRATION: Final = "/pluginregistration.Registration/"
PLUGIN: Final = "/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/"
HEALTH: Final = "/v1alpha1.DRAResourceHealth/NodeWatchResources"
SECONDS: Final = 120.0


class Kubelet(NamedTuple):
    """A connection to a plugin."""

    channel: Any

    def info(self) -> Any:
        return self._call(f"{REGISTRATION}GetInfo", CLASSES["InfoRequest"](), "PluginInfo")

    def notify(self, *, registered: bool, error: str = "") -> None:
        status = CLASSES["RegistrationStatus"](plugin_registered=registered, error=error)
        self._call(f"{REGISTRATION}NotifyRegistrationStatus", status, "RegistrationStatusResponse")

    def prepare(self, *claims: tuple[str, str, str]) -> dict[str, Any]:
        found = self._call(f"{PLUGIN}NodePrepareResources", _claims(claims), "PreparedClaims")
        return {entry.key: entry.value for entry in found.claims}

    def unprepare(self, *claims: tuple[str, str, str]) -> dict[str, Any]:
        found = self._call(f"{PLUGIN}NodeUnprepareResources", _claims(claims), "UnpreparedClaims")
        return {entry.key: entry.value for entry in found.claims}

    def raw(self, method: str, request: bytes) -> bytes:
        answer: bytes = self.channel.unary_unary(method)(request, timeout=SECONDS, wait_for_ready=True)
        return answer

    def watch(self) -> Any:
        """The stream; iterate over it with ``healths``, and cancel it."""
        return self.channel.unary_stream(HEALTH)(b"", timeout=SECONDS, wait_for_ready=True)

    def _call(self, method: str, request: Any, answer: str) -> Any:
        return CLASSES[answer].FromString(self.raw(method, request.SerializeToString()))


def healths(stream: Any) -> dict[str, tuple[int, str]]:
    """The next answer: device → its health and why."""
    found = CLASSES["NodeWatchResourcesResponse"].FromString(next(stream))
    return {one.device.device_name: (one.health, one.message) for one in found.devices}


def _claims(claims: tuple[tuple[str, str, str], ...]) -> Any:
    made = [CLASSES["Claim"](namespace=space, name=name, uid=uid) for space, name, uid in claims]
    return CLASSES["Claims"](claims=made)


@contextmanager
def connected(socket: Path) -> Iterator[Kubelet]:
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        yield Kubelet(channel)
