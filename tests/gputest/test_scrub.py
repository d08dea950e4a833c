"""What identifies a machine is in no text any more, and equal things stay equal."""

import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gputest.scrub import Scrubber
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.capture import parse_capture
from tests.gputest.smi_texts import QUERY, model_of, snapshot_of, texts_of
from tests.reference import seconds

TRAY = "gb200-nvl72-tray"
SCRUBBER = Scrubber(snapshot_of(TRAY))


def capture() -> Snapshot:
    return parse_capture(SCRUBBER.capture(snapshot_of(TRAY)), "scrubbed")


def test_gids_keep_their_kind_and_their_type() -> None:
    before, after = snapshot_of("h100-sxm-8gpu-8cx7"), None
    after = parse_capture(Scrubber(before).capture(before), "scrubbed")
    assert before.rdma is not None
    assert after.rdma is not None
    for one, other in zip(before.rdma.devices, after.rdma.devices, strict=True):
        for port, scrubbed in zip(one.ports, other.ports, strict=True):
            assert [_kind(gid.gid) for gid in port.gids] == [_kind(gid.gid) for gid in scrubbed.gids]
            assert not {gid.gid for gid in port.gids} & {gid.gid for gid in scrubbed.gids}
            assert [gid.type for gid in port.gids] == [gid.type for gid in scrubbed.gids]


def _kind(gid: str) -> str:
    return "link-local" if gid.startswith("fe80") else "IPv4" if ":ffff:" in gid else "global"


def test_a_domain_stays_one_domain_and_zeros_stay_zeros() -> None:
    assert {gpu.fabric.cluster_uuid for gpu in capture().nvml.gpus} != {None}  # type: ignore[union-attr]
    assert len({gpu.fabric.cluster_uuid for gpu in capture().nvml.gpus}) == 1  # type: ignore[union-attr]
    zeros = "00000000-0000-0000-0000-000000000000"
    assert SCRUBBER.text(f"clusterUUID {zeros}") == f"clusterUUID {zeros}"


def test_the_same_thing_has_one_name_in_all_texts() -> None:
    uuid = snapshot_of(TRAY).nvml.gpus[1].uuid  # type: ignore[union-attr]
    named = capture().nvml.gpus[1].uuid  # type: ignore[union-attr]
    assert SCRUBBER.text(f"a {uuid} b {uuid.lower()}") == f"a {named} b {named}"


def test_identifiers_that_nvtopo_does_not_read_are_taken_out_too() -> None:
    text = SCRUBBER.text(texts_of(TRAY)[QUERY])
    for gpu in model_of(TRAY)["gpus"]:
        assert gpu["serial"] not in text
    assert "<serial>scrubbed</serial>" in text
    assert "somebody" not in text
    assert "NVIDIA GB200" in text
    assert SCRUBBER.text("    Serial Number                         : 1652\n").endswith(": scrubbed\n")
    assert SCRUBBER.text("    Serial Number                         : N/A\n").endswith(": N/A\n")
    assert "12345678-1234" not in SCRUBBER.text("GPU-12345678-1234-1234-1234-123456789abc")
    assert SCRUBBER.text("<serial>1</serial>") == "<serial>scrubbed</serial>"
    assert SCRUBBER.text("ether 9c:6b:00:12:34:56 up") == "ether 00:00:5e:00:53:00 up"
    assert SCRUBBER.text("0000:53:00.0 at pci0000:50/0000:51:00.0") == "0000:53:00.0 at pci0000:50/0000:51:00.0"


def test_problems_are_scrubbed_and_a_cut_list_of_processes_is_cut_off() -> None:
    uuid = snapshot_of(TRAY).nvml.gpus[0].uuid  # type: ignore[union-attr]
    problem = parse_capture(b'{"capture":1,"problems":[{"source":"nvml","subject":"x","reason":"y"}]}', "x").problems[0]
    odd = replace(snapshot_of(TRAY), problems=(replace(problem, reason=f"lost {uuid}"),))
    assert uuid.encode() not in Scrubber(odd).capture(odd)
    assert SCRUBBER.text("a<processes><pid>1") == "a<processes></processes>"


def test_without_a_snapshot_the_forms_are_still_taken_out() -> None:
    assert re.search("12345678", Scrubber(None).text("GPU-12345678-1234-1234-1234-123456789abc")) is None


@given(st.text(max_size=300))
def test_any_text_can_be_scrubbed_again(text: str) -> None:
    once = SCRUBBER.text(text)
    assert SCRUBBER.text(once) == once


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["a", " ", "\n", "<processes>", "<serial", "serial ", "0:", "0x", "00000000-"])
def test_a_text_ten_times_as_long_takes_no_hundred_times_as_long(piece: str) -> None:
    short, long = (min(seconds(partial(SCRUBBER.text, piece * many)) for _try in range(3)) for many in (2_000, 20_000))
    assert long < 50 * short


def test_a_guid_is_found_as_nvidia_smi_writes_it() -> None:
    (guid, *_) = {gpu["platform"]["ibGuid"] for gpu in model_of(TRAY)["gpus"]}
    assert guid not in SCRUBBER.text(f"guid 0x{guid} 0X{guid.upper()}").lower()
