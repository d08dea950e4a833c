"""The committed dashboards are what the programs build; ``test_schema.py`` holds them to Grafana's own types."""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.dashboards.__main__ import FOLDER, MANIFEST, as_json, manifest, texts
from tests import golden
from tests.monitoring import shipped
from tests.monitoring.shipped import DASHBOARDS, Json

boards = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
COLUMNS: Final = 24
#: It keeps what it applied in an annotation, and all annotations may have 256 KiB.
MOST_THAT_KUBECTL_APPLIES: Final = 256 << 10


@pytest.mark.parametrize("name", sorted(texts()))
def test_files_are_what_is_built(name: str) -> None:
    golden.check(texts()[name], FOLDER / name)


def test_no_file_is_left_over() -> None:
    assert {path.name for path in DASHBOARDS} == texts().keys()


def test_the_config_map_has_the_very_same_files() -> None:
    golden.check(manifest(texts()), MANIFEST)
    assert len(manifest(texts())) < MOST_THAT_KUBECTL_APPLIES
    assert yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["data"] == texts()


@boards
def test_grafana_s_model_reads_it_and_loses_nothing(path: Path) -> None:
    document = shipped.dashboard(path)
    assert as_json(Dashboard.from_json(document)) == path.read_text(encoding="utf-8")


@boards
def test_panels_fit_the_grid_and_none_covers_another(path: Path) -> None:
    taken: Counter[tuple[int, int]] = Counter()
    for panel in shipped.dashboard(path)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        taken.update(
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )
    assert set(taken.values()) == {1}


@boards
def test_every_panel_asks_the_chosen_source_something(path: Path) -> None:
    document = shipped.dashboard(path)
    assert document["uid"] == path.stem
    panels = [panel for panel in document["panels"] if panel["type"] != "row"]
    titles = [panel["title"] for panel in panels]
    assert len(set(titles)) == len(titles)
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels:
        assert panel["targets"], panel["title"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == source, panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@boards
def test_variables_that_are_used_are_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    variables = {variable["name"] for variable in shipped.dashboard(path)["templating"]["list"]}
    for name in ("node", "rack"):
        assert (f"${name}\\" in text) == (name in variables)


def test_links_lead_to_dashboards_that_are_there() -> None:
    links = [link["url"] for path in DASHBOARDS for link in _links(shipped.dashboard(path))]
    assert links
    names = {path.stem for path in DASHBOARDS}
    for link in links:
        board, _, query = link.removeprefix("/d/").partition("?")
        assert board in names
        variable = query.partition("=")[0].removeprefix("var-")
        (path,) = (path for path in DASHBOARDS if path.stem == board)
        assert variable in {each["name"] for each in shipped.dashboard(path)["templating"]["list"]}


def _links(document: Any) -> list[Json]:
    if isinstance(document, list):
        return [link for each in document for link in _links(each)]
    if not isinstance(document, dict):
        return []
    own = document["value"] if document.get("id") == "links" else []
    return [*own, *(link for each in document.values() for link in _links(each) if each is not document.get("value"))]
