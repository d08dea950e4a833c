"""What active tests of the network found: the largest packet that came back, and messages of RDMA sent to and fro."""

from typing import NamedTuple


class PathMtu(NamedTuple):
    """Packets of several sizes to a host, each with "don't fragment"."""

    host: str
    netdev: str
    """The network device that they left by; empty if that is not known."""
    mtu_bytes: int | None
    """The MTU of that device; None if it is not known."""
    passed_bytes: int | None
    """The largest packet that was answered; None if none was."""
    problem: str = ""
    """Why nothing could be sent."""


class RdmaLoop(NamedTuple):
    """A run of ``ibv_rc_pingpong``."""

    subject: str
    """``mlx5_0``, ``mlx5_0 to node-b``."""
    passed: bool | None
    """None if it could not be tried."""
    said: str = ""
    """What the program said, in one line."""


class Probed(NamedTuple):
    """The results of all probes."""

    paths: tuple[PathMtu, ...] = ()
    loops: tuple[RdmaLoop, ...] = ()
