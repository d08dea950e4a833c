"""What is not said of an input that does not show it, and what must be said."""

import re

import pytest

from nvtopo.errors import ParseError
from nvtopo.model.conclusions.derive import Derived, derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.conclusions.presence import missing_modules
from nvtopo.model.records.facts import PcieLink
from nvtopo.model.records.node import NodeTopology
from nvtopo.sources.foreign.recognise import read_foreign, read_hosts
from tests.foreign import samples
from tests.foreign.samples import matrix, switched


def read(content: bytes | str) -> NodeTopology:
    return read_foreign(content.encode() if isinstance(content, str) else content, "input")


def labels(content: bytes | str) -> dict[str, str]:
    node = read(content)
    return {name.removeprefix("nvtopo.io/"): value for name, value in features(node, derive(node)).items()}


def derived(content: bytes | str) -> Derived:
    return derive(read(content))


_RDMA_TOOLS = ("ibstat", "ibstatus", "ibv_devinfo", "rdma_link", "show_gids", "ibdev2netdev")


@pytest.mark.parametrize("name", [name for name in samples.SAMPLES if name.replace(" ", "_") in _RDMA_TOOLS])
def test_tools_of_rdma_devices_say_nothing_of_gpus_other_nics_and_rails(name: str) -> None:
    node = read(samples.SAMPLES[name]())
    assert node.nics
    assert labels(samples.SAMPLES[name]()) == {}


def test_tools_of_rdma_devices_are_known() -> None:
    assert {name.replace(" ", "_") for name in samples.SAMPLES} >= {"ibstat", "ibstatus", "ibv_devinfo"}


_COUNTS = re.compile("gpu.count|nic.*|nvlink.group.*|nvlink.full-mesh|nvlink.links.*|gpu.nvlink.*|rdma.*|ready")


@pytest.mark.parametrize("name", [name for name, sample in samples.SAMPLES.items() if sample()[:1] == b"<"])
@pytest.mark.slow
def test_a_document_that_is_cut_says_nothing_of_what_is_behind_the_cut(name: str) -> None:
    """Wherever it is cut: at each line, and in the middle of each."""
    content = samples.SAMPLES[name]().rstrip()
    ends = [at for at, byte in enumerate(content) if byte == ord(">")][:-1]
    read_at_all = 0
    for end in (*(end + 1 for end in ends), *(end - 2 for end in ends)):
        try:
            found = labels(content[:end])
        except ParseError:
            continue
        read_at_all += 1
        assert [label for label in found if _COUNTS.fullmatch(label)] == [], content[:end]
        assert derived(content[:end]).nvlink_groups is None
    assert read_at_all


def test_links_of_one_gpu_lead_to_something_that_is_not_shown() -> None:
    text = "GPU 0: invented (UUID: GPU-1)\n\t Link 0: 25 GB/s\n"
    assert labels(text) == {}
    assert labels(text.replace("25 GB/s", "<inactive>"))["gpu.count"] == "1"


def test_a_word_for_the_fabrics_state_that_is_new_is_not_known() -> None:
    text = samples.query().decode().replace("State : Completed", "State : Partly Completed", 1)
    found = derived(text)
    assert (found.fabric, found.health.gpus[0].level) == ("Unknown", "unknown")
    assert "nvlink.fabric" not in labels(text)


def test_an_error_in_the_place_of_the_fabrics_state_is_not_no_fabric() -> None:
    assert derived(samples.query().decode().replace("State : Completed", "State : ERR!", 1)).fabric == "Unknown"


def test_lspci_of_nics_alone_says_nothing_of_gpus() -> None:
    text = "\n".join(line for line in samples.lspci().decode().split("\n") if "Mellanox" in line)
    assert "gpu.count" not in labels(text)
    assert "ready" not in labels(text)


def test_a_topology_without_gpus_says_nothing_of_them() -> None:
    text = '<system version="1"><cpu numaid="0"><pci busid="0000:00:16.0"/></cpu></system>'
    assert labels(text) == {}


@pytest.mark.parametrize("name", [name for name in samples.SAMPLES if "archive" not in name])
def test_no_output_shows_that_a_node_is_well(name: str) -> None:
    content = samples.SAMPLES[name]()
    assert labels(content).get("ready") != "true"
    assert derived(content).health.ready is not True


def test_a_matrix_says_what_it_holds() -> None:
    found = labels(matrix(*switched(4, 2)))
    assert found["gpu.count"] == "4"
    assert found["nvlink.group-size"] == "4"
    assert found["nic.count"] == "2"


def test_missing_rows_leave_groups_and_localities_out() -> None:
    text = matrix(*switched(4, 2))
    found = labels("\n".join(line for line in text.split("\n") if not line.startswith(("GPU3", "NIC1"))))
    assert found["gpu.count"] == "4"
    assert not any(name.startswith(("nvlink.g", "nvlink.d", "nvlink.f", "nic.gpu")) for name in found)


def test_a_cut_query_does_not_say_how_many_gpus_there_are() -> None:
    found = labels(samples.query().replace(b"Attached GPUs : 2", b"Attached GPUs : 8"))
    assert "gpu.count" not in found


def _of_module(number: int, mode: str, attached: int) -> NodeTopology:
    """One GPU in this place of a board."""
    one = samples.query_xml().replace(
        b"<product_name>",
        f"<gpu_module_id>{number}</gpu_module_id><gpu_virtualization_mode><virtualization_mode>{mode}"
        "</virtualization_mode></gpu_virtualization_mode><product_name>".encode(),
    )
    head, _, _ = one.partition(b'<gpu id="00000000:21')
    whole = head + b"</nvidia_smi_log>\n"
    return read(whole.replace(b"<attached_gpus>2", b"<attached_gpus>%d" % attached))


@pytest.mark.parametrize(
    ("mode", "attached", "due"),
    [("None", 1, (1, 2)), ("Pass-Through", 1, ()), ("VGPU", 1, ()), ("Host VGPU", 1, (1, 2)), ("None", 4, ())],
)
def test_a_query_by_a_guest_or_of_some_gpus_says_nothing_of_the_board_s_other_modules(
    mode: str, attached: int, due: tuple[int, ...]
) -> None:
    assert missing_modules(_of_module(3, mode, attached)) == due


def test_the_text_of_a_query_says_that_it_is_a_guest_s() -> None:
    mode = b"    GPU Virtualization Mode\n        Virtualization Mode : Pass-Through\n    MIG Mode\n"
    assert read(samples.query().replace(b"    MIG Mode\n", mode)).host.hypervisor
    assert not read(samples.query()).host.hypervisor


def test_uuids_that_were_blanked_out_give_no_gpu_the_links_of_another() -> None:
    blank = b"GPU-00000000-0000-0000-0000-000000000000"
    query = samples.query().replace(b"GPU-1", blank).replace(b"GPU-2", blank)
    link = b"\t Link %d: 26.562 GB/s\n"
    first = b"GPU 0: invented (UUID: " + blank + b")\n" + link % 0 + b"\t Link 1: <inactive>\n"
    second = b"GPU 1: invented (UUID: " + blank + b")\n" + link % 0 + link % 1
    node = read(query + b"\n" + first + second)
    assert [sorted((one.state, one.count) for one in gpu.nvlinks) for gpu in node.gpus] == [
        [("active", 1), ("inactive", 1)],
        [("active", 2)],
    ]


_WITHOUT_PROCESSES = samples.query().replace(b"    Processes : None\n", b"")


@pytest.mark.parametrize("gpus", [1, 2])
@pytest.mark.slow
def test_a_query_that_is_cut_within_its_last_gpu_says_nothing_of_counts_and_health(gpus: int) -> None:
    """Wherever it is cut: at each line, and in the middle of each value."""
    whole = samples.query().partition(b"GPU 00000000:21")[0] if gpus == 1 else samples.query()
    whole = whole.replace(b"Attached GPUs : 2", b"Attached GPUs : %d" % gpus)
    last = whole.rindex(b"GPU 00000000:") + len(b"GPU 00000000:11:00.0\n")
    assert labels(whole)["gpu.count"] == str(gpus)
    ends = [at for at, byte in enumerate(whole) if byte == ord("\n") and last <= at < len(whole) - 1]
    for cut in (whole[:last], *(whole[: end + 1] for end in ends), *(whole[: end - 1] for end in ends)):
        assert labels(cut) == {}, cut
        assert derived(cut).health.ready is None


_NO_COUNT = ("gpu.count", "ready", "nvlink.degraded")


@pytest.mark.parametrize("cut", [2, 3])
def test_a_matrix_that_ends_within_a_cell_does_not_make_a_gpu_ill(cut: int) -> None:
    text = matrix(*switched(4, 0))
    text = text[: text.index("NV18", text.index("GPU2", text.index("GPU1", text.index("\nGPU0")) + 9) + 5) + cut]
    assert not {"ready", "nvlink.degraded"} & labels(text).keys()


def test_an_nvlink_status_that_ends_within_a_gpu_says_nothing_of_their_number() -> None:
    gpus = "".join(
        f"GPU {gpu}: invented (UUID: GPU-{gpu})\n" + "".join(f"\t Link {link}: 25 GB/s\n" for link in range(4))
        for gpu in range(3)
    )
    assert labels(gpus)["gpu.count"] == "3"
    last = gpus.index("GPU 2")
    for end in (gpus.index("Link 3") + 3, last + 1, last + 9, gpus.rindex("Link 3") - 2, len(gpus) - 4):
        assert not labels(gpus[:end]).keys() & set(_NO_COUNT), gpus[:end]
    assert not labels(gpus.replace("\n", " ")).keys() & set(_NO_COUNT)


def test_a_table_without_its_lower_border_says_nothing_of_the_number_of_gpus() -> None:
    text = samples.table().decode()
    row = next(at for at in range(len(text)) if text.startswith("|   1 ", at))
    assert labels(text)["gpu.count"]
    assert "gpu.count" not in labels(text[: text.index("\n", row) + 1])
    assert "gpu.count" not in labels(text[: text.index("+---", row) + 5])


def test_a_legend_that_has_only_begun_does_not_say_that_there_is_no_nvlink() -> None:
    text = "\tGPU0\tGPU1\nGPU0\t X \tPIX\nGPU1\tPIX\t X \n"
    assert labels(text)["nvlink.groups"] == "0"
    assert "nvlink.groups" not in labels(f"{text}\nLegend:\n\n  X")


def test_a_list_as_python_prints_it() -> None:
    text = matrix(*switched(4, 2))
    assert labels(repr(text.splitlines())) == labels(text)


@pytest.mark.parametrize("gpu", [0, 1])
def test_a_line_that_is_no_part_of_the_query_makes_no_fabric_mixed(gpu: int) -> None:
    parts = samples.query().decode().split("    MIG Mode\n")
    parts[gpu] += "...\n"
    found = derived("    MIG Mode\n".join(parts))
    assert (found.health.ready, found.fabric) == (None, "Unknown")
    assert labels("    MIG Mode\n".join(parts)) == {}


def test_a_fabric_of_the_last_gpu_that_has_not_registered_says_so() -> None:
    before, _, last = samples.query().decode().rpartition("State : Completed\n        CliqueId : 3")
    text = f"{before}State : In Progress\n        CliqueId : N/A{last}"
    assert derived(text).health.gpus[1].level == "registering"


def test_a_value_that_a_terminal_wrapped_leaves_no_gpu_out() -> None:
    text = samples.SAMPLES["nccl"]().decode()
    assert 'class="0x03' in text
    assert labels(text.replace('class="0x03', 'class="0x0\n3')) == labels(text)


def test_a_document_with_lines_left_out_says_nothing_of_counts() -> None:
    text = samples.SAMPLES["nccl"]().decode()
    elided = text.replace("</cpu>", "\n...\n</cpu>", 1)
    assert [label for label in labels(elided) if _COUNTS.fullmatch(label)] == []


def test_a_row_in_the_midst_that_ends_within_a_cell_makes_no_gpu_ill() -> None:
    rows = matrix(*switched(4, 0)).split("\n")
    at = next(index for index, row in enumerate(rows) if row.startswith("GPU1"))
    rows[at] = rows[at][: rows[at].rindex("NV18") + 3]
    assert not {"ready", "nvlink.degraded"} & labels("\n".join(rows)).keys()


def test_a_header_that_is_cut_says_nothing_of_the_number_of_gpus() -> None:
    text = matrix(*switched(4, 0))
    header = text.partition("\n")[0]
    assert "gpu.count" not in labels(text.replace(header, header[: header.index("GPU3")], 1))


def test_a_value_that_is_cut_is_no_value() -> None:
    text = samples.query().decode().replace("Max : 16x", "Max : 16x\n                Current : 16x")
    cut = text[: text.rindex("16x") + 1]
    assert read(cut).gpus[1].link == PcieLink(max_width=16)


def test_a_part_of_the_query_is_no_cut_query() -> None:
    """``nvidia-smi -q -d FABRIC`` shows no name and no processes; a GPU that lacks fields of its siblings is cut."""
    part = re.sub(rb"    Product Name : invented\n", b"", _WITHOUT_PROCESSES)
    assert labels(part)["gpu.count"] == "2"
    assert labels(part[: part.rindex(b"        CliqueId")]) == {}


def test_some_of_the_gpus_are_not_their_number() -> None:
    assert "gpu.count" not in labels(matrix(*switched(2, 1)).replace("GPU1", "GPU5"))
    assert "gpu.count" not in labels("GPU 3: invented (UUID: GPU-1)\n\t Link 0: 25 GB/s\n")


def test_no_bandwidth_is_invented_where_nvlink_is_hidden() -> None:
    node = derived(samples.query_xml())
    assert node.nvlink_groups is None
    assert [pair.bytes_per_second for pair in node.gpu_pairs] == [None]


_HEALTH = "    Fabric\n        State : Completed\n        Status : Success\n        Health\n"


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("Route Unhealthy : True", "Unhealthy"),
        ("Bandwidth : Degraded", "Unhealthy"),
        ("Route Recovery in progress : True", "Unhealthy"),
        ("Access Timeout Recovery : True", "Unhealthy"),
        ("Incorrect Configuration : Insufficient Nvlinks", "Unhealthy"),
        ("Summary : Unhealthy", "Unhealthy"),
        ("Bandwidth : Full", "SingleNode"),
        ("Incorrect Configuration : None", "SingleNode"),
        ("Route Unhealthy : N/A", "SingleNode"),
    ],
)
def test_each_field_of_the_fabrics_health_counts(line: str, verdict: str) -> None:
    text = samples.query().decode().replace("    Fabric\n        State : Completed\n", f"{_HEALTH}            {line}\n")
    found = derived(text)
    assert found.fabric == verdict
    assert found.health.ready is (False if verdict == "Unhealthy" else None)


def test_fields_of_the_fabrics_health_in_xml_count() -> None:
    health = "<health><summary>Healthy</summary><route_unhealthy>True</route_unhealthy></health></fabric>"
    assert derived(samples.query_xml().replace(b"</fabric>", health.encode())).fabric == "Unhealthy"


_NOTE = " [Deprecated; will be removed. Use the other one instead]"


def test_versions_of_drivers_since_610() -> None:
    text = samples.query().decode()
    noted = text.replace("Driver Version : 580.0", f"Driver Version : 610.1{_NOTE}\nCUDA Version : 13.3{_NOTE}")
    host = read(noted).host
    assert (host.driver_version, host.cuda_version) == ("610.1", "13.3")
    alone = text.replace("Driver Version : 580.0", "KMD Version : 610.2\nCUDA UMD Version : 13.4")
    assert (read(alone).host.driver_version, read(alone).host.cuda_version) == ("610.2", "13.4")
    table = (
        samples.table().decode().replace("Driver Version", "KMD Version").replace("CUDA Version", "CUDA UMD Version")
    )
    assert read(table).host == read(samples.table()).host


_LOST = "Unable to determine the device handle for GPU{}: GPU is lost.  Reboot the system to recover this GPU\n"


@pytest.mark.parametrize("address", ["0000:C1:00.0", " 0000:C1:00.0", "7: 0000:C1:00.0"])
def test_a_lost_gpu_is_named_and_the_node_is_not_ready(address: str) -> None:
    for content in (samples.query(), samples.table(), samples.topo()):
        found = derived(_LOST.format(address) + content.decode())
        assert [(p.subject, p.reason) for p in found.problems if p.source == "nvml"] == [
            ("0000:c1:00.0", "GPU is lost")
        ]
        assert found.health.ready is False
        assert "gpu.count" not in labels(_LOST.format(address) + content.decode())


def test_a_lost_gpu_alone_is_an_error_of_the_tool() -> None:
    with pytest.raises(ParseError, match="GPU is lost"):
        read(_LOST.format("0000:C1:00.0"))


@pytest.mark.parametrize("error", ["[GPU is lost]", "GPU is lost", "ERR!", "[Unknown Error]", "[GPU requires reset]"])
def test_an_error_in_the_place_of_a_value_is_no_value(error: str) -> None:
    text = samples.query().decode().replace("Product Name : invented", f"Product Name : {error}", 1)
    found = read(text)
    assert [gpu.name for gpu in found.gpus] == ["", "invented"]
    assert [problem.source for problem in found.problems if problem.subject == "0000:11:00.0"] == ["nvml"]
    assert derive(found).health.ready is False


def test_remote_ends_and_states_of_links_are_joined() -> None:
    gpus = {0: ("01", "02"), 1: ("02", "01")}
    head = "GPU {}: invented (UUID: GPU-{})\n"
    remote = "".join(
        head.format(n, n) + "".join(f"\t Link {k}: Remote Device 00000000:{end}:00.0: Link {k}\n" for k in range(2))
        for n, (_, end) in gpus.items()
    )
    state = "".join(head.format(n, n) + "\t Link 0: 25 GB/s\n\t Link 1: <inactive>\n\t Link 2: 25 GB/s\n" for n in gpus)
    table = samples.table().decode()
    node = read(remote + state)
    active = [bundle for bundle in node.gpus[0].nvlinks if bundle.state == "active"]
    assert [(bundle.links, bundle.peers) for bundle in active] == [("0,2", {"0000:02:00.0": "0,2"})]
    assert [bundle.links for bundle in node.gpus[0].nvlinks if bundle.state == "inactive"] == ["1"]
    assert derive(node).nvlink_groups is None
    assert [gpu.pci_address for gpu in read(table).gpus] == ["0000:01:00.0", "0000:02:00.0"]
    assert derived(remote + state + table).nvlink_groups == ((0, 1),)


def test_a_list_of_gpus_and_capabilities_of_links() -> None:
    node = read("GPU 0: invented (UUID: GPU-a)\nGPU 1: invented (UUID: GPU-b)\n")
    assert [(gpu.name, gpu.uuid) for gpu in node.gpus] == [("invented", "GPU-a"), ("invented", "GPU-b")]
    assert derive(node).nvlink_groups is None
    lines = "".join(f"\t Link {k}, Link is supported: true\n\t Link {k}, SLI is supported: false\n" for k in range(3))
    node = read(f"GPU 0: invented (UUID: ...)\n{lines}")
    assert (node.gpus[0].uuid, node.gpus[0].nvlink_count, node.gpus[0].nvlinks) == ("", 3, ())


def test_a_matrix_and_the_ports_of_its_nics_are_one_node() -> None:
    ports = samples.ibstatus().decode().replace("4: ACTIVE", "1: DOWN", 1).replace("mlx5_1", "mlx5_bond_1")
    node = read(samples.topo().decode() + ports)
    assert [(nic.name, nic.ports[0].state) for nic in node.nics] == [("mlx5_0", "DOWN"), ("mlx5_bond_1", "ACTIVE")]
    assert derive(node).nearest_nics[0].nics == ("mlx5_0",)
    assert derive(node).nvlink_groups == ((0, 1, 2, 3),)


def test_index_zero_and_numa_node_zero_are_not_absent() -> None:
    node = read(samples.session())
    assert [(gpu.index, gpu.numa_node) for gpu in node.gpus] == [(0, 0), (1, 1)]


def test_a_host_like_the_others_with_fewer_links_lacks_them() -> None:
    good, bad = matrix(*switched(2, 1)), matrix(*switched(2, 1, "SYS"))
    found = read_hosts(f"=== a-1 ===\n{good}\n=== a-2 ===\n{bad}".encode(), "input")
    assert [derive(host.node).health.ready for host in found] == [None, False]
    assert [derive(host.node).health.nvlink_degraded for host in found] == [False, True]
    other = bad.replace("0-7", "0-3")
    found = read_hosts(f"=== a-1 ===\n{good}\n=== b-1 ===\n{other}".encode(), "input")
    assert [derive(host.node).health.ready for host in found] == [None, None]


@pytest.mark.parametrize("name", ["query-xml", "nccl", "hwloc"])
def test_documents_behind_the_first_are_said(name: str) -> None:
    content = samples.SAMPLES[name]().decode()
    assert "1 more of its kind" in "; ".join(problem.reason for problem in read(f"{content}\n{content}").problems)


def test_a_log_of_other_gpus_behind_the_first_is_said() -> None:
    content = samples.query().decode()
    other = content.replace("GPU 00000000:11", "GPU 00000000:31")
    assert "1 other GPUs" in "; ".join(problem.reason for problem in read(content + other).problems)
    assert read(content + content) == read(content)
