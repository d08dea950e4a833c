"""``nvtopo predicted``: an answer beside the output of nccl-tests, by the command line."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from nvtopo.cli import main
from nvtopo.errors import ParseError

RACK = str(Path(__file__).resolve().parents[2] / "fixtures/clusters/gb200-nvl72-rack")
HEAD = "#  size  count  type  redop  root  time  algbw  busbw #wrong  time  algbw  busbw #wrong\n"
ROW = "  1073741824  268435456  float  sum  -1  2500.0  429.50  {0:.2f}  0  2500.0  429.50  {0:.2f}  0\n"


def output(hosts: list[str], rate: float) -> str:
    ranks = [
        f"#  Rank {4 * n + gpu} Group 0 Pid 1 on {host} device {gpu} [0x00] B200\n"
        for n, host in enumerate(hosts)
        for gpu in range(4)
    ]
    return "".join(ranks) + HEAD + ROW.format(rate)


def test_a_measured_link_replaces_the_given_one_and_is_compared(tmp_path: Path) -> None:
    (tmp_path / "request.yaml").write_text("spec: {pods: 2, gpusPerPod: 4}")
    place = ["place", "--from", RACK, "--request", str(tmp_path / "request.yaml"), "--format", "json"]
    first = CliRunner().invoke(main, place)
    assert first.exit_code == 0
    (tmp_path / "answer.json").write_text(first.stdout)
    hosts = list(dict.fromkeys(rank["node"] for rank in msgspec.json.decode(first.stdout)["ranks"]))
    (tmp_path / "run.txt").write_text(output(hosts, 750.0))
    shown = CliRunner().invoke(
        main, ["predicted", str(tmp_path / "answer.json"), "--measured", str(tmp_path / "run.txt")]
    )
    assert shown.exit_code == 0
    assert "900.0 GB/s  750.0 GB/s  83%" in shown.stdout
    again = CliRunner().invoke(main, [*place, "--measured", str(tmp_path / "run.txt")])
    assert msgspec.json.decode(again.stdout)["busBytesPerSecond"] == 750 * 10**9
    links = CliRunner().invoke(
        main, ["predicted", str(tmp_path / "answer.json"), "--measured", str(tmp_path / "run.txt"), "-o", "links"]
    )
    (tmp_path / "links.json").write_text(links.stdout)
    (tmp_path / "trace.csv").write_text("arrival,duration,gpus\n0,10,8\n")
    simulate = ["simulate", "--trace", str(tmp_path / "trace.csv"), "--policy", "ours", "--json"]
    plain, slower = (
        msgspec.json.decode(CliRunner().invoke(main, [*simulate, *more]).stdout)[0]["allReduceMeanMicroseconds"]
        for more in ([], ["--links", str(tmp_path / "links.json")])
    )
    assert slower > plain


def test_what_is_no_answer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}")
    refused = CliRunner().invoke(main, ["predicted", str(tmp_path / "x"), "--measured", str(tmp_path / "x")])
    assert isinstance(refused.exception, ParseError)
    with pytest.raises(ParseError, match="an Assignment"):
        raise refused.exception
