"""The page by axe-core in Chromium, as wide as a phone and as a desk, in both themes: no serious violation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from nvtopo.aggregator.server import GraphServer
from nvtopo.cluster.inventory import Listed
from tests import npm_packages
from tests.aggregator.running import PATIENCE, Script, running
from tests.aggregator.test_page_fleet import BOARDS, RACKS, fleet
from tests.browser import CHROMIUM, Tab, tab
from tests.exporters.page_fabric import faulty
from tests.fabrics.ibfabric import host

pytestmark = [pytest.mark.lab, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]

PINS: Final = Path(__file__).with_name("axe")
#: Widths and heights: a phone, a desk.
SIZES: Final = ((390, 844), (1440, 900))
NODE: Final = host(0, 0)
_RUN: Final = "axe.run().then((found) => found.violations)"
_BROKEN: Final = "document.querySelector('main').append(Object.assign(new Image(), {src: 'data:,'}))"


class Page(NamedTuple):
    """What is looked at."""

    tab: Tab
    url: str
    axe: str


@pytest.fixture(name="page", scope="module")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    axe = (npm_packages.installed(PINS, "axe") / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    found = faulty()
    with running(Script(Listed(found.nodes))) as aggregator, tab(tmp_path_factory.mktemp("profile")) as opened:
        first = aggregator.wait(-1, PATIENCE)
        assert first is not None
        aggregator.tell("network", {"network": found.reading})
        assert aggregator.wait(first.generation, PATIENCE) is not None
        with GraphServer(aggregator) as server:
            yield Page(opened, f"http://127.0.0.1:{server.port}/", axe)


def shown(page: Page, size: tuple[int, int], theme: str, place: str) -> None:
    """The page as it is once all of it has come."""
    page.tab.say("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    page.tab.open("about:blank")
    page.tab.open(page.url + place, *size)
    page.tab.wait("document.querySelector('#fabric-picture svg')")
    if place:
        page.tab.wait("document.querySelector('#facts .matrix')")


def serious(page: Page) -> list[tuple[str, str, list[str]]]:
    """Rule, why, and where, of each violation that keeps somebody out or leaves out a level of headings."""
    page.tab.find(f"{page.axe}; 0")
    found: list[dict[str, Any]] = page.tab.find(_RUN)
    return [
        (one["id"], one["help"], [node["html"][:200] for node in one["nodes"]][:5])
        for one in found
        if one["impact"] in {"serious", "critical"} or one["id"] == "heading-order"
    ]


@pytest.mark.parametrize("place", ["", f"#node/{NODE}"], ids=["racks", "node"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=["phone", "desk"])
def test_axe_finds_nothing_serious(page: Page, size: tuple[int, int], theme: str, place: str) -> None:
    shown(page, size, theme, place)
    assert serious(page) == []


@pytest.fixture(name="crowd", scope="module")
def _crowd(page: Page) -> Iterator[Page]:
    """The same browser before 300 racks."""
    with running(Script(Listed(fleet(RACKS, BOARDS)))) as aggregator:
        assert aggregator.wait(-1, 120) is not None
        with GraphServer(aggregator) as server:
            yield page._replace(url=f"http://127.0.0.1:{server.port}/")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=["phone", "desk"])
def test_axe_finds_nothing_serious_at_300_racks(crowd: Page, size: tuple[int, int], theme: str) -> None:
    crowd.tab.say("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    crowd.tab.open("about:blank")
    crowd.tab.open(crowd.url, *size)
    crowd.tab.wait("document.querySelector('.tray') && document.querySelector('#look a')")
    assert serious(crowd) == []
    width = crowd.tab.find("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width[0] == width[1]


def test_axe_finds_what_is_put_there(page: Page) -> None:
    """Else the test above could not fail."""
    shown(page, SIZES[0], "light", "")
    page.tab.find(f"{_BROKEN}; 0")
    assert [rule for rule, *_ in serious(page)] == ["image-alt"]


@pytest.mark.parametrize("place", ["", f"#node/{NODE}"], ids=["racks", "node"])
@pytest.mark.parametrize("size", SIZES, ids=["phone", "desk"])
def test_the_page_is_as_wide_as_its_window_and_no_text_is_outside(
    page: Page, size: tuple[int, int], place: str
) -> None:
    shown(page, size, "light", place)
    width, _ = size
    assert page.tab.find("document.documentElement.scrollWidth") == page.tab.find(
        "document.documentElement.clientWidth"
    )
    box = page.tab.find("(({x, width}) => [x, width])(document.querySelector('#body').getBoundingClientRect())")
    assert box[1] > 0.9 * width, "a desk is filled"


def test_on_a_phone_the_chosen_node_is_in_sight(page: Page) -> None:
    shown(page, SIZES[0], "light", f"#node/{NODE}")
    top, height = page.tab.find("[document.querySelector('#facts').getBoundingClientRect().top, innerHeight]")
    assert top < height
