"""The page at 300 racks in a real Chromium: what is far is not drawn, and found, walked to and changed all the same."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from nvtopo.aggregator.server import GraphServer
from nvtopo.cluster.inventory import Applied, Listed
from nvtopo.model.records.node import NodeTopology
from tests.aggregator.page_work import Meter, Work
from tests.aggregator.running import Script, running
from tests.browser import CHROMIUM, Tab, tab
from tests.cluster import machines

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]

RACKS: Final = 300
#: Boards without a rack beside them.
BOARDS: Final = 400
#: A fault is in the last rack but one.
ILL: Final = machines.name(RACKS - 1, 7)
LAST: Final = machines.name(RACKS, 9)
#: Seconds until the graph is there on a busy machine; only a hang takes longer.
_PATIENCE_SECONDS: Final = 120.0
_DRAWN: Final = "document.querySelectorAll('.rack[data-drawn]').length"
_SEEN: Final = (
    "((one) => { const box = one.getBoundingClientRect();"
    " return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight; })"
)


class Page(NamedTuple):
    """A fleet, and who looks at it."""

    tab: Tab
    script: Script
    url: str


def ill(rack: int, number: int) -> NodeTopology:
    return machines.changed(machines.tray(rack, number), 2, nvlinks=(machines.bundle(state="inactive"),))


def fleet(racks: int, boards: int = 0) -> dict[str, NodeTopology]:
    """Racks, one with a fault, and boards."""
    nodes = machines.racks(racks) | {f"hgx-{at:03}": machines.hgx() for at in range(boards)}
    return nodes | {machines.name(racks - 1, 7): ill(racks - 1, 7)}


@pytest.fixture(name="browser", scope="module")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with tab(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(name="page", scope="module")
def _page(browser: Tab) -> Iterator[Page]:
    script = Script(Listed(fleet(RACKS, BOARDS)))
    with running(script) as aggregator:
        assert aggregator.wait(-1, _PATIENCE_SECONDS) is not None
        with GraphServer(aggregator) as server:
            yield Page(browser, script, f"http://127.0.0.1:{server.port}/")


def opened(page: Page, place: str = "", width: int = 1280, height: int = 900) -> Tab:
    """The page as it first stands."""
    page.tab.open("about:blank")
    page.tab.open(page.url + place, width=width, height=height)
    page.tab.wait("document.querySelector('.tray') && document.querySelector('#state').dataset.state === 'live'")
    return page.tab


def write(tab: Tab, text: str) -> None:
    """Into the box of the search."""
    box = "document.querySelector('#find')"
    tab.find(f"({box}.value = '{text}', {box}.dispatchEvent(new Event('input')), 0)")


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_what_is_far_is_a_name_and_its_counts(page: Page, width: int, height: int) -> None:
    tab = opened(page, width=width, height=height)
    assert tab.find("document.querySelectorAll('.rack').length") == RACKS
    assert 0 < tab.find(_DRAWN) < RACKS / 3
    assert tab.find("document.querySelectorAll('*').length") < 12 * RACKS + 10_000, "of more than 60,000"
    assert tab.find("document.querySelector('#count-gpus').textContent") == "24,800"
    last = "[...document.querySelectorAll('.rack')].at(-1)"
    assert tab.find(f"{last}.textContent") == "rack-182010000030072 GPUs"


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_a_fault_is_on_the_first_screen_and_one_click_away(page: Page, width: int, height: int) -> None:
    tab = opened(page, width=width, height=height)
    link = "document.querySelector('#look a')"
    assert tab.find(f"{link}.textContent") == ILL
    assert tab.find(f"{_SEEN}({link})")
    tab.find(f"{link}.click()")
    tab.wait(f"{_SEEN}(document.querySelector('.tray.held'))")
    assert tab.find("document.querySelector('.tray.held').dataset.node") == ILL
    tab.wait("document.querySelector('#facts .problems')")
    assert tab.find(f"{_SEEN}(document.querySelector('#facts .problems'))"), "its problem stands first"
    assert tab.find(_DRAWN) < RACKS / 2


def test_a_search_finds_a_node_of_the_last_rack_and_enter_goes_there(page: Page) -> None:
    tab = opened(page)
    write(tab, LAST)
    seen = "[...document.querySelectorAll('.rack')].filter((one) => one.checkVisibility())"
    assert tab.find(f"{seen}.length") == 1
    tab.wait(f"{_SEEN}(document.querySelector('[data-node=\"{LAST}\"]'))")
    found = "[...document.querySelectorAll('.tray:not(.faded)')].filter((one) => one.checkVisibility())"
    assert tab.find(f"{found}.map((one) => one.dataset.node)") == [LAST]
    tab.wait(f"document.querySelector('.tray[tabindex=\"0\"]').dataset.node === '{LAST}'")
    tab.find("document.querySelector('#find').focus()")
    tab.press("Enter")
    tab.wait("document.querySelector('#facts .matrix')")
    assert tab.find("location.hash") == f"#node/{LAST}"
    write(tab, "no-such-node")
    assert "no-such-node" in tab.find("document.querySelector('#nothing').textContent")
    write(tab, "hgx-399")
    tab.wait("document.querySelector('[data-node=\"hgx-399\"]')")
    assert tab.find("document.querySelector('#nothing').textContent") == ""
    write(tab, "")
    assert tab.find(f"{seen}.length") == RACKS


def test_only_with_problems_leaves_one_rack(page: Page) -> None:
    tab = opened(page)
    tab.find("document.querySelector('#only-trouble').click()")
    tab.wait(f"document.querySelector('[data-node=\"{ILL}\"]')")
    seen = "[...document.querySelectorAll('.rack')].filter((one) => one.checkVisibility()).length"
    assert tab.find(seen) == 1


def test_what_is_scrolled_to_is_drawn(page: Page) -> None:
    tab = opened(page)
    assert not tab.find(f"document.querySelector('[data-node=\"{LAST}\"]')")
    tab.find("[...document.querySelectorAll('.rack')].at(-1).scrollIntoView()")
    tab.wait(f"document.querySelector('[data-node=\"{LAST}\"]')")
    assert not tab.find("document.querySelector('[data-node=\"hgx-399\"]')")
    tab.find("document.querySelector('#strays').lastElementChild.scrollIntoView()")
    tab.wait("document.querySelector('[data-node=\"hgx-399\"]')")


def test_a_link_to_a_node_goes_to_the_last_rack(page: Page) -> None:
    tab = opened(page, f"#node/{LAST}")
    tab.wait(f"{_SEEN}(document.querySelector('[data-node=\"{LAST}\"]'))")
    tab.wait("document.querySelector('#facts .matrix')")


def test_keys_walk_from_rack_to_rack_where_none_is_drawn_yet(page: Page) -> None:
    tab = opened(page, width=390, height=600)
    drawn = tab.find(_DRAWN)
    tab.find("document.querySelector('.tray').focus()")
    tab.press("ArrowDown")
    assert tab.find("document.activeElement.dataset.node") == machines.name(1, 1)
    for _ in range(drawn + 3):
        tab.press("ArrowRight")
    assert tab.find("document.activeElement.dataset.node") == machines.name(drawn + 4, 1)
    tab.find("[...document.querySelectorAll('.rack')].at(-1).scrollIntoView()")
    tab.wait(f"document.querySelector('[data-node=\"{LAST}\"]')")
    tab.find(f"document.querySelector('[data-node=\"{LAST}\"]').focus()")
    tab.press("ArrowRight")
    assert tab.find("document.activeElement.dataset.node") == "hgx-000"
    tab.press("ArrowLeft")
    assert tab.find("document.activeElement.dataset.node") == machines.name(RACKS, 0)


def test_one_change_is_as_much_work_as_with_two_racks(page: Page) -> None:
    few = Script(Listed(fleet(2)))
    with running(few) as aggregator:
        assert aggregator.wait(-1, _PATIENCE_SECONDS) is not None
        with GraphServer(aggregator) as server:
            least = _work(Page(page.tab, few, f"http://127.0.0.1:{server.port}/"))
    work = _work(page)
    assert 0 < least.nodes < 100
    assert work.nodes <= least.nodes + 10
    assert 0 < work.calls < 2 * least.calls


def _work(page: Page) -> Work:
    """For one node that becomes ill and well again."""
    tab = opened(page)
    name = machines.name(1, 3)
    meter = Meter(tab)
    page.script.say(Applied(name, ill(1, 3)))
    tab.wait("document.querySelector('#count-ill').textContent === '2'")
    page.script.say(Applied(name, machines.tray(1, 3)))
    tab.wait("document.querySelector('#count-ill').textContent === '1'")
    tab.wait("!document.querySelector('.changed')")
    return meter.taken()
