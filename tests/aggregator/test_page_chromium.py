"""The aggregator's page in a real Chromium: the fabric, a node's matrix and history, keyboard, phone, hostile names."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.server import GraphServer
from nvtopo.cluster.history import Entry
from nvtopo.cluster.inventory import Applied, Listed, Recorded
from nvtopo.cluster.records import EMPTY
from tests.aggregator.running import PATIENCE, Script, running
from tests.browser import CHROMIUM, Tab, tab
from tests.exporters.page_fabric import Cluster, faulty
from tests.fabrics.ibfabric import host

EVIL = '"><img src=/evil.png onerror=evil()>'
#: A switch is called so.
RENAMED = "sw-k0-r2"
PICTURE = "document.querySelector('#fabric-picture svg')"
FACTS = "document.querySelector('#facts').innerText"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]


class Page(NamedTuple):
    """A served cluster, and who looks at it."""

    tab: Tab
    script: Script
    cluster: Cluster
    url: str


@pytest.fixture(name="page", scope="module")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    found = faulty()
    script = Script(Listed(found.nodes))
    with running(script) as aggregator, tab(tmp_path_factory.mktemp("profile")) as opened:
        _tell(aggregator, found)
        with GraphServer(aggregator) as server:
            yield Page(opened, script, found, f"http://127.0.0.1:{server.port}/")


def _tell(aggregator: Aggregator, found: Cluster) -> None:
    first = aggregator.wait(-1, PATIENCE)
    assert first is not None
    ports = [port._replace(leaf=EVIL) if port.leaf == RENAMED else port for port in found.reading.ports]
    cables = [one._replace(b=EVIL) if one.b == RENAMED else one for one in found.reading.cables]
    aggregator.tell("network", {"network": found.reading._replace(ports=tuple(ports), cables=tuple(cables))})
    assert aggregator.wait(first.generation, PATIENCE) is not None


def test_a_nodes_matrix_and_cables_are_shown_and_what_changes_joins_its_history(page: Page) -> None:
    node = host(1, 2)
    page.tab.open(f"{page.url}#node/{node}")
    page.tab.wait(f"document.querySelector('#facts .matrix') && {PICTURE}")
    page.tab.wait(f"{FACTS}.includes('No changes recorded.')")
    assert "should be on sw-k1-r0" in page.tab.find(FACTS)
    assert page.tab.find("document.querySelector('.matrix tbody tr').innerText").split() == ["0", "X", *["NV18"] * 3]
    states = "[...document.querySelectorAll('.cable:not([data-state=there])')].map((one) => one.dataset.state)"
    assert page.tab.find(states) == ["misplaced", "misplaced"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    noted = Entry(at=now, kind="host", subject="host", path="kernel", before='"a"', after='"b"')
    page.script.say(Recorded(node, EMPTY, (noted,)))
    page.tab.wait(
        "document.dispatchEvent(new Event('visibilitychange')),"
        " document.querySelector('#facts .history')?.innerText.includes('kernel a → b')"
    )
    before = page.cluster.nodes[node]
    page.script.say(Applied(node, replace(before, host=replace(before.host, driver_version="590.1"))))
    page.tab.wait(f"{FACTS}.includes('590.1') && {FACTS}.includes('kernel a → b')")


def test_a_long_history_says_how_many_older_changes_there_are(page: Page) -> None:
    node = host(2, 4)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    noted = [
        Entry(at=now, kind="host", subject="host", path="kernel", before=f'"{number}"', after=f'"{number + 1}"')
        for number in range(23)
    ]
    page.script.say(Recorded(node, EMPTY, tuple(noted)))
    page.tab.open(f"{page.url}#node/{node}")
    page.tab.wait(
        "document.dispatchEvent(new Event('visibilitychange')),"
        " document.querySelector('#facts')?.innerText.includes('3 older: nvtopo history prints all.')"
    )


def test_the_fabric_is_walked_with_the_keyboard(page: Page) -> None:
    page.tab.open(page.url, height=300)
    page.tab.wait(PICTURE)
    page.tab.find("document.querySelector('#fabric-group').focus()")
    page.tab.press("Tab")
    assert page.tab.find("document.activeElement.getAttribute('href')") == f"#node/{host(0, 0)}"
    scrolled = page.tab.find("scrollY")
    assert scrolled > 0
    page.tab.press("Enter")
    page.tab.wait(f"{FACTS}.includes('{host(0, 0)}') && document.querySelector('#facts .matrix')")
    assert page.tab.find("scrollY") == scrolled, "the racks do not jump into view"
    page.tab.press("Escape")
    page.tab.wait("!document.querySelector('#facts .close') && !location.hash")


def test_another_group_is_drawn_when_it_is_chosen(page: Page) -> None:
    page.tab.open(page.url)
    page.tab.wait(PICTURE)
    page.tab.find(
        "(() => { const select = document.querySelector('#fabric-group');"
        " select.value = [...select.options].find((one) => one.text.startsWith('leaf-swk000002')).value;"
        " select.dispatchEvent(new Event('change')); })()"
    )
    missing = "[...document.querySelectorAll('.cable[data-state=missing] title')].map((one) => one.textContent)"
    assert page.tab.find(missing) == ["sp0-1 - sw-k2-r3: missing, by ibnetdiscover"]
    assert page.tab.find("document.querySelector('#fabric-findings').innerText") == (
        "sw-k2-r3 has no cable to sp0-1, which its peers have"
    )


def test_on_a_phone_nothing_is_wider_than_it(page: Page) -> None:
    page.tab.open(f"{page.url}#node/{host(0, 0)}", width=390, height=844)
    page.tab.wait(f"document.querySelector('#facts .matrix') && {PICTURE}")
    assert page.tab.find("document.documentElement.scrollWidth") == 390
    box = f"{PICTURE}.getBoundingClientRect().width"
    letters = f"parseFloat(getComputedStyle({PICTURE}).fontSize) * {box} / 360"
    assert 300 < page.tab.find(box) <= 390
    assert page.tab.find(letters) > 8


def test_a_name_is_never_markup(page: Page) -> None:
    page.tab.open(f"{page.url}#node/{host(0, 0)}")
    page.tab.wait(f"document.querySelector('#facts .matrix') && {PICTURE}")
    titles = "[...document.querySelectorAll('#fabric-picture title')].map((one) => one.textContent)"
    assert f"{EVIL}, rail 2" in page.tab.find(titles)
    assert EVIL in page.tab.find(FACTS)
    assert page.tab.find("document.querySelectorAll('main img, aside img, main script').length") == 0
    asked = "performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)"
    assert "/evil.png" not in page.tab.find(asked)
