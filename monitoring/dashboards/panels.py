"""The few kinds of panels that the dashboards are made of. Each query is a legend and PromQL."""

from collections.abc import Mapping
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Panel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
COLUMNS: Final = 24
TAG: Final = "nvtopo"

#: Label → the dashboard that shows what it names.
_DASHBOARDS: Final = {
    name: f"/d/nvtopo-{name}?var-{name}=${{__value.text}}&${{__url_time_range}}" for name in ("node", "rack")
}

Queries = Mapping[str, str]
"""Legend → PromQL."""


def board(uid: str, title: str, words: str) -> dashboard.Dashboard:
    """An empty dashboard that knows its data source and its siblings."""
    siblings = (
        dashboard.DashboardLink("nvtopo")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(as_dropdown=True)
        .keep_time(keep_time=True)
    )
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(words)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .link(siblings)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )


def choice(label: str, series: str) -> dashboard.QueryVariable:
    """A variable: the values of a label on a series."""
    return (
        dashboard.QueryVariable(label)
        .label(label.capitalize())
        .datasource(SOURCE)
        .query(f"label_values({series}, {label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    )


def row(title: str) -> dashboard.Row:
    """A heading over the panels that follow."""
    return dashboard.Row(title)


def graph(title: str, queries: Queries, unit: str, words: str = "", *, width: int = 12) -> Builder[Panel]:
    """Lines over time."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(words)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(8)
        .min(0)
        .fill_opacity(8)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    for query in _over_time(queries):
        panel.with_target(query)
    return panel


def figure(title: str, query: str, unit: str, words: str = "", *, bad_from: float | None = None) -> Builder[Panel]:
    """One number; red from ``bad_from`` on."""
    steps = [Threshold(value=None, color="green" if bad_from is not None else "text")]
    if bad_from is not None:
        steps.append(Threshold(value=bad_from, color="red"))
    return (
        stat.Panel()
        .title(title)
        .description(words)
        .datasource(SOURCE)
        .unit(unit)
        .span(4)
        .height(4)
        .color_mode(BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(_query("A", "", query))
    )


def states(title: str, queries: Queries, words: str, *, zero: tuple[str, str], one: tuple[str, str]) -> Builder[Panel]:
    """Bands over time of what is either 0 or 1; each has its text and its colour."""
    texts = {
        str(value): ValueMappingResult(text=text, color=colour, index=value)
        for value, (text, colour) in enumerate((zero, one))
    }
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(words)
        .datasource(SOURCE)
        .span(12)
        .height(8)
        .mappings([ValueMap(options=texts)])
        .merge_values(merge_values=True)
        .row_height(0.9)
        .legend(common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(show_legend=False))
    )
    for query in _over_time(queries):
        panel.with_target(query)
    return panel


def listing(
    title: str,
    columns: Mapping[str, tuple[str, str]],
    words: str,
    *,
    labels: Mapping[str, str],
    width: int = COLUMNS,
) -> Builder[Panel]:
    """A table of now, one row for each set of ``labels`` (label → heading).

    ``columns`` are heading → (query, unit); the value is not shown where the heading is empty.
    """
    panel = table.Panel().title(title).description(words).datasource(SOURCE).span(width).height(9)
    renamed = dict(labels)
    for letter, (heading, (query, unit)) in zip("ABCDEFGHIJ", columns.items(), strict=False):
        panel.with_target(_query(letter, "", query, instant=True))
        if heading:
            renamed[f"Value #{letter}" if len(columns) > 1 else "Value"] = heading
            panel.override_by_name(heading, [DynamicConfigValue(id_val="unit", value=unit)])
    for label in labels.keys() & _DASHBOARDS.keys():
        link = {"title": f"Open the {label}", "url": _DASHBOARDS[label]}
        panel.override_by_name(labels[label], [DynamicConfigValue(id_val="links", value=[link])])
    shown: dict[str, Any] = {"include": {"pattern": "|".join(f"^{name}$" for name in renamed)}}
    return panel.transformations(
        [
            DataTransformerConfig(id_val="merge", options={}),
            DataTransformerConfig(id_val="filterFieldsByName", options=shown),
            DataTransformerConfig(
                id_val="organize",
                options={
                    "renameByName": renamed,
                    "indexByName": {name: position for position, name in enumerate(renamed)},
                },
            ),
        ]
    )


def _over_time(queries: Queries) -> list[prometheus.Dataquery]:
    return [
        _query(letter, legend, query) for letter, (legend, query) in zip("ABCDEFGHIJ", queries.items(), strict=False)
    ]


def _query(letter: str, legend: str, query: str, *, instant: bool = False) -> prometheus.Dataquery:
    built = prometheus.Dataquery().ref_id(letter).datasource(SOURCE).expr(query).legend_format(legend)
    return built.instant().format(PromQueryFormat.TABLE) if instant else built.range()
