import pytest

from nvtopo.cluster import rackname

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
    assert rackname.name(domain, serials) == expected


def test_numbers_sort_as_numbers() -> None:
    names = [rackname.name(f"{UUID}.32766", (serial,)) for serial in ("A7", "A12", "A100")]
    assert names == sorted(names)


def test_domains_that_would_share_a_name_go_by_their_ids() -> None:
    other = UUID.replace("0674", "0675")
    names = rackname.unique({f"{UUID}.32766": (), f"{other}.32766": (), "x.1": ("5",)})
    assert names == {
        f"{UUID}.32766": f"rack-{UUID}.32766",
        f"{other}.32766": f"rack-{other}.32766",
        "x.1": "rack-000005-00001",
    }


def test_a_name_stays_when_another_rack_arrives() -> None:
    before = rackname.unique({f"{UUID}.32766": ("5",)})
    after = rackname.unique({"y.32766": ("4",), f"{UUID}.32766": ("5",)})
    assert after[f"{UUID}.32766"] == before[f"{UUID}.32766"]
