"""One node: its links, PCIe, fabric, heat, locality and memory, and how well it is seen."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models import units

from monitoring.dashboards.panels import board, choice, figure, graph, listing, row, states

UID: Final = "nvtopo-node"
_GPU: Final = {"gpu": "GPU"}


def build() -> Dashboard:
    """The dashboard."""
    dashboard = board(UID, "nvtopo: node", "One node's NVLinks, PCIe, fabric, heat, locality and memory.")
    dashboard.with_variable(choice("node", "nvtopo_observation_timestamp_seconds"))
    for part in (_overview, _links, _pcie, _rdma, _heat, _locality, _memory, _agent):
        part(dashboard)
    return dashboard


def _overview(dashboard: Dashboard) -> None:
    for panel in (
        figure("GPUs that answer", 'node:nvtopo_gpus:max{node="$node"}', units.Short),
        figure("Inactive NVLinks", 'node:nvtopo_nvlink_inactive:count{node="$node"}', units.Short, bad_from=1),
        figure(
            "Firing alerts",
            'count(ALERTS{node="$node", alertstate="firing"}) or vector(0)',
            units.Short,
            bad_from=1,
        ),
        figure("Problems of reading", 'node:nvtopo_problems:sum{node="$node"}', units.Short, bad_from=1),
        figure(
            "Age of the reading",
            'node:nvtopo_observation_age_seconds:max{node="$node"}',
            units.Seconds,
            bad_from=300,
        ),
        figure("Power", 'node:nvtopo_gpu_power_watts:sum{node="$node"}', units.Watt, "All GPUs together."),
    ):
        dashboard.with_panel(panel)


def _links(dashboard: Dashboard) -> None:
    dashboard.with_row(row("NVLink"))
    for panel in (
        graph(
            "Sent, by GPU",
            {"GPU {{gpu}}": 'node_gpu:nvtopo_nvlink_transmitted_bytes:rate5m{node="$node"}'},
            units.BytesPerSecondSI,
            "All NVLinks of a GPU, one direction.",
        ),
        graph(
            "Received, by GPU",
            {"GPU {{gpu}}": 'node_gpu:nvtopo_nvlink_received_bytes:rate5m{node="$node"}'},
            units.BytesPerSecondSI,
            "All NVLinks of a GPU, one direction.",
        ),
        graph(
            "Busiest links: peak between scrapes",
            {
                "GPU {{gpu}} link {{link}} sends": "topk(5, max by (gpu, link) "
                '(nvtopo_nvlink_transmit_utilisation_ratio{node="$node", statistic="peak"}))',
                "GPU {{gpu}} link {{link}} receives": "topk(5, max by (gpu, link) "
                '(nvtopo_nvlink_receive_utilisation_ratio{node="$node", statistic="peak"}))',
            },
            units.PercentUnit,
            "Rate by capacity, sampled each second: a burst shows here that a mean over five minutes hides.",
        ),
        graph(
            "Utilisation, by GPU",
            {
                "GPU {{gpu}} sends": 'node_gpu:nvtopo_nvlink_transmit_utilisation:ratio_rate5m{node="$node"}',
                "GPU {{gpu}} receives": 'node_gpu:nvtopo_nvlink_receive_utilisation:ratio_rate5m{node="$node"}',
            },
            units.PercentUnit,
            "Mean over five minutes, of the links that are up.",
        ),
        graph(
            "By NVLink group",
            {
                "{{group}} sends": "sum by (group) "
                '(rate(nvtopo_nvlink_group_transmitted_bytes_total{node="$node"}[$__rate_interval]))',
                "{{group}} receives": "sum by (group) "
                '(rate(nvtopo_nvlink_group_received_bytes_total{node="$node"}[$__rate_interval]))',
            },
            units.BytesPerSecondSI,
        ),
        graph(
            "Errors, by GPU and kind",
            {"GPU {{gpu}} {{kind}}": 'node_gpu:nvtopo_nvlink_errors:rate5m{node="$node"}'},
            units.CountsPerSecond,
            "Any replay or recovery is worth a look; CRC errors from a hundred a second on.",
        ),
        graph(
            "Bit errors after correction, worst links",
            {
                "GPU {{gpu}} link {{link}}": "topk(5, max by (gpu, link) "
                '(nvtopo_nvlink_bit_error_ratio{node="$node", kind="effective"}))'
            },
            units.Short,
            "Errors by bits, Blackwell and newer; 1e-12 is too many, 15e-255 is none.",
        ),
        graph(
            "C2C errors, by GPU and kind",
            {
                "GPU {{gpu}} {{kind}}": "sum by (gpu, kind) "
                '(rate(nvtopo_c2c_errors_total{node="$node"}[$__rate_interval]))'
            },
            units.CountsPerSecond,
            "Links between GPU and Grace CPU.",
        ),
        graph(
            "Active NVLinks, by GPU",
            {"GPU {{gpu}}": 'max by (gpu) (nvtopo_gpu_nvlinks_active{node="$node"})'},
            units.Short,
        ),
        states(
            "Pairs without peer access or with missing links",
            {"GPU {{gpu}} - GPU {{peer}}": 'max by (gpu, peer) (nvtopo_gpu_pair_degraded{node="$node"})'},
            "Pairs that NVLinks join.",
            zero=("well", "green"),
            one=("degraded", "red"),
        ),
    ):
        dashboard.with_panel(panel)


def _pcie(dashboard: Dashboard) -> None:
    dashboard.with_row(row("PCIe and fabric"))
    for panel in (
        graph(
            "PCIe, by GPU",
            {"GPU {{gpu}}": 'node_gpu:nvtopo_pcie_bytes:rate5m{node="$node"}'},
            units.BytesPerSecondSI,
            "Sent and received.",
        ),
        graph(
            "PCIe replays, by GPU",
            {"GPU {{gpu}}": 'sum by (gpu) (increase(nvtopo_pcie_replays_total{node="$node"}[5m]))'},
            units.Short,
            "In five minutes; 40 is too many.",
        ),
        listing(
            "PCIe links",
            {
                "Lanes": ('max by (gpu) (nvtopo_pcie_link_width_lanes{node="$node"})', units.Short),
                "Of": ('max by (gpu) (nvtopo_pcie_link_maximum_width_lanes{node="$node"})', units.Short),
                "Generation": ('max by (gpu) (nvtopo_pcie_link_generation{node="$node"})', units.Short),
                "Up to": ('max by (gpu) (nvtopo_pcie_link_maximum_generation{node="$node"})', units.Short),
            },
            "GPUs lower the generation while idle.",
            labels=_GPU,
            width=12,
        ),
        listing(
            "Fabric",
            {"": ('max by (gpu, state) (nvtopo_fabric_state{node="$node"} == 1)', units.Short)},
            "How far each GPU's registration came.",
            labels={"gpu": "GPU", "state": "State"},
            width=12,
        ),
    ):
        dashboard.with_panel(panel)


def _rdma(dashboard: Dashboard) -> None:
    dashboard.with_row(row("RDMA"))
    for panel in (
        graph(
            "Sent, by NIC",
            {"{{device}}": 'node_device:nvtopo_rdma_transmitted_bytes:rate5m{node="$node"}'},
            units.BytesPerSecondSI,
        ),
        graph(
            "Received, by NIC",
            {"{{device}}": 'node_device:nvtopo_rdma_received_bytes:rate5m{node="$node"}'},
            units.BytesPerSecondSI,
        ),
        graph(
            "Sent again, and out of order",
            {
                "{{device}} {{cause}}": "sum by (device, cause) "
                '(rate(nvtopo_rdma_retransmissions_total{node="$node"}[$__rate_interval]))',
                "{{device}} out of sequence": "sum by (device) "
                '(rate(nvtopo_rdma_out_of_sequence_packets_received_total{node="$node"}[$__rate_interval]))',
            },
            units.CountsPerSecond,
        ),
        graph(
            "Congestion",
            {
                "{{device}} marked": "sum by (device) "
                '(rate(nvtopo_rdma_ecn_marked_packets_received_total{node="$node"}[$__rate_interval]))',
                "{{device}} slowed down": "sum by (device) "
                '(rate(nvtopo_rdma_cnp_packets_handled_total{node="$node"}[$__rate_interval]))',
                "{{device}} waits": "sum by (device) "
                '(rate(nvtopo_rdma_port_transmit_wait_total{node="$node"}[$__rate_interval]))',
            },
            units.CountsPerSecond,
            "RoCE: packets that a switch marked, and notifications heeded. InfiniBand: ticks without credit.",
        ),
        graph(
            "Dropped and discarded",
            {
                "{{device}} no buffer": "sum by (device) "
                '(rate(nvtopo_rdma_out_of_buffer_drops_total{node="$node"}[$__rate_interval]))',
                "{{device}} sending": "sum by (device) "
                '(rate(nvtopo_rdma_port_discards_transmitted_total{node="$node"}[$__rate_interval]))',
            },
            units.CountsPerSecond,
        ),
        graph(
            "Errors, by NIC and kind",
            {
                "{{device}} {{error}}": "sum by (device, error) "
                '(rate(nvtopo_rdma_errors_total{node="$node"}[$__rate_interval])) > 0 or '
                'topk(1, sum by (device, error) (rate(nvtopo_rdma_errors_total{node="$node"}[$__rate_interval])))'
            },
            units.CountsPerSecond,
            "Those that there are.",
        ),
        listing(
            "Ports",
            {
                "Active": ('max by (device, port) (nvtopo_rdma_port_active{node="$node"})', units.Short),
                "Rate": (
                    'max by (device, port) (nvtopo_rdma_port_rate_bytes_per_second{node="$node"})',
                    units.BytesPerSecondSI,
                ),
                "Device's MTU": (
                    'max by (device, port) (nvtopo_rdma_port_netdev_mtu_bytes{node="$node"})',
                    units.Short,
                ),
                "GID index": ('max by (device, port) (nvtopo_rdma_port_gid_index{node="$node"})', units.Short),
            },
            "GID index: what NCCL's rules choose; none where nothing routes.",
            labels={"device": "NIC", "port": "Port"},
            width=12,
        ),
        listing(
            "Rails",
            {"": ('max by (rail, device) (nvtopo_rail_info{node="$node"})', units.Short)},
            "Compute NICs, in order.",
            labels={"rail": "Rail", "device": "NIC"},
            width=12,
        ),
    ):
        dashboard.with_panel(panel)


def _heat(dashboard: Dashboard) -> None:
    dashboard.with_row(row("Heat and power"))
    for panel in (
        graph(
            "Temperature, by GPU",
            {"GPU {{gpu}}": 'max by (gpu) (nvtopo_gpu_temperature_celsius{node="$node"})'},
            units.Celsius,
        ),
        graph("Power, by GPU", {"GPU {{gpu}}": 'max by (gpu) (nvtopo_gpu_power_watts{node="$node"})'}, units.Watt),
        graph(
            "SM clock, by GPU",
            {
                "GPU {{gpu}}": 'max by (gpu) (nvtopo_gpu_clock_hertz{node="$node", clock="sm"})',
                "median": 'node:nvtopo_gpu_sm_clock_hertz:median5m{node="$node"}',
            },
            units.Hertz,
            "A GPU a tenth below the median, while it works, holds up the whole job.",
        ),
        states(
            "Throttled by heat",
            {"GPU {{gpu}}": 'node_gpu:nvtopo_gpu_thermal_throttle:max{node="$node"}'},
            "Hardware or software thermal slowdown.",
            zero=("no", "green"),
            one=("throttled", "red"),
        ),
    ):
        dashboard.with_panel(panel)


def _locality(dashboard: Dashboard) -> None:
    dashboard.with_row(row("Locality"))
    for panel in (
        listing(
            "Nearest NICs",
            {"": ('max by (gpu, device, level) (nvtopo_gpu_nearest_nic{node="$node"})', units.Short)},
            "By nvidia-smi's levels.",
            labels={"gpu": "GPU", "device": "NIC", "level": "Level"},
            width=12,
        ),
        listing(
            "GPU pairs",
            {
                "One direction": (
                    'max by (gpu, peer, link, source) (nvtopo_gpu_pair_bandwidth_bytes_per_second{node="$node"})',
                    units.BytesPerSecondSI,
                )
            },
            "Source: whether the driver reports the rate, or a table of generations has it.",
            labels={"gpu": "GPU", "peer": "Peer", "link": "Link", "source": "Source"},
            width=12,
        ),
    ):
        dashboard.with_panel(panel)


def _memory(dashboard: Dashboard) -> None:
    dashboard.with_row(row("NUMA and CPUs"))
    for panel in (
        graph(
            "Allocations that missed their node",
            {
                "NUMA {{numa_node}} {{result}}": "sum by (numa_node, result) "
                '(rate(nvtopo_numa_allocated_pages_total{node="$node", result=~"miss|foreign|other_node"}'
                "[$__rate_interval]))"
            },
            units.CountsPerSecond,
            "Pages a second.",
        ),
        graph(
            "CPUs, by NUMA node",
            {
                "NUMA {{numa_node}}": "sum by (numa_node) "
                '(rate(nvtopo_numa_cpu_seconds_total{node="$node", mode="busy"}[$__rate_interval])) / '
                'sum by (numa_node) (rate(nvtopo_numa_cpu_seconds_total{node="$node"}[$__rate_interval]))'
            },
            units.PercentUnit,
            "Busy share of all its CPUs.",
        ),
        graph(
            "Memory far from its GPUs, by container",
            {"{{pod}} {{container}}": 'max by (pod, container) (nvtopo_pod_remote_memory_ratio{node="$node"})'},
            units.PercentUnit,
            "Of containers that hold GPUs. A fifth is an alert.",
        ),
        listing(
            "Containers that hold GPUs",
            {
                "": ('max by (namespace, pod, container, gpu) (nvtopo_pod_gpu_info{node="$node"})', units.Short),
            },
            "By the kubelet's pod resources.",
            labels={"namespace": "Namespace", "pod": "Pod", "container": "Container", "gpu": "GPU"},
            width=12,
        ),
    ):
        dashboard.with_panel(panel)


def _agent(dashboard: Dashboard) -> None:
    dashboard.with_row(row("The agent"))
    for panel in (
        states(
            "Sampler",
            {"sampler": 'max(nvtopo_sampler_up{node="$node"})'},
            "Whether GPU counters are fresh. While they are not, their series are absent.",
            zero=("down", "red"),
            one=("up", "green"),
        ),
        graph(
            "How long reading takes",
            {
                "machine": 'max(nvtopo_observation_duration_seconds{node="$node"})',
                "sample": 'max(nvtopo_sampler_sample_duration_seconds{node="$node"})',
                "scrape": 'max(scrape_duration_seconds{job="nvtopo-agent", node="$node"})',
            },
            units.Seconds,
        ),
        graph(
            "How long each source takes",
            {"{{source}}": 'max by (source) (nvtopo_source_duration_seconds{node="$node"})'},
            units.Seconds,
        ),
        graph(
            "Memory of the agent's workers",
            {"workers": 'max(nvtopo_workers_resident_memory_bytes{node="$node"})'},
            units.BytesSI,
        ),
        states(
            "Sinks",
            {"{{sink}}": 'max by (sink) (nvtopo_sink_up{node="$node"})'},
            "Whether labels and objects are as last concluded.",
            zero=("cannot be written", "red"),
            one=("written", "green"),
        ),
        graph(
            "XIDs",
            {"GPU {{gpu}}: {{xid}}": 'sum by (gpu, xid) (increase(nvtopo_gpu_xid_errors_total{node="$node"}[1h]))'},
            units.Short,
            "Within an hour. 13, 31, 43 and 45 are usually the job's own.",
        ),
        graph(
            "Changes, by fact",
            {"{{fact}}": 'sum by (fact) (increase(nvtopo_topology_changes_total{node="$node"}[1h]))'},
            units.Short,
            "Readings within an hour that differ from the one before.",
        ),
    ):
        dashboard.with_panel(panel)
