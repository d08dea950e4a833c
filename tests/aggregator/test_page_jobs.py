"""One job on the page, in a real Chromium: chosen, linked, by hostile names, and not there for who may not see it."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from nvtopo.aggregator.jobs import Jobs
from nvtopo.aggregator.server import GraphServer
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.inventory import Listed
from nvtopo.placement.pods import GpuPod
from tests.aggregator.running import PATIENCE, Script, running
from tests.browser import CHROMIUM, Tab, tab
from tests.exporters.test_job_document import HELD, PODS, TWO, leaves

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]

EVIL = '"><img src=evil.png onerror=evil()>'
VIEW = "document.querySelector('#job-view').innerText"
ROWS = (
    "[...document.querySelectorAll('.job tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
)
HIDDEN = "document.querySelector('#jobs').hidden"


class Page(NamedTuple):
    """A served cluster, its pods, and who looks at it."""

    tab: Tab
    pods: list[GpuPod]
    url: str
    closed: str
    """The same where jobs are not shown."""


@pytest.fixture(name="page", scope="module")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    pods = [*PODS, replace(PODS[0], namespace=EVIL, name=EVIL, gang=EVIL)]
    with running(Script(Listed(TWO))) as aggregator, tab(tmp_path_factory.mktemp("profile")) as opened:
        first = aggregator.wait(-1, PATIENCE)
        assert first is not None
        aggregator.tell("network", {"network": Reading(tuple(leaves(a="l1", b="l1")))})
        assert aggregator.wait(first.generation, PATIENCE) is not None
        shown, hidden = (
            Jobs(lambda: tuple(pods), HELD.get, aggregator, None, for_everybody=everybody)
            for everybody in (True, False)
        )
        with (
            GraphServer(aggregator, more=shown.routes) as server,
            GraphServer(aggregator, more=hidden.routes) as closed,
        ):
            yield Page(opened, pods, *(f"http://127.0.0.1:{one.port}/" for one in (server, closed)))


def choose(page: Page, job: str) -> None:
    page.tab.find(
        f"(() => {{ const list = document.querySelector('#job'); list.value = {job!r};"
        " list.dispatchEvent(new Event('change')); return list.value; })()"
    )


def test_a_job_that_is_chosen_is_shown_with_its_pods_nodes_gpus_and_links(page: Page) -> None:
    page.tab.open(page.url)
    page.tab.wait("document.querySelectorAll('#job option').length === 5")
    choose(page, "team/train")
    page.tab.wait("document.querySelectorAll('.job tbody tr').length === 2")
    said = page.tab.find(VIEW)
    assert "2 pods on 2 nodes" in said
    assert "meet in leaf leaf-l000001" in said
    assert "slowest NIC: mlx5_0 of a, 400 Gb/s" in said
    assert "GPU0 - GPU1 over NV18" in said
    rows = page.tab.find(ROWS)
    assert [row[:5] for row in rows] == [["0", "w-0", "a", "GPU0 GPU1", "1"], ["1", "w-1", "b", "GPU0 GPU4", "1"]]
    assert page.tab.find("location.hash") == "#job/team/train"
    page.tab.find("document.querySelector('.job a').click()")
    page.tab.wait("document.querySelector('#facts').dataset.node === 'a'")


def test_a_link_to_a_job_opens_it_and_one_that_is_gone_says_so(page: Page) -> None:
    page.tab.open("about:blank")
    page.tab.open(f"{page.url}#job/team/other")
    page.tab.wait("document.querySelectorAll('.job tbody tr').length === 1")
    assert "all on a" in page.tab.find(VIEW)


def test_hostile_names_are_text(page: Page) -> None:
    page.tab.open("about:blank")
    page.tab.open(page.url)
    page.tab.wait("document.querySelectorAll('#job option').length === 5")
    value = page.tab.find(
        "[...document.querySelectorAll('#job option')].find((one) => one.value.includes('img')).value"
    )
    choose(page, value)
    page.tab.wait("document.querySelectorAll('.job tbody tr').length === 1")
    assert EVIL in page.tab.find(ROWS)[0]
    assert page.tab.find("document.querySelector('#jobs img')") is None


def test_who_may_not_see_pods_sees_no_section(page: Page) -> None:
    page.tab.open("about:blank")
    page.tab.open(page.closed)
    page.tab.wait("document.querySelector('#state').dataset.state === 'live'")
    assert page.tab.find(HIDDEN) is True
    assert page.tab.find("document.querySelector('#racks, #outside') !== null") is True
