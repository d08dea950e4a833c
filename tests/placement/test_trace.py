"""Traces: our columns, the public ones, and what is none."""

from pathlib import Path

import pytest

from nvtopo.errors import ParseError
from nvtopo.placement.trace import Gang, parse
from tests.placement.seeds import seeded

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"


def parsed(text: str) -> tuple[Gang, ...]:
    return parse(text.encode(), "t.csv", seeded(1))


def test_gangs_come_by_arrival_and_the_first_arrives_at_0() -> None:
    assert parsed("arrival,gpus,duration\n9.5,4,2\n5,8,1.5\n") == (Gang("1", 0, 8, 1, 1.5), Gang("0", 4.5, 4, 1, 2))


def test_pods_of_several_gpus() -> None:
    assert parsed("duration,pods,gpus_per_pod,arrival,note\n7,2,4,0,x\n") == (Gang("0", 0, 2, 4, 7),)


def test_a_job_list_has_a_pod_for_each_gpu() -> None:
    text = "job_id,num_gpu,submit_time,iterations,model_name,duration,interval\n0,8,30,1,m,147,23\n"
    assert parsed(text) == (Gang("0", 0, 8, 1, 147),)


def test_pods_of_the_pod_list_are_put_together_and_none_is_lost() -> None:
    header = "name,num_gpu,gpu_milli,creation_time,deletion_time\n"
    whole = "".join(f"p{at},{1 + at % 2},1000,{at},{at + 10}\n" for at in range(40))
    rest = "a,0,0,0,9\nb,1,460,0,9\nc,1,1000,9,9\nd,1,1000,0,\n"
    gangs = parsed(header + whole + rest)
    assert sum(gang.pods for gang in gangs if gang.gpus == 1) == 20
    assert sum(gang.pods for gang in gangs if gang.gpus == 2) == 20
    assert any(gang.pods > 1 for gang in gangs)
    assert gangs == parsed(header + whole + rest)
    # It arrives with its first pod and runs as long as its longest.
    assert all(gang.duration == 10 for gang in gangs)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected CSV with the columns"),
        ("a,b\n1,2\n", "expected CSV with the columns"),
        ("arrival,gpus,duration\n", "expected at least one gang"),
        ("arrival,gpus,duration\n0,0,1\n", "line 2: gpus: expected a whole number from 1 to 100000, got '0'"),
        ("arrival,gpus,duration\n0,1\n", "line 2: duration: expected seconds"),
        ("arrival,gpus,duration\nnan,1,1\n", "line 2: arrival: expected seconds"),
        ("arrival,gpus,duration\n0,1,inf\n", "line 2: duration: expected seconds"),
        ("arrival,gpus,duration\n0,1,-1\n", "line 2: duration: expected seconds"),
        ("arrival,gpus,duration\n0,²,1\n", "line 2: gpus"),
        ("arrival,gpus,duration\n0," + "9" * 5000 + ",1\n", "line 2: gpus"),
        ("arrival,gpus,duration\n0,1,1\n" + "x" * 200_000, "field larger than field limit"),
    ],
)
def test_what_is_no_trace_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(ParseError, match=r"^t\.csv: ") as refused:
        parsed(text)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(ParseError, match=r"t\.csv: bytes that are not UTF-8"):
        parse(b"\xff", "t.csv", seeded(1))


@pytest.mark.parametrize(
    ("name", "gpus"),
    [("cluster_traces/openb_pod_list_default.csv", None), ("second/cluster/real/tiresias-60_job.csv", 170)],
)
def test_the_public_traces(name: str, gpus: int | None) -> None:
    file = CASES / name
    if not file.exists():
        pytest.skip(f"no {file}")
    gangs = parse(file.read_bytes(), name, seeded(1))
    assert gangs[0].arrival == 0
    assert gpus is None or sum(gang.ranks for gang in gangs) == gpus
