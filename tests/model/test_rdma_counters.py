from hypothesis import given
from hypothesis import strategies as st

from nvtopo.model.samples.rdma_counters import (
    MEANINGS,
    PHYSICAL_STATES,
    STATES,
    TRAFFIC,
    counted,
    kinds,
    number,
    watched,
)

COUNTS = st.dictionaries(st.sampled_from(sorted(MEANINGS)), st.integers(0, 2**64 - 1))


def test_data_is_counted_in_words_of_four_bytes() -> None:
    found = counted({"counters/port_xmit_data": 1000, "counters/port_rcv_data": 1, "hw_counters/tx_bytes": 7})
    assert found.values == {("data_transmitted", ""): 4000, ("data_received", ""): 4}


def test_drivers_say_the_same_in_their_own_words() -> None:
    for file in ("local_ack_timeout_err", "to_retransmits", "retrans_timeout_events"):
        assert counted({f"hw_counters/{file}": 3}).values == {("retransmissions", "timeout"): 3}


def test_a_counter_at_its_end_counts_no_more() -> None:
    found = counted({"counters/link_downed": 255, "counters/symbol_error": 255, "hw_counters/link_downed": 255})
    assert found.values == {("link_downed", ""): 255, ("symbol_error", ""): 255}, "the driver's own has no such end"
    assert found.saturated == ("counters/link_downed",)


@given(COUNTS)
def test_nothing_is_invented_or_added_up(counters: dict[str, int]) -> None:
    found = counted(counters)
    for (family, kind), value in found.values.items():
        files = [file for file in counters if MEANINGS[file][:2] == (family, kind)]
        assert value in {counters[file] * MEANINGS[file].unit for file in files}
    assert all(counters[file] == MEANINGS[file].ceiling for file in found.saturated)
    meant = {MEANINGS[file][:2] for file in counters if file not in found.saturated}
    assert set(found.values) == meant


def test_no_driver_s_name_hides_another_s() -> None:
    """Files of one family either have kinds or do not, and of one kind have one unit."""
    for family in {meaning.family for meaning in MEANINGS.values()}:
        assert "" not in kinds(family) or kinds(family) == ("",)


def test_without_traffic_no_file_of_it_is_read() -> None:
    assert watched(traffic=False) < watched(traffic=True)
    assert {MEANINGS[file].family for file in watched(traffic=True) - watched(traffic=False)} == TRAFFIC


def test_states_by_the_kernel_s_numbers() -> None:
    assert (number(STATES, "ACTIVE"), number(STATES, "DOWN"), number(STATES, "NEW")) == (4, 1, None)
    assert (number(PHYSICAL_STATES, "LinkUp"), number(PHYSICAL_STATES, "Disabled")) == (5, 3)
