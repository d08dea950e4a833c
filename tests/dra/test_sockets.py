"""Sockets of plugins that ended, in the kubelet's folder."""

import socket
from contextlib import closing
from pathlib import Path

from nvtopo.dra.sockets import remove_stale, socket_of

DRIVER = "topo.nvtopo.io"


def test_only_sockets_of_ours_that_refuse_are_removed(tmp_path: Path) -> None:
    ours, dead, other = (
        socket_of(tmp_path, *names) for names in ((DRIVER, "a"), (DRIVER, "b"), ("gpu.nvidia.com", ""))
    )
    with closing(socket.socket(socket.AF_UNIX)) as alive:
        alive.bind(str(ours))
        alive.listen()
        for path in (dead, other):
            with closing(socket.socket(socket.AF_UNIX)) as one:
                one.bind(str(path))
        remove_stale(tmp_path, DRIVER)
    assert {*tmp_path.iterdir()} == {ours, other}


def test_an_instance_has_a_socket_of_its_own(tmp_path: Path) -> None:
    assert socket_of(tmp_path, DRIVER, "uid").name == "topo.nvtopo.io-uid-reg.sock"
    assert socket_of(tmp_path, DRIVER, "").name == "topo.nvtopo.io-reg.sock"
