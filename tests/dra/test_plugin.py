"""The plugin over a real Unix socket, spoken to by gRPC's own client."""

import stat
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from nvtopo.dra.health_board import HealthBoard
from nvtopo.dra.messages import Claim, DeviceHealth, Prepared
from nvtopo.dra.plugin import Plugin
from nvtopo.errors import ReadError
from tests.dra.kubelet import PLUGIN, REGISTRATION, Kubelet, connected, healths

pytestmark = pytest.mark.slow

DRIVER = "topo.nvtopo.io"
SICK = DeviceHealth("n/gpus", "gpu-1", "unhealthy", "GPU1 has 17 of 18 NVLinks; down: 3")
WELL = DeviceHealth("n/gpus", "gpu-0", "healthy")


class Told:
    """What the plugin's owner is told and answers."""

    def __init__(self) -> None:
        self.registrations: list[tuple[bool, str]] = []
        self.claims: list[Claim] = []
        self.devices: tuple[Prepared, ...] = ()
        self.board = HealthBoard()

    def registered(self, known: bool, reason: str) -> None:
        self.registrations.append((known, reason))

    def devices_of(self, claim: Claim) -> tuple[Prepared, ...]:
        self.claims.append(claim)
        return self.devices

    def plugin(self, socket: Path) -> Plugin:
        return Plugin(socket, DRIVER, registered=self.registered, devices_of=self.devices_of, board=self.board)


@pytest.fixture(name="told")
def _told() -> Told:
    return Told()


@pytest.fixture(name="kubelet")
def _kubelet(tmp_path: Path, told: Told) -> Iterator[Kubelet]:
    socket = tmp_path / "reg.sock"
    with told.plugin(socket), connected(socket) as kubelet:
        yield kubelet


def test_it_says_what_it_is(kubelet: Kubelet) -> None:
    info = kubelet.info()
    assert (info.type, info.name, info.endpoint) == ("DRAPlugin", DRIVER, "")
    assert list(info.supported_versions) == ["v1.DRAPlugin", "v1alpha1.DRAResourceHealth"]


def test_it_hears_what_became_of_the_registration(kubelet: Kubelet, told: Told) -> None:
    kubelet.notify(registered=False, error="no such version")
    kubelet.notify(registered=True)
    assert told.registrations == [(False, "no such version"), (True, "")]


def test_each_claim_is_answered_without_an_error(kubelet: Kubelet, told: Told) -> None:
    found = kubelet.prepare(("team", "one", "uid-1"), ("team", "two", "uid-2"))
    assert {uid: (list(one.devices), one.error) for uid, one in found.items()} == {"uid-1": ([], ""), "uid-2": ([], "")}
    assert told.claims == [Claim("team", "uid-1", "one"), Claim("team", "uid-2", "two")]
    assert {uid: one.error for uid, one in kubelet.unprepare(("team", "one", "uid-1")).items()} == {"uid-1": ""}


def test_the_devices_of_a_claim_are_named_and_give_the_container_nothing(kubelet: Kubelet, told: Told) -> None:
    told.devices = (Prepared("t0", "n/gpus", "gpu-0000-1b-00-0"),)
    (device,) = kubelet.prepare(("team", "one", "uid-1"))["uid-1"].devices
    assert list(device.request_names) == ["t0"]
    assert (device.pool_name, device.device_name) == ("n/gpus", "gpu-0000-1b-00-0")
    assert not device.cdi_device_ids


def test_the_health_of_all_devices_comes_again_with_each_change(kubelet: Kubelet, told: Told) -> None:
    told.board.put((WELL, SICK))
    stream = kubelet.watch()
    assert healths(stream) == {"gpu-0": (1, ""), "gpu-1": (2, SICK.words)}
    told.board.put((WELL, DeviceHealth("n/gpus", "gpu-1", "unknown")))
    assert healths(stream) == {"gpu-0": (1, ""), "gpu-1": (0, "")}
    told.board.wake()
    assert healths(stream) == {"gpu-0": (1, ""), "gpu-1": (0, "")}, "again, before the kubelet takes it for stale"
    stream.cancel()


def test_nothing_is_said_of_health_while_nothing_is_known(kubelet: Kubelet, told: Told) -> None:
    stream = kubelet.watch()
    told.board.wake()
    told.board.put((WELL,))
    assert healths(stream) == {"gpu-0": (1, "")}
    stream.cancel()


def test_health_streams_leave_room_for_claims(kubelet: Kubelet, told: Told) -> None:
    told.board.put((WELL,))
    streams = [kubelet.watch() for _ in range(4)]
    assert [healths(stream) for stream in streams] == [{"gpu-0": (1, "")}] * 4
    with pytest.raises(grpc.RpcError, match="at most 4 streams"):
        next(kubelet.watch())
    assert "uid-1" in kubelet.prepare(("team", "one", "uid-1"))
    for stream in streams:
        stream.cancel()


@pytest.mark.parametrize("method", [f"{PLUGIN}NodePrepareResources", f"{REGISTRATION}NotifyRegistrationStatus"])
def test_what_is_no_message_is_refused_and_costs_nothing(kubelet: Kubelet, told: Told, method: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        kubelet.raw(method, b"\x0a\xff")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined, unused-ignore]
    assert not told.registrations
    assert kubelet.info().name == DRIVER


def test_a_socket_that_is_left_from_before_is_no_hindrance(tmp_path: Path, told: Told) -> None:
    socket = tmp_path / "reg.sock"
    socket.touch()
    with told.plugin(socket), connected(socket) as kubelet:
        assert kubelet.info().name == DRIVER
        assert stat.S_ISSOCK(socket.stat().st_mode)
    assert not socket.exists()


def test_without_its_folder_it_says_so(tmp_path: Path, told: Told) -> None:
    with pytest.raises(ReadError, match="no socket can be made"), told.plugin(tmp_path / "none" / "reg.sock"):
        pass
