import pytest

from nvtopo.cluster import rackname
from nvtopo.cluster.claims import NVLINK_DOMAIN

UUID = "9277d399-0674-44a9-b64e-d85bb19ce2b0"


@pytest.mark.parametrize(
    ("domain", "serials", "expected"),
    [
        (f"{UUID}.32766", ("1822725100200",), "rack-1822725100200"),
        (f"{UUID}.2", ("1822725100200",), "rack-1822725100200-00002"),
        (f"{UUID}.32766", (), "rack-9277d399"),
        (f"{UUID}.1", (), "rack-9277d399-00001"),
        (f"{UUID}.32766", ("R12", "R7"), "rack-R000012"),
        (f"{UUID}.32766", ("../ \x1b",), "rack-.."),
        (f"{UUID}.32766", ("é",), f"rack-{UUID}.32766"),
        (f"{UUID}.32766", ("7" * 100,), f"rack-{UUID}.32766"),
    ],
)
def test_a_name_comes_from_the_domains_own_content(domain: str, serials: tuple[str, ...], expected: str) -> None:
    assert rackname.name(NVLINK_DOMAIN, domain, serials) == expected


def test_numbers_sort_as_numbers() -> None:
    names = [rackname.name(NVLINK_DOMAIN, f"{UUID}.32766", (serial,)) for serial in ("A7", "A12", "A100")]
    assert names == sorted(names)


def test_who_shares_a_name_goes_by_its_id() -> None:
    assert rackname.by_id(NVLINK_DOMAIN, f"{UUID}.1") == f"rack-{UUID}.1"
    assert rackname.by_id("leaf", "x") == "leaf-x"
