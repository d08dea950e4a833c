"""Each decoder with damaged and random bytes: a record or an error of ours. ``python -m tests.fuzz`` runs longer."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import record
from tests.fuzz.mutations import HOSTILE
from tests.fuzz.targets import FILES, TARGETS, WIRE, one, run

pytestmark = pytest.mark.slow

_SETTINGS = settings(max_examples=60, deadline=20_000, suppress_health_check=[HealthCheck.too_slow])
#: As another process's decoder sees it, a document that is not there yet and one that is nothing but depth.
_WHOLE = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    *HOSTILE,
)


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - {"kubelet-grpc", "token"}))
def test_the_samples_are_read(name: str) -> None:
    assert {run(TARGETS[name], sample) for sample in TARGETS[name].samples()} <= (
        {"read", "refused"} if name == "watch" else {"read"}
    )


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_hostile_document_is_refused_or_read(name: str) -> None:
    for body in _WHOLE:
        run(TARGETS[name], body)


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - {"foreign"}))
@_SETTINGS
@given(seed=st.integers(min_value=0, max_value=1 << 32))
def test_a_damaged_sample_is_refused_or_read(name: str, seed: int) -> None:
    target = TARGETS[name]
    run(target, one(target, list(target.samples()), seed))


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - {"foreign"}))
@_SETTINGS
@given(body=st.binary(max_size=300))
def test_random_bytes_are_refused_or_read(name: str, body: bytes) -> None:
    run(TARGETS[name], body)


def test_the_command_counts_its_inputs() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--count", "50", "lease", "claims"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["lease", "50", "inputs"],
        ["claims", "50", "inputs"],
        ["all", "100", "inputs,"],
    ]


def test_the_page_shows_what_is_recorded() -> None:
    text = record.PAGE.read_text(encoding="utf-8")
    assert record.page(text, record.tried()) == text, "python -m tests.fuzz --record --count 0 lease"
    assert not WIRE.keys() & FILES.keys()


def test_what_is_recorded_goes_on_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "TRIED", tmp_path / "tried.json")
    monkeypatch.setattr(record, "PAGE", tmp_path / "page.md")
    record.TRIED.write_text("{}")
    record.PAGE.write_text("Before.\n\n" + record._HEAD)
    record.add("lease", 1500)
    record.add("lease", 1)
    assert record.tried() | {"lease": 0} == dict.fromkeys(TARGETS, 0)
    assert record.tried()["lease"] == 1501
    page = record.PAGE.read_text(encoding="utf-8")
    assert page.startswith("Before.")
    assert "| `lease` | wire | 1,501 |\n" in page
    assert "| `capture` | file | 0 |\n" in page
