import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.model.conclusions.locality import Locality, between, nccl_between

SWITCH = "pci0000:15/0000:15:01.0/0000:16:00.0"
GPU = f"{SWITCH}/0000:17:00.0/0000:18:00.0"


@pytest.mark.parametrize(
    ("other", "same_numa", "level", "nccl"),
    [
        (GPU, True, "X", "X"),
        (f"{SWITCH}/0000:17:01.0/0000:19:00.0", True, "PIX", "PIX"),
        (f"{SWITCH}/0000:17:02.0/0000:1a:00.0/0000:1b:00.0/0000:1c:00.0", True, "PXB", "PXB"),
        ("pci0000:15/0000:15:02.0/0000:20:00.0", True, "PHB", "PHB"),
        ("pci0000:30/0000:30:01.0/0000:31:00.0", True, "NODE", "PHB"),
        ("pci0000:80/0000:80:01.0/0000:81:00.0", False, "SYS", "SYS"),
    ],
)
def test_levels_of_both_vocabularies(other: str, same_numa: bool, level: str, nccl: str) -> None:
    assert between(GPU, other, same_numa=same_numa) is Locality[level]
    assert nccl_between(GPU, other, same_numa=same_numa) is Locality[nccl]


def test_two_ports_of_one_card_are_near_for_users_and_meet_at_the_cpu_for_nccl() -> None:
    one, other = ("pci0000:15/0000:15:01.0/0000:16:00.0", "pci0000:15/0000:15:01.0/0000:16:00.1")
    assert between(one, other, same_numa=True) is Locality.PIX
    assert nccl_between(one, other, same_numa=True) is Locality.PHB


def test_unknown_numa_is_not_far() -> None:
    assert between(GPU, "pci0000:80/0000:80:01.0/0000:81:00.0", same_numa=None) is None
    assert nccl_between(GPU, "pci0000:80/0000:80:01.0/0000:81:00.0", same_numa=None) is None


_PATHS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6).map("/".join)


@given(_PATHS, _PATHS, st.sampled_from([True, False, None]))
def test_distance_is_symmetric(a: str, b: str, same_numa: bool | None) -> None:
    assert between(a, b, same_numa=same_numa) == between(b, a, same_numa=same_numa)
    assert nccl_between(a, b, same_numa=same_numa) == nccl_between(b, a, same_numa=same_numa)


@given(_PATHS, _PATHS)
def test_nothing_is_nearer_than_the_device_itself(a: str, b: str) -> None:
    found = between(a, b, same_numa=True)
    assert found is not None
    assert (found is Locality.X) == (a == b)
