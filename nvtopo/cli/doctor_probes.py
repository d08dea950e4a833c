"""Active tests of ``nvtopo doctor``: only what is asked for, said on standard error before it begins, with a limit."""

from typing import TYPE_CHECKING, Final, NamedTuple

import click

from nvtopo.cli.option_group import option_group
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.checks.check import Machine
    from nvtopo.checks.report import NodeReport
    from nvtopo.model.samples.probed import PathMtu, RdmaLoop
    from nvtopo.sources.rdma.pingpong import End

#: Of one command.
_MOST: Final = 64


class Probes(NamedTuple):
    """What is to be tried."""

    probe_mtu: tuple[str, ...] = ()
    """``HOST`` or ``NETDEV=HOST``."""
    probe_rdma: tuple[str, ...] = ()
    """``DEVICE``, or ``DEVICE=HOST``."""
    answer_rdma: str | None = None
    """A device."""

    def checked(self, *, elsewhere: bool) -> None:
        """Refuse what can't be tried.

        Raises:
            UsageError: the report is on something else than this machine, or it is too much.
        """
        if elsewhere and self != Probes():
            raise UsageError("doctor: --probe-mtu, --probe-rdma and --answer-rdma are for this machine only")
        if len(self.probe_mtu) + len(self.probe_rdma) > _MOST:
            raise UsageError(f"doctor: expected at most {_MOST} probes")

    def added(self, report: "NodeReport", machine: "Machine") -> "NodeReport":
        """The report with what the tests found."""
        if self == Probes():
            return report
        from nvtopo.checks import active
        from nvtopo.model.samples.probed import Probed

        answered = () if self.answer_rdma is None else (self._answer(machine, self.answer_rdma),)
        loops = tuple(_loop(machine, one) for one in self.probe_rdma)
        probed = Probed(tuple(_path(one) for one in self.probe_mtu), (*answered, *loops))
        for line in active.announced(probed):
            click.echo(f"nvtopo: {line}", err=True)
        return active.with_probed(report, probed)

    @staticmethod
    def _answer(machine: "Machine", device: str) -> "RdmaLoop":
        from nvtopo.sources.rdma import pingpong

        end = end_of(machine, device)
        _say(f"waits for one run of RDMA messages to {device}", pingpong.SERVER_SECONDS)
        return pingpong.answer(end)


probe_options = option_group(
    "probes",
    Probes,
    click.option(
        "--probe-mtu",
        multiple=True,
        metavar="[NETDEV=]HOST",
        help="Active test: which packets HOST answers, up to the network device's MTU. May be given again.",
    ),
    click.option(
        "--probe-rdma",
        multiple=True,
        metavar="DEVICE[=HOST]",
        help="Active test: ibv_rc_pingpong within an RDMA device, or to a HOST with --answer-rdma. May be given again.",
    ),
    click.option(
        "--answer-rdma", metavar="DEVICE", help="Be the other end of one --probe-rdma, for two minutes at most."
    ),
)


def end_of(machine: "Machine", device: str) -> "End":
    """The first port of the device that is up, with the GID index that NCCL would choose and the path's MTU.

    Raises:
        UsageError: there is no such device.
    """
    from nvtopo.model.conclusions.ports import is_up
    from nvtopo.sources.rdma.pingpong import End

    ports = [port for nic in machine.node.nics if nic.name == device for port in nic.ports]
    if not ports:
        known = ", ".join(nic.name for nic in machine.node.nics if nic.ports) or "none"
        raise UsageError(f"doctor: {device!r} is no RDMA device of this node; it has {known}")
    port = next((port for port in ports if is_up(port)), ports[0])
    gid = port.gid_index if port.link_layer == "Ethernet" else None
    return End(device, port.number, gid, port.active_mtu_bytes)


def _path(asked: str) -> "PathMtu":
    from nvtopo.sources.linux import path_mtu

    netdev, _, host = asked.rpartition("=")
    _say(f"sends packets of several sizes to {host}", path_mtu.MOST_SECONDS)
    return path_mtu.read(host, netdev)


def _loop(machine: "Machine", asked: str) -> "RdmaLoop":
    from nvtopo.sources.rdma import pingpong

    device, _, host = asked.partition("=")
    end = end_of(machine, device)
    _say(f"sends RDMA messages of 64 KiB from {device} to {host or 'itself'}", pingpong.MOST_SECONDS)
    return pingpong.to(end, host) if host else pingpong.here(end)


def _say(what: str, seconds: float) -> None:
    click.echo(f"nvtopo: active test: {what}, {seconds:g} s at most", err=True)
