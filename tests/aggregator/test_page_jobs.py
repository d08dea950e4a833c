"""One job on the page, in a real Chromium: chosen, linked, by hostile names, and not there for who may not see it."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from nvtopo.aggregator.heat_asker import HeatAnswer
from nvtopo.aggregator.heat_watch import HeatWatch
from nvtopo.aggregator.jobs import Jobs
from nvtopo.aggregator.server import GraphServer
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.inventory import Listed
from nvtopo.exporters.heat_readings import Figure
from nvtopo.placement.pods import GpuPod
from tests.aggregator.running import PATIENCE, Script, looping, running
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
    warm: str
    """The same with the heat of their GPUs."""


@pytest.fixture(name="page", scope="module")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    pods = [*PODS, replace(PODS[0], namespace=EVIL, name=EVIL, gang=EVIL)]
    with running(Script(Listed(TWO))) as aggregator, tab(tmp_path_factory.mktemp("profile")) as opened:
        first = aggregator.wait(-1, PATIENCE)
        assert first is not None
        aggregator.tell("network", {"network": Reading(tuple(leaves(a="l1", b="l1")))})
        assert aggregator.wait(first.generation, PATIENCE) is not None
        watch = HeatWatch(lambda _nodes: hot())
        shown, hidden, warm = (
            Jobs(lambda: tuple(pods), HELD.get, aggregator, None, for_everybody=everybody, heat=heat)
            for everybody, heat in ((True, None), (False, None), (True, watch))
        )
        with (
            looping(watch.run),
            GraphServer(aggregator, more=shown.routes) as server,
            GraphServer(aggregator, more=hidden.routes) as closed,
            GraphServer(aggregator, more=warm.routes) as heated,
        ):
            yield Page(opened, pods, *(f"http://127.0.0.1:{one.port}/" for one in (server, closed, heated)))


def hot() -> HeatAnswer:
    """One GPU is slowed by heat, one hot, one well; of the fourth nothing is known."""
    a, b = ((node, [gpu.uuid for gpu in TWO[node].gpus]) for node in ("a", "b"))
    first, second, third = (a[0], a[1][0]), (a[0], a[1][1]), (b[0], b[1][0])
    return HeatAnswer(
        {
            "temperature": {first: Figure(61.0, 3.0), second: Figure(84.0, 3.0), third: Figure(92.0, 3.0)},
            "margin": {second: Figure(3.0, 3.0)},
            "slowdown": {first: Figure(0, 3.0), second: Figure(0, 3.0), third: Figure(1, 3.0, ("hardware_thermal",))},
            "sent": {first: Figure(4.5e10, 3.0)},
            "received": {first: Figure(0.0, 3.0)},
        },
        f"Prometheus: {EVIL}",
    )


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


def test_hot_and_slowed_gpus_stand_out_by_words_and_shape_and_what_is_not_known_is_said(page: Page) -> None:
    page.tab.open("about:blank")
    page.tab.open(page.warm)
    page.tab.wait("document.querySelectorAll('#job option').length === 5")
    choose(page, "team/train")
    page.tab.wait("document.querySelectorAll('#job-worst li').length === 2")
    assert page.tab.find("[...document.querySelectorAll('#job-worst li')].map((one) => one.innerText.trim())") == [
        "b GPU0 (w-1): 92 °C, slowed by heat (hardware_thermal)",
        "a GPU1 (w-0): 84 °C, hot",
    ]
    said = page.tab.find(VIEW)
    assert "heat known of 3 of 4 GPUs, 2 hot or held back" in said
    assert f"Heat not known: Prometheus: {EVIL}" in said
    assert page.tab.find("document.querySelector('#jobs img')") is None
    rows = page.tab.find(ROWS)
    assert [" ".join(row[7].split()) for row in rows] == [
        "GPU0 61 °C GPU1 84 °C hot",
        "GPU0 92 °C slowed by heat GPU4 ? °C unknown",
    ]
    assert " ".join(rows[0][8].split()) == "GPU0 sent 9%, received 0% GPU1 sent ?, received ?"
    marks = page.tab.find(
        "[...document.querySelectorAll('.job .warm')].map((one) =>"
        " [one.dataset.heat, getComputedStyle(one, '::before').content])"
    )
    assert marks == [["ok", "none"], ["hot", '"!"'], ["heat", '"▼"'], ["unknown", '"?"']]


def test_the_place_in_the_table_stays_when_figures_change(page: Page) -> None:
    page.tab.open("about:blank")
    page.tab.open(page.warm)
    page.tab.wait("document.querySelectorAll('#job option').length === 5")
    choose(page, "team/train")
    page.tab.wait("document.querySelectorAll('.job tbody tr').length === 2")
    page.tab.find(
        "(() => { document.querySelector('#job-view').style.width = '300px';"
        " const wide = document.querySelector('#jobs .wide'); wide.scrollLeft = 150; wide.dataset.old = 1;"
        " document.querySelector('.job a').focus({ preventScroll: true }); })()"
    )
    page.pods.append(replace(PODS[0], name="w-2", rank=2))
    choose(page, "team/train")
    page.tab.wait("!document.querySelector('#jobs .wide').dataset.old")
    assert page.tab.find("document.querySelector('#jobs .wide').scrollLeft") == 150
    assert page.tab.find("document.activeElement.getAttribute('href')") == "#node/a"
    page.pods.pop()


def test_who_may_not_see_pods_sees_no_section(page: Page) -> None:
    page.tab.open("about:blank")
    page.tab.open(page.closed)
    page.tab.wait("document.querySelector('#state').dataset.state === 'live'")
    assert page.tab.find(HIDDEN) is True
    assert page.tab.find("document.querySelector('#racks, #outside') !== null") is True
