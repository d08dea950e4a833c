"""Debian's lldpd as the switches and on the host, in network namespaces: what it prints is what we read."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.fabrics.heard import reading
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.sources.capture import parse_capture
from tests.fabrics.reading import evidence, read

pytestmark = pytest.mark.slow

_SCRIPT = Path(__file__).with_name("lldpd.sh")


_needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
_needs_lldpd = pytest.mark.skipif(shutil.which("lldpd") is None, reason="lldpd is not installed (Debian: lldpd)")


def _run(*arguments: str) -> None:
    done = subprocess.run(
        ["unshare", "-mnu", "--fork", str(_SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr


@_needs_root
@_needs_lldpd
def test_the_agent_hears_the_switches_and_the_tiers_follow(tmp_path: Path) -> None:
    _run(str(tmp_path), sys.executable, "-m", "tests.fabrics.hear", str(tmp_path))
    heard = {}
    for name in ("both", "one"):
        snapshot = parse_capture((tmp_path / f"{name}.json").read_bytes(), name)
        node = assemble(snapshot)
        heard[name] = [(one.netdev, one.name, one.port, one.port_kind) for one in node.neighbors]
        graph = build(fold(Inventory(), Listed({"gpu07": node})), None, reading({"gpu07": node.neighbors}))
        ports = [(port.nic, port.leaf, port.port) for port in graph.nodes["gpu07"].rails]
        assert ports == [(netdev, leaf, port) for netdev, leaf, port, _ in heard[name]]
        assert graph.nodes["gpu07"].tier_sources["leaf"] == ("lldp",)
    assert heard["both"] == [("eth0", "leaf-r0", "swp7", "ifname"), ("eth1", "leaf-r1", "swp7", "ifname")]
    # The second switch has said goodbye.
    assert heard["one"] == [("eth0", "leaf-r0", "swp7", "ifname")]


@_needs_root
@_needs_lldpd
def test_what_lldpd_prints_names_the_switches(tmp_path: Path) -> None:
    _run(str(tmp_path))
    for form in ("json", "json0"):
        found = read((tmp_path / f"gpu07.{form}").read_text(), name=f"gpu07.{form}")
        ports = sorted((port.node, port.nic, port.leaf, port.port) for port in found.ports)
        assert ports == [("gpu07", "eth0", "leaf-r0", "swp7"), ("gpu07", "eth1", "leaf-r1", "swp7")]
        assert [claim.node for claim in found.claims if claim.tier == "leaf"] == ["gpu07"]
        assert evidence(found) == []
    # The switch hears a host, which is no switch of its own.
    assert "found none" in (read((tmp_path / "leaf.json").read_text(), name="leaf.json").refused or "")
