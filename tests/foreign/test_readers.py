"""The readers of other tools' output, on invented machines."""

import gzip
import io
import tarfile

import pytest

from nvtopo.errors import ParseError
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.locality import Locality
from nvtopo.model.records.node import NodeTopology
from nvtopo.sources.foreign.recognise import read_foreign
from tests.foreign import samples


def read(content: bytes | str) -> NodeTopology:
    return read_foreign(content.encode() if isinstance(content, str) else content, "input")


def reasons(node: NodeTopology) -> str:
    return "; ".join(f"{problem.subject}: {problem.reason}" for problem in node.problems)


def test_nccl_levels_links_and_c2c() -> None:
    node = read(samples.nccl())
    derived = derive(node)
    assert derived.nvlink_groups == ((0, 1),)
    assert derived.nearest_nics[0].nics == ("mlx5_1",)
    assert derived.nearest_nics[0].nccl_level == Locality.PIX
    assert derived.numa == {0: 0, 1: 0}
    assert node.gpus[0].c2c_links == 5
    assert node.numa[0].cpus == "0-15"


def test_nccl_one_sided_links_are_a_problem() -> None:
    link = '<nvlink target="0000:11:00.0" count="4" tclass="0x030200"/>'
    node = read(samples.nccl().decode().replace(link, ""))
    derived = derive(node)
    assert derived.nvlink_groups == ()
    assert derived.nvlink_degraded == (1,)
    assert "one-sided" in reasons(node)


def test_xgmi_joins_gpus_and_fewer_of_it_is_no_damage() -> None:
    text = samples.nccl().decode().replace("<nvlink", "<xgmi")
    one_more = '<gpu dev="0" sm="90" rank="0" gdr="1"><xgmi target="0000:77:00.0" count="1" tclass="0x030000"/>'
    derived = derive(read(text.replace('<gpu dev="0" sm="90" rank="0" gdr="1">', one_more)))
    assert derived.nvlink_groups == ((0, 1),)
    assert derived.nvlink_degraded == ()


def test_nccl_hidden_switch_has_no_address() -> None:
    text = samples.nccl().decode().replace('target="0000:21:00.0"', 'target="fffffff:ff:ff.0"')
    assert read(text).gpus[0].nvlinks[0].peers == {}


def test_nccl_interfaces_without_pci_are_no_nics() -> None:
    text = samples.nccl().decode().replace("</cpu>", '<nic><net name="cali0" dev="1"/></nic></cpu>')
    assert [nic.name for nic in read(text).nics] == ["mlx5_1", "mlx5_2"]


def test_nccl_without_gpus_says_so() -> None:
    node = read('<system version="1"><cpu numaid="0"><pci busid="0000:45:00.0"/></cpu></system>')
    assert node.gpus == ()
    assert "names none" in reasons(node)


def test_nccl_switch_written_once_per_device_is_one_switch() -> None:
    pci = '<pci busid="0000:0{0}:00.0" class="{1}"><{2}/></pci>'
    switch = '<pci busid="0000:01:00.0" class="0x060400">{}</pci>'
    gpu = pci.format(2, "0x030200", 'gpu dev="0"')
    nic = '<pci busid="0000:03:00.0" class="0x020000"><nic><net name="mlx5_0"/></nic></pci>'
    text = f'<system><cpu numaid="0">{switch.format(gpu)}{switch.format(nic)}</cpu></system>'
    assert derive(read(text)).nearest_nics[0].level == Locality.PIX


@pytest.mark.parametrize("name", ["nccl", "hwloc", "query-xml"])
def test_cut_xml_is_answered_for_what_is_there(name: str) -> None:
    content = samples.SAMPLES[name]()
    node = read(content[: len(content) * 3 // 4])
    assert node.gpus
    assert not derive(node).complete
    assert "cut or damaged" in reasons(node)


def test_xml_behind_a_log_and_before_one_is_found() -> None:
    assert read(b"INFO dumping\n" + samples.nccl() + b"INFO done <ok>\n") == read(samples.nccl())


def test_entities_are_not_expanded() -> None:
    bomb = '<!DOCTYPE system [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><system><cpu numaid="0">&b;</cpu></system>'
    assert not derive(read(bomb)).complete


def test_deep_xml_is_refused() -> None:
    with pytest.raises(ParseError, match="nested deeper"):
        read('<system><cpu numaid="0">' + "<pci>" * 100)


def test_hwloc_links_paths_and_allowed_cpus() -> None:
    node = read(samples.hwloc())
    assert derive(node).nvlink_groups == ((0, 1),)
    assert [gpu.path for gpu in node.gpus] == ["pci0000:00/0000:00:01.0", "pci0000:00/0000:00:02.0"]
    assert node.gpus[0].nvlinks[0].count == 4
    assert node.host.allowed_cpus == "0-3"


def test_hwloc_cpu_is_a_peer_and_no_gpu() -> None:
    text = samples.hwloc().decode().replace("OSDev:12", "Package:3")
    node = read(text)
    assert {bundle.remote for gpu in node.gpus for bundle in gpu.nvlinks} == {"npu"}
    assert derive(node).nvlink_groups == ()


def test_hwloc_device_in_a_bridge_that_does_not_lead_to_it() -> None:
    text = samples.hwloc().decode().replace('pci_busid="0000:02:00.0"', 'pci_busid="0000:77:00.0"')
    node = read(text)
    assert [gpu.path for gpu in node.gpus] == ["pci0000:00/0000:00:01.0", ""]
    assert "does not lead to its bus" in reasons(node)


def test_hwloc_without_gpu_says_so() -> None:
    text = samples.hwloc().decode().replace("10de", "1234").replace("nvml", "card")
    assert "no NVIDIA GPU" in reasons(read(text))


def _second_gpu_unnamed(plugin: str) -> str:
    text = samples.hwloc().decode().replace('name="nvml0"', f'name="{plugin}0"')
    return text.replace('name="nvml1"', 'name="card1"')


def test_hwloc_does_not_know_why_cuda_does_not_name_a_gpu() -> None:
    """CUDA_VISIBLE_DEVICES hides it, or the release is too new for it: no fault of the driver follows."""
    node = read(_second_gpu_unnamed("cuda"))
    health = derive(node).health
    assert (len(node.gpus), node.accelerators, "gpus" in node.unseen) == (1, (), True)
    assert (health.ready, "driver-problem" in {reason.code for reason in health.reasons}) == (None, False)
    assert "CUDA does not name" in reasons(node)


def test_hwloc_knows_that_the_driver_does_not_answer_where_nvml_was_asked() -> None:
    health = derive(read(_second_gpu_unnamed("nvml"))).health
    assert (health.ready, "driver-problem" in {reason.code for reason in health.reasons}) == (False, True)


def test_hwloc_with_all_gpus_named_by_cuda_hides_none() -> None:
    node = read(samples.hwloc().decode().replace("nvml", "cuda"))
    assert (len(node.gpus), "gpus" in node.unseen) == (2, False)


@pytest.mark.parametrize("content", [samples.query(), samples.query_xml(), samples.table()])
def test_query_numbers_gpus_in_its_order_and_leaves_nvlink_open(content: bytes) -> None:
    node = read(content)
    assert [gpu.index for gpu in node.gpus] == [0, 1]
    assert node.host.driver_version
    assert derive(node).nvlink_groups is None


def test_query_reads_fabric_link_and_mig() -> None:
    gpu = read(samples.query_xml()).gpus[0]
    assert gpu.fabric is not None
    assert (gpu.fabric.state, gpu.fabric.clique_id, gpu.mig) == ("completed", 7, False)
    assert gpu.link is not None
    assert (gpu.link.max_generation, gpu.link.max_width) == (5, 16)
    assert read(samples.query()).gpus[0].mig is True


def test_query_that_announces_more_gpus_than_it_has_is_cut() -> None:
    node = read(samples.query().replace(b"Attached GPUs : 2", b"Attached GPUs : 8"))
    assert "8 are attached" in reasons(node)


def test_nvlink_status_counts_links_up_and_down() -> None:
    node = read(samples.nvlink())
    states = {bundle.state: bundle.count for bundle in node.gpus[0].nvlinks}
    assert states == {"active": 1, "inactive": 1}
    assert node.gpus[0].nvlinks[0].bytes_per_second == 26_562_000_000
    assert derive(node).nvlink_groups is None


@pytest.mark.parametrize(
    ("line", "groups"),
    [
        ("NVML: Unable to retrieve Nvlink information as all links are inActive", ()),
        ("Device does not have or support Nvlink", ()),
        ("Nvlink queries are not supported for Devices in MIG mode", None),
    ],
)
def test_nvlink_status_without_links_says_why(line: str, groups: tuple[()] | None) -> None:
    assert derive(read(f"GPU 0: invented (UUID: GPU-1)\n{line}\n")).nvlink_groups == groups


def test_several_outputs_are_one_node() -> None:
    node = read(samples.session())
    assert [gpu.name for gpu in node.gpus] == ["invented", "invented"]
    assert [gpu.numa_node for gpu in node.gpus] == [0, 1]
    assert [nic.name for nic in node.nics] == ["NIC0"]
    assert node.pairs[0].nvlinks == 18


@pytest.mark.parametrize("content", [samples.ibstat(), samples.ibstatus()])
def test_ibstat_ports(content: bytes) -> None:
    node = read(content)
    assert [nic.name for nic in node.nics] == ["mlx5_0", "mlx5_1"]
    assert {port.state for nic in node.nics for port in nic.ports} == {"ACTIVE"}
    assert derive(node).nvlink_groups is None


def test_ibstat_cut_is_said() -> None:
    content = samples.ibstat()
    assert "input is cut" in reasons(read(content[: content.rindex(b"Rate")]))


def test_lspci_tree_numa_and_long_domains() -> None:
    node = read(samples.lspci())
    assert [gpu.path for gpu in node.gpus] == ["pci0000:00/0000:00:01.0"]
    assert node.gpus[0].name == "Invented"
    assert node.gpus[0].numa_node == 0
    assert [nic.pci_address for nic in node.nics] == ["10000:01:00.0"]


def test_lspci_bridges_in_a_circle_end() -> None:
    bridge = "0{0}:00.0 PCI bridge [0604]: Invented [8086:0001]\n\tBus: primary=00, secondary=0{1}, subordinate=0{1}\n"
    node = read(bridge.format(1, 2) + bridge.format(2, 1) + "02:01.0 3D controller [0302]: NVIDIA X [10de:0001]\n")
    assert [gpu.path for gpu in node.gpus] == [""]
    assert "behind itself" in reasons(node)


@pytest.mark.parametrize("content", [samples.archive(), samples.text_archive()])
def test_archives_are_read_as_a_live_sys(content: bytes) -> None:
    node = read(content)
    assert [gpu.pci_address for gpu in node.gpus] == ["0000:01:00.0"]
    assert [nic.name for nic in node.nics] == ["mlx5_0"]
    assert derive(node).nearest_nics[0].level == Locality.PHB


def test_a_cut_archive_is_answered_for_what_is_there() -> None:
    plain = gzip.decompress(samples.archive())
    assert not derive(read(plain[: len(plain) // 2])).complete


def test_a_packed_class_folder_is_put_where_it_was() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:bz2") as tar:
        member = tarfile.TarInfo("data/mlx5_9/ports/1/state")
        member.size = len(b"4: ACTIVE\n")
        tar.addfile(member, io.BytesIO(b"4: ACTIVE\n"))
    assert [nic.name for nic in read(packed.getvalue()).nics] == ["mlx5_9"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty file"),
        (b"<graphs version='1'><graph/></graphs>", "rings and trees"),
        (b"<html><body/></html>", "a web page"),
        (b"hello", "text that starts with 'hello'"),
        (b"\x7fELF\x00\x00", "binary data"),
        (b"index, name, pci.bus_id\n0, invented, 00000000:17:00.0\n", "--query-gpu"),
        (b"# Topology file\nvendid=0x2c9\ndevid=0x1\n", "ibnetdiscover"),
        (b"Architecture:        x86_64\nCPU(s): 8\n", "lscpu"),
        (b"1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue\n", "ip link"),
        (b"-[0000:00]-+-00.0\n           \\-01.0-[01]----00.0\n", "lspci -t"),
        (b"\t Link 0: 26.562 GB/s\n", "without the lines that name its GPUs"),
        (b"ACCESS TABLE:\n        0000:0c:00.0\n0000:0c:00.0 ENABLED\n", "amd-smi"),
        (b"NVIDIA-SMI has failed because it couldn't communicate", "an error of the tool"),
        (b"[INFO] successfully released multicast team", "fabric manager"),
        (gzip.compress(b"no archive", mtime=0), "packed data without files"),
        (b"\x1f\x8bdamaged", "damaged packed data"),
        (b"x" * (9 << 20), "at most 8 MiB"),
        (b"\n" * (1 << 20), "at most 50000"),
        (b"\\n" * (1 << 20), "at most 50000"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_holds_no_topology_is_refused_in_one_line(content: bytes, says: str) -> None:
    with pytest.raises(ParseError) as refusal:
        read(content)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
