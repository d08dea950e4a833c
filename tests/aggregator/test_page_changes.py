"""The page follows the change events in a real Chromium: what changed is drawn, nothing else, also after a gap."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.server import GraphServer
from nvtopo.cluster.inventory import Applied, Deleted, Listed
from nvtopo.model.records.node import NodeTopology
from tests.aggregator.page_work import Meter
from tests.aggregator.relay import Relay, relay
from tests.aggregator.running import PATIENCE, Script, running
from tests.browser import CHROMIUM, Tab, tab
from tests.cluster import machines

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]

ILL = "document.querySelector('#count-ill').textContent"
ASKED = "performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)"


class Page(NamedTuple):
    """Two racks, a node without one, and who looks at them."""

    tab: Tab
    script: Script
    aggregator: Aggregator
    relay: Relay

    def shown(self, name: str) -> str:
        """How a node is spoken of."""
        return f"document.querySelector('[data-node=\"{name}\"]').getAttribute('aria-label')"

    def until(self, held: Callable[[], bool]) -> None:
        """What is true outside of the page within some hundred questions to it."""
        assert any(held() for _ in range(500) if self.tab.find("new Promise((done) => setTimeout(done, 10))") is None)

    def open(self) -> None:
        """As it is once all of it has come."""
        self.tab.open("about:blank")
        self.tab.open(f"http://127.0.0.1:{self.relay.port}/")
        self.tab.wait("document.querySelector('#state').dataset.state === 'live' && document.querySelector('.tray')")


@pytest.fixture(name="browser", scope="module")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with tab(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(name="page")
def _page(browser: Tab) -> Iterator[Page]:
    script = Script(Listed(machines.racks(2) | {"hgx": machines.hgx()}))
    with running(script) as aggregator:
        assert aggregator.wait(-1, PATIENCE) is not None
        with GraphServer(aggregator) as server, relay(server.port) as between:
            found = Page(browser, script, aggregator, between)
            found.open()
            yield found


def ill(rack: int, number: int, gpu: int) -> NodeTopology:
    return machines.changed(machines.tray(rack, number), gpu, nvlinks=(machines.bundle(state="inactive"),))


def test_one_nodes_change_is_drawn_and_the_graph_is_not_asked_for(page: Page) -> None:
    name = machines.name(2, 3)
    page.tab.find(f"document.querySelector('[data-node=\"{name}\"]').focus()")
    page.script.say(Applied(name, ill(2, 3, 1)))
    page.tab.wait(f"{page.shown(name)}.includes('GPU1') && {ILL} === '1'")
    assert page.tab.find("document.activeElement.dataset.node") == name, "it keeps the focus"
    look = "document.querySelector('#look').innerText"
    assert name in page.tab.find(look)
    page.script.say(Applied(name, machines.tray(2, 3)))
    page.tab.wait(f"{page.shown(name)}.includes('all ok') && {ILL} === '0'")
    assert page.tab.find("document.querySelector('#look').hidden && document.querySelector('#drift').hidden")
    assert "/v1/graph" not in page.tab.find(ASKED)


def test_nodes_come_move_and_go(page: Page) -> None:
    gone, moved = machines.name(1, 4), machines.name(1, 5)
    page.script.say(Deleted(gone))
    page.tab.wait(f"!document.querySelector('[data-node=\"{gone}\"]')")
    assert page.tab.find("document.querySelector('.rack .silent').innerText").split() == ["04", "not", "heard", "from"]
    page.script.say(Applied(moved, machines.hgx()))
    page.tab.wait(f"document.querySelector('#strays [data-node=\"{moved}\"] .why')")
    assert page.tab.find("document.querySelector('#outside-count').textContent") == "2"
    assert page.tab.find("document.querySelector('.rack .silent .number').textContent") == "04\u201305"
    page.script.say(Applied(moved, machines.tray(1, 5)), Applied(gone, machines.tray(1, 4)))
    page.tab.wait(f"document.querySelector('.rack [data-node=\"{gone}\"]')")
    page.tab.wait(f"document.querySelector('.rack [data-node=\"{moved}\"]')")
    names = "[...document.querySelector('.rack').querySelectorAll('.tray')].map((one) => one.dataset.node)"
    assert page.tab.find(names) == [machines.name(1, at) for at in range(machines.TRAYS)]
    assert page.tab.find("document.querySelectorAll('.why').length") == 1
    page.script.say(*(Deleted(machines.name(2, at)) for at in range(machines.TRAYS)))
    page.tab.wait("document.querySelectorAll('.rack').length === 1")
    assert page.tab.find("document.querySelector('#count-nodes').textContent") == "19"


def test_who_was_cut_off_goes_on_where_it_was(page: Page) -> None:
    page.relay.asked.clear()
    page.relay.cut()
    page.tab.wait("document.querySelector('#state').dataset.state === 'lost'")
    page.script.say(Applied(machines.name(1, 1), ill(1, 1, 0)))
    page.tab.find("window.dispatchEvent(new Event('online'))")
    page.tab.wait(f"{ILL} === '1' && document.querySelector('#state').dataset.state === 'live'")
    (watch,) = (one for one in page.relay.asked if b"/v1/graph/watch" in one)
    assert b"last-event-id: " in watch.lower()


def test_another_replica_gives_the_whole_and_what_is_the_same_stays(page: Page) -> None:
    meter = Meter(page.tab)
    with GraphServer(page.aggregator) as other:
        page.relay.to = other.port
        page.relay.cut()
        page.tab.wait("document.querySelector('#state').dataset.state === 'lost'")
        page.script.say(Applied(machines.name(1, 1), ill(1, 1, 0)))
        page.tab.find("window.dispatchEvent(new Event('online'))")
        page.tab.wait(f"{ILL} === '1'")
        assert meter.taken().nodes < 80, "of about 500"


def test_after_a_change_that_was_lost_the_whole_comes_again(page: Page) -> None:
    page.relay.asked.clear()
    page.relay.left_out = b"event: change"
    page.script.say(Applied(machines.name(1, 1), ill(1, 1, 0)))
    page.until(lambda: not page.relay.left_out)
    page.script.say(Applied(machines.name(1, 2), ill(1, 2, 0)))
    page.tab.wait("document.querySelector('#state').dataset.state === 'lost'")
    page.tab.find("window.dispatchEvent(new Event('online'))")
    page.tab.wait(f"{ILL} === '2'")
    (watch,) = (one for one in page.relay.asked if b"/v1/graph/watch" in one)
    assert b"last-event-id" not in watch.lower()


def test_a_page_that_was_left_holds_no_connection(page: Page) -> None:
    """The browser keeps it for who comes back, and has six connections for all."""
    for _ in range(4):
        page.open()
    page.until(lambda: len(page.relay.streams) == 1)
