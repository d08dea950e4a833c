"""Bundles of links: what folds, what does not, and that a new fact of a link needs no word here."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.model.records.nvlinks import REMOTE_ADDRESS, NvLink, NvLinkBundle, NvLinkFacts, fold, unfold
from tests.hosts.recorded import FIXTURES
from tests.model.machines import address

#: For each fact that a bundle and a link share, two values that differ.
_VALUES: dict[str, tuple[Any, Any]] = {
    "state": ("active", "sleep"),
    "version": ("4.0", "5.0"),
    "bytes_per_second": (25_000_000_000, 50_000_000_000),
    "remote": ("gpu", "switch"),
}

_LINKS = st.lists(
    st.builds(
        NvLink,
        link=st.integers(0, 40),
        state=st.sampled_from(("active", "inactive", None)),
        version=st.sampled_from(("", "4.0")),
        bytes_per_second=st.sampled_from((None, 0, 25_000_000_000)),
        remote=st.sampled_from(("gpu", "switch", None)),
        remote_address=st.sampled_from((None, address(1), address(2))),
    ),
    unique_by=lambda link: link.link,
).map(tuple)


def _with_a_lane_count(kind: type[Any]) -> type[Any]:
    """The record, once links have another fact."""
    return msgspec.defstruct(
        kind.__name__, [("lane_count", int | None, None)], bases=(kind,), frozen=True, kw_only=True
    )


@pytest.mark.parametrize("fact", NvLinkFacts.__struct_fields__)
def test_links_that_differ_in_any_fact_do_not_fold(fact: str) -> None:
    links = tuple(NvLink(link=number, **{fact: value}) for number, value in enumerate(_VALUES[fact]))
    assert [getattr(bundle, fact) for bundle in fold(links)] == list(_VALUES[fact])
    assert len(fold((links[0], msgspec.structs.replace(links[0], link=1)))) == 1


@given(_LINKS)
def test_folding_keeps_every_fact_of_every_link(links: tuple[NvLink, ...]) -> None:
    known = {
        link.link: {
            name: value for name, value in msgspec.structs.asdict(link).items() if name in NvLinkFacts.__struct_fields__
        }
        for link in links
    }
    found = unfold(fold(links))
    assert {link: facts.pop(REMOTE_ADDRESS) for link, facts in found.items()} == {
        link.link: link.remote_address for link in links
    }
    names = dict(zip(NvLinkBundle.__struct_encode_fields__, NvLinkBundle.__struct_fields__, strict=True))
    assert {link: {names[name]: value for name, value in facts.items()} for link, facts in found.items()} == known


def test_a_new_fact_of_a_link_is_folded_and_unfolded_unasked() -> None:
    link, bundle = _with_a_lane_count(NvLink), _with_a_lane_count(NvLinkBundle)
    folded = fold((link(link=0, lane_count=2), link(link=1, lane_count=2), link(link=2, lane_count=1)), bundle)
    assert [msgspec.to_builtins(one) for one in folded] == [
        {"links": "0-1", "laneCount": 2},
        {"links": "2", "laneCount": 1},
    ]
    assert {number: facts["laneCount"] for number, facts in unfold(folded).items()} == {0: 2, 1: 2, 2: 1}


def test_the_states_that_traffic_can_use_are_listed_once() -> None:
    """And in the NVML worker, which imports no record."""
    package = FIXTURES.parent / "nvtopo"
    found = [path for path in package.rglob("*.py") if '("active", "sleep")' in path.read_text(encoding="utf-8")]
    assert {str(path.relative_to(package)) for path in found} == {"model/records/nvlinks.py", "sources/nvml/links.py"}
