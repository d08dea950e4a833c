import pytest

from nvtopo.model.samples.pause_counters import Pause, counted, meaning, wanted


@pytest.mark.parametrize(
    ("name", "family", "priority", "unit"),
    [
        ("rx_prio3_pause", "frames_received", "3", 1),
        ("tx_prio0_pause", "frames_transmitted", "0", 1),
        ("rx_prio3_pause_duration", "seconds_received", "3", 1_000_000),
        ("tx_pfc_ena_frames_pri7", "frames_transmitted", "7", 1),
        ("pfc_pri5_rx_duration_us", "seconds_received", "5", 1_000_000),
        ("tx_priority_3_xoff.nic", "frames_transmitted", "3", 1),
        ("port.rx_priority_3_xoff", "frames_received", "3", 1),
        ("rx_flow_control_xoff", "frames_received", "all", 1),
        ("tx_global_pause_duration", "seconds_transmitted", "all", 1_000_000),
    ],
)
def test_each_driver_s_names(name: str, family: str, priority: str, unit: int) -> None:
    assert meaning(name) == (Pause(family, priority), unit)


@pytest.mark.parametrize(
    "name",
    ["rx_prio3_packets", "rx_prio8_pause", "rx_prio3_pause_transition", "rx_flow_control_xon", "rx_pause_ctrl_phy"],
)
def test_what_is_not_a_pause_frame_or_its_time(name: str) -> None:
    assert meaning(name) is None


def test_microseconds_are_seconds() -> None:
    statistics = {"rx_packets": 9, "rx_prio3_pause": 7, "rx_prio3_pause_duration": 2_500_000}
    assert counted(statistics) == {Pause("frames_received", "3"): 7, Pause("seconds_received", "3"): 2.5}
    assert wanted(statistics) == (1, 2)
