"""``ibv_rc_pingpong`` run by doctor: what each way of ending means. A stand-in prints what the program prints."""

import json
import os
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from nvtopo.cli import main
from nvtopo.cli.doctor_probes import end_of
from nvtopo.errors import UsageError
from nvtopo.sources.rdma import pingpong
from nvtopo.sources.rdma.pingpong import End
from tests.checks.recorded import machine_of, snapshot_of

#: The server ends as SERVER says, the client as CLIENT says; each writes down its arguments. The address is in the
#: program's buffer until it ends, and errors are not: in a file they come first.
_PROGRAM: Final = """#!/bin/sh
echo "$@" >> "$LOG"
for last; do :; done
case "$*" in *" -- "*) how=$CLIENT;; *) how=$SERVER;; esac
address="  local address:  LID 0x0000, QPN 0x000011, PSN 0x2ba2a7, GID fe80::1"
case $how in
passes) echo "$address"; echo "131072000 bytes in 0.02 seconds = 52428.80 Mbit/sec"
        echo "1000 iters in 0.02 seconds = 20.00 usec/iter"; exit 0;;
waits) exec sleep 60;;
lost) echo "Failed status transport retry counter exceeded (12) for wr_id 2" >&2; echo "$address"; exit 1;;
nobody) echo "Couldn't connect to $last:18515" >&2; echo "$address"; exit 1;;
loud) head -c 9000000 /dev/zero | tr '\\\\0' 'x'; exit 1;;
*) echo "Failed to modify QP to RTR" >&2; echo "$address"; exit 1;;
esac
"""
END: Final = End("mlx5_0", 1, 3, 4096)
H100: Final = "h100-sxm-8gpu-8cx7"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With the stand-in on PATH."""
    program = tmp_path / pingpong.PROGRAM
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setattr(pingpong, "_CONNECT_SECONDS", 0.0)
    return tmp_path / "log"


def ends(monkeypatch: pytest.MonkeyPatch, client: str, server: str = "waits") -> None:
    monkeypatch.setenv("CLIENT", client)
    monkeypatch.setenv("SERVER", server)


def test_messages_that_come_back(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(monkeypatch, "passes")
    assert pingpong.here(END) == ("mlx5_0", True, "52.4 Gb/s, 20.00 µs")
    said = "-d mlx5_0 -i 1 -g 3 -m 4096 -s 65536 -n 200 -c -p 18515"
    assert f"{said} -- 127.0.0.1" in log.read_text().splitlines()


def test_messages_that_are_lost_and_what_the_other_end_said(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(monkeypatch, "lost")
    lost = "Failed status transport retry counter exceeded (12) for wr_id 2"
    assert pingpong.to(END, "node-b") == ("mlx5_0 to node-b", False, lost)
    assert log.read_text().count("\n") == 1


def test_a_node_that_does_not_answer_is_not_tried(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(monkeypatch, "nobody")
    subject, passed, said = pingpong.to(END, "node-b")
    assert (subject, passed, said) == ("mlx5_0 to node-b", None, "Couldn't connect to node-b:18515")
    assert log.exists()


def test_a_program_that_does_not_end_is_ended(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(monkeypatch, "waits")
    monkeypatch.setattr(pingpong, "MOST_SECONDS", 0.1)
    assert pingpong.to(END, "node-b") == ("mlx5_0 to node-b", False, "no end within 0.1 s")
    assert pingpong.answer(END, seconds=0.1) == ("mlx5_0 as the other end", None, "nobody came within 0.1 s")
    assert log.exists()


def test_the_other_end(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(monkeypatch, "passes", "passes")
    assert pingpong.answer(END)[1:] == (True, "52.4 Gb/s, 20.00 µs")
    ends(monkeypatch, "passes", "refused")
    assert pingpong.answer(END)[1:] == (False, "Failed to modify QP to RTR")
    assert log.exists()


def test_what_it_prints_without_end_is_cut(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(monkeypatch, "loud")
    assert len(pingpong.to(END, "node-b").said) == 160
    assert log.exists()


def test_without_the_program_it_can_t_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for loop in (pingpong.here(END), pingpong.to(END, "node-b"), pingpong.answer(END)):
        assert loop.passed is None
        assert "ibverbs-utils" in loop.said


def test_a_name_is_one_argument(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(monkeypatch, "passes")
    pingpong.to(END, "--events; reboot")
    assert log.read_text().splitlines()[-1].endswith("-p 18515 -- --events; reboot")


def test_the_port_s_gid_index_and_mtu_are_told() -> None:
    assert end_of(machine_of(snapshot_of(H100)), "mlx5_0") == End("mlx5_0", 1, 3, None)
    assert end_of(machine_of(snapshot_of("gb200-nvl72-tray")), "mlx5_0").gid_index is None
    with pytest.raises(UsageError, match="mlx5_0, mlx5_1"):
        end_of(machine_of(snapshot_of(H100)), "mlx5_99")


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "outcome"), [("passes", "passed"), ("lost", "failed"), ("nobody", "unknown")])
def test_the_command_says_what_it_does_and_what_it_found(
    log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str, outcome: str
) -> None:
    from tests.machines import sysfs_text

    text = Path(__file__).parents[2] / "fixtures" / "hosts" / H100 / "sys.txt"
    sysfs_text.unpack(text.read_text(encoding="utf-8"), tmp_path / "root")
    ends(monkeypatch, ending)
    arguments = ["doctor", "--root", str(tmp_path / "root"), "--probe-rdma", "mlx5_0=node-b", "--format", "json"]
    result = CliRunner().invoke(main, arguments, standalone_mode=False)
    assert json.loads(result.stdout)["checks"]["rdma-loop-failed"] == outcome
    assert "active test: sends RDMA messages" in result.stderr
    assert "20 s at most" in result.stderr
    assert log.exists()


@pytest.mark.parametrize("option", [("--probe-mtu", "a"), ("--probe-rdma", "a"), ("--answer-rdma", "a")])
def test_a_capture_can_t_be_probed(option: tuple[str, str]) -> None:
    capture = Path(__file__).parents[2] / "fixtures" / "hosts" / H100 / "capture.json"
    result = CliRunner().invoke(main, ["doctor", "--from", str(capture), *option], standalone_mode=False)
    assert isinstance(result.exception, UsageError)
