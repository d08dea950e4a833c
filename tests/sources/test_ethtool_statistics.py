"""``ethtool -S`` of this very machine's devices, beside pyroute2's reading of the same."""

import errno
from pathlib import Path

import pytest
from pyroute2.ethtool.ioctl import IoctlEthtool, NotSupportedError

from nvtopo.sources.linux.ethtool_statistics import EthtoolStatistics


def told(netdev: str) -> dict[str, int]:
    """pyroute2's reading; empty where there are none."""
    kernel = IoctlEthtool(netdev)
    try:
        return dict(kernel.get_statistics())
    except NotSupportedError:
        return {}
    finally:
        kernel.close()


def test_every_device_s_statistics_are_those_that_pyroute2_reads() -> None:
    hardware = [path.name for path in Path("/sys/class/net").iterdir() if (path / "device").exists()]
    kernel = EthtoolStatistics(lambda names: tuple(range(len(list(names)))))
    for netdev in ["lo", *hardware]:
        before = told(netdev)
        for _ in range(2):
            found = read(kernel, netdev)
            after = told(netdev)
            assert list(found) == list(dict.fromkeys(before))
            assert all(before[name] <= found[name] <= after[name] for name in found)


def read(kernel: EthtoolStatistics, netdev: str) -> dict[str, int]:
    try:
        return kernel.read(netdev)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return {}


def test_no_such_device() -> None:
    with pytest.raises(OSError, match="No such device"):
        EthtoolStatistics(lambda _: ()).read("nowhere0")


def test_nothing_is_asked_for_where_nothing_is_wanted() -> None:
    asked = []

    def none(names: object) -> tuple[int, ...]:
        asked.append(names)
        return ()

    kernel = EthtoolStatistics(none)
    assert [read(kernel, "lo"), read(kernel, "lo")] == [{}, {}]
    assert len(asked) <= 1
