"""One rack, or any NVLink domain that the graph names: its trays side by side."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models import units

from monitoring.dashboards.panels import board, choice, figure, graph, listing, row

UID: Final = "nvtopo-rack"


def build() -> Dashboard:
    """The dashboard."""
    dashboard = board(UID, "nvtopo: rack", "The trays of one rack: links, heat and traffic side by side.")
    dashboard.with_variable(choice("rack", "node:nvtopo_graph_node_info:one"))
    for panel in (
        figure("GPUs that answer", 'rack:nvtopo_gpus:sum{rack="$rack"}', units.Short),
        figure("Nodes", 'max(nvtopo_graph_domain_nodes{rack="$rack"})', units.Short),
        figure(
            "Silent trays",
            'max(nvtopo_graph_domain_silent_trays{rack="$rack"})',
            units.Short,
            "Numbered between others, and no node is known of them.",
            bad_from=1,
        ),
        figure("Inactive NVLinks", 'rack:nvtopo_nvlink_inactive:sum{rack="$rack"}', units.Short, bad_from=1),
        figure("Hottest GPU", 'rack:nvtopo_gpu_temperature_celsius:max{rack="$rack"}', units.Celsius),
        figure("Power", 'rack:nvtopo_gpu_power_watts:sum{rack="$rack"}', units.Watt, "All GPUs together."),
        listing(
            "Trays",
            {
                "GPUs": (_of_rack("node:nvtopo_gpus:max"), units.Short),
                "Inactive NVLinks": (_of_rack("node:nvtopo_nvlink_inactive:count"), units.Short),
                "Sends": (_of_rack("node:nvtopo_nvlink_transmitted_bytes:rate5m"), units.BytesPerSecondSI),
                "Hottest GPU": (_of_rack("node:nvtopo_gpu_temperature_celsius:max"), units.Celsius),
                "Power": (_of_rack("node:nvtopo_gpu_power_watts:sum"), units.Watt),
                "Problems": (_of_rack("node:nvtopo_problems:sum"), units.Short),
            },
            "",
            labels={"tray": "Tray", "node": "Node"},
        ),
    ):
        dashboard.with_panel(panel)
    dashboard.with_row(row("Tray by tray"))
    for panel in (
        graph(
            "NVLink utilisation",
            {"{{node}}": _of_rack("node:nvtopo_nvlink_transmit_utilisation:ratio_rate5m")},
            units.PercentUnit,
            "Sent, mean over five minutes. Trays of one job look alike; the one that does not is the one to look at.",
        ),
        graph(
            "NVLink errors",
            {"{{node}}": _of_rack("node:nvtopo_nvlink_errors:rate5m")},
            units.CountsPerSecond,
        ),
        graph("Hottest GPU, by tray", {"{{node}}": _of_rack("node:nvtopo_gpu_temperature_celsius:max")}, units.Celsius),
        graph(
            "SM clock",
            {"{{node}}": _of_rack("node:nvtopo_gpu_sm_clock_hertz:median5m")},
            units.Hertz,
            "The median of a tray's GPUs.",
        ),
        graph(
            "GPUs by health",
            {"{{health}}": 'max by (health) (nvtopo_graph_domain_gpu_health{rack="$rack"})'},
            units.Short,
            "As the graph concludes it from fabric and NVLinks.",
            width=24,
        ),
    ):
        dashboard.with_panel(panel)
    return dashboard


def _of_rack(series: str) -> str:
    """The series of the rack's nodes, with their trays."""
    return f'{series} * on (node) group_left (tray) node:nvtopo_graph_node_info:one{{rack="$rack"}}'
