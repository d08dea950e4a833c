"""The whole fleet: what is wrong where, and how much of it works."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models import units

from monitoring.dashboards.panels import board, figure, graph, listing, row

UID: Final = "nvtopo-fleet"


def build() -> Dashboard:
    """The dashboard."""
    dashboard = board(UID, "nvtopo: fleet", "What is wrong where, and how much of the fleet works.")
    for panel in (
        figure("GPUs that answer", "fleet:nvtopo_gpus:sum", units.Short),
        figure("Agents that answer", "fleet:nvtopo_agents_up:count", units.Short),
        figure("Nodes in the graph", "max(nvtopo_graph_nodes)", units.Short),
        figure("Inactive NVLinks", "fleet:nvtopo_nvlink_inactive:sum", units.Short, bad_from=1),
        figure("NVLink traffic", "fleet:nvtopo_nvlink_transmitted_bytes:rate5m", units.BytesPerSecondSI, "Sent."),
        figure("Power", "fleet:nvtopo_gpu_power_watts:sum", units.Watt, "All GPUs together."),
        listing(
            "Firing alerts",
            {
                "Times": (
                    'count by (alertname, severity, node) (ALERTS{alertname=~"Nvtopo.*", alertstate="firing"})',
                    units.Short,
                )
            },
            "docs/runbooks.md has a section for each.",
            labels={"severity": "Severity", "alertname": "Alert", "node": "Node"},
            width=12,
        ),
        listing(
            "Racks",
            {
                "GPUs": ("rack:nvtopo_gpus:sum", units.Short),
                "Inactive NVLinks": ("rack:nvtopo_nvlink_inactive:sum", units.Short),
                "Utilisation": ("rack:nvtopo_nvlink_transmit_utilisation:ratio_rate5m", units.PercentUnit),
                "Hottest GPU": ("rack:nvtopo_gpu_temperature_celsius:max", units.Celsius),
                "Power": ("rack:nvtopo_gpu_power_watts:sum", units.Watt),
            },
            "NVLink domains that the graph names.",
            labels={"rack": "Rack"},
            width=12,
        ),
    ):
        dashboard.with_panel(panel)
    dashboard.with_row(row("Work"))
    for panel in (
        graph(
            "NVLink utilisation, by rack",
            {
                "{{rack}}": "rack:nvtopo_nvlink_transmit_utilisation:ratio_rate5m",
                "fleet": "fleet:nvtopo_nvlink_transmit_utilisation:ratio_rate5m",
            },
            units.PercentUnit,
        ),
        graph(
            "Nodes that send most",
            {"{{node}}": "topk(10, node:nvtopo_nvlink_transmitted_bytes:rate5m)"},
            units.BytesPerSecondSI,
        ),
        graph(
            "Nodes with most NVLink errors",
            {"{{node}}": "topk(10, node:nvtopo_nvlink_errors:rate5m)"},
            units.CountsPerSecond,
        ),
        graph("Hottest nodes", {"{{node}}": "topk(10, node:nvtopo_gpu_temperature_celsius:max)"}, units.Celsius),
    ):
        dashboard.with_panel(panel)
    dashboard.with_row(row("What fits together"))
    for panel in (
        graph(
            "GPUs by health",
            {"{{health}}": "max by (health) (nvtopo_graph_gpu_health)"},
            units.Short,
            "As the graph concludes it from fabric and NVLinks.",
        ),
        graph("Problems, by source", {"{{source}}": "sum by (source) (nvtopo_problems)"}, units.Short),
        graph("Findings, by kind", {"{{kind}}": "max by (kind) (nvtopo_graph_drift)"}, units.Short),
        graph(
            "Nodes, by driver",
            {"{{version}}": "count by (version) (nvtopo_driver_info)"},
            units.Short,
            "Several for long is an upgrade that stopped half way.",
        ),
        graph("Nodes, by kernel", {"{{release}}": "count by (release) (nvtopo_kernel_info)"}, units.Short),
        graph("GPUs, by VBIOS", {"{{version}}": "count by (version) (nvtopo_gpu_vbios_info)"}, units.Short),
        graph("Nodes, by agent", {"{{version}}": "count by (version) (nvtopo_build_info)"}, units.Short),
        graph(
            "From event to graph",
            {
                "event to graph": "max(nvtopo_aggregator_event_lag_seconds)",
                "build": "max(nvtopo_aggregator_build_seconds)",
            },
            units.Seconds,
            "Of the latest burst.",
        ),
        graph(
            "Domains, by tier",
            {"{{tier}}": "max by (tier) (nvtopo_graph_domains)"},
            units.Short,
        ),
    ):
        dashboard.with_panel(panel)
    return dashboard
