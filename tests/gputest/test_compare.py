"""Each fact beside each tool: agreement on every recorded machine, and each kind of disagreement found."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from gputest.agent_pass import AgentPass
from gputest.compare import driver, kernel, nvlink, outputs, query, topo
from gputest.gather import AGENT, CALLS, CAPTURE, Gathered, dump_of
from gputest.judge import judge
from gputest.programs import Output
from gputest.rows import Of, Row
from nvtopo.model.conclusions.assemble import assemble
from tests.gputest.smi_texts import ENDS, QUERY, STATES, TOPO, Texts, snapshot_of, texts_of
from tests.hosts.recorded import HOSTS

H100 = "h100-sxm-8gpu-8cx7"
GB200 = "gb200-nvl72-tray"
SMI = {TOPO: topo.TOOL, QUERY: query.TOOL, STATES: nvlink.STATES, ENDS: nvlink.ENDS}
NOT_RUN = Output("missing", reason="left out here")
WITH_GPUS = [host.name for host in HOSTS if (host / "nvml.json").exists() and snapshot_of(host.name).nvml is not None]


def gathered(texts: dict[str, bytes]) -> Gathered:
    """As if these tools had printed these texts, and nothing else were there."""
    others = (driver.TOOL, kernel.TOOL, CAPTURE, *map(dump_of, outputs.FORMATS), CALLS, AGENT)
    found = dict.fromkeys(others, NOT_RUN)
    found |= {
        tool: Output("ok", texts[arguments]) if arguments in texts else NOT_RUN for arguments, tool in SMI.items()
    }
    return Gathered(found, AgentPass(NOT_RUN))


def rows_of(host: str, texts: Texts | dict[str, bytes]) -> list[Row]:
    """Of nvidia-smi's four texts, on the machine as captured."""
    printed = {name: text if isinstance(text, bytes) else text.encode() for name, text in texts.items()}
    return [row for row in judge(gathered(printed), snapshot_of(host)) if row.tool in SMI.values()]


def differing(rows: list[Row]) -> list[tuple[str, str, str, Any, Any]]:
    return [(row.tool, row.subject, row.fact, row.nvtopo, row.other) for row in rows if row.verdict == "differ"]


@pytest.mark.slow
@pytest.mark.parametrize("host", WITH_GPUS)
def test_no_false_alarm_on_any_recorded_machine(host: str) -> None:
    rows = rows_of(host, texts_of(host))
    assert differing(rows) == []
    assert {row.tool for row in rows if row.verdict == "same"} >= {topo.TOOL, query.TOOL}
    assert all(row.reason for row in rows if row.verdict != "same")


def changed(name: str, old: str, new: str, host: str = H100, count: int = 1) -> Callable[[], tuple[str, Texts]]:
    def texts() -> tuple[str, Texts]:
        found = texts_of(host)
        assert old in found[name], old
        needed = (
            {STATES: found[STATES]} if name == ENDS else {}
        )  # ``-R`` numbers links by those that ``-s`` says are up
        return host, needed | {name: found[name].replace(old, new, count)}

    return texts


DISAGREEMENTS = [
    (changed(TOPO, "NV18", "NV17", count=2 * 56), "GPU0, GPU1", "connection", "NV18", "NV17"),
    (changed(TOPO, "PIX", "PXB"), "GPU0, mlx5_0", "connection", "PIX", "PXB"),
    (changed(TOPO, "0-55,112-167\t0\t", "0-55,112-166\t0\t"), "GPU0", "CPU affinity", "0-55,112-167", "0-55,112-166"),
    (changed(TOPO, "112-167\t0\t", "112-167\t1\t"), "GPU0", "NUMA node", 0, 1),
    (changed(TOPO, "\t0\t\tN/A", "\t0\t\t5"), "GPU0", "memory's NUMA node", None, 5),
    (changed(TOPO, "\t0\t\t2", "\t0\t\t3", GB200), "GPU0", "memory's NUMA node", 2, 3),
    (changed(TOPO, ": mlx5_0\n", ": mlx5_77\n"), "mlx5_77", "NIC", None, "mlx5_77"),
    (changed(QUERY, "580.105.08", "580.999.08"), "node", "driver version", "580.105.08", "580.999.08"),
    (changed(QUERY, ">13.0<", ">12.8<"), "node", "CUDA version", "13.0", "12.8"),
    (changed(QUERY, "NVIDIA H100 80GB HBM3", "NVIDIA H200"), "GPU0", "name", "NVIDIA H100 80GB HBM3", "NVIDIA H200"),
    (changed(QUERY, "81559 MiB", "81560 MiB"), "GPU0", "memoryBytes", 85520809984, 81560 << 20),
    (changed(QUERY, "<gpu_module_id>7<", "<gpu_module_id>1<"), "GPU0", "moduleId", 7, 1),
    (changed(QUERY, ">Disabled<", ">Enabled<"), "GPU0", "mig", False, True),
    (changed(QUERY, "<max_link_width>16x", "<max_link_width>8x"), "GPU0", "link.maxWidth", 16, 8),
    (changed(QUERY, "<max_link_gen>5", "<max_link_gen>4"), "GPU0", "link.maxGeneration", 5, 4),
    (changed(QUERY, ">Completed<", ">In Progress<"), "GPU0", "fabric.state", "completed", "in-progress"),
    (changed(QUERY, ">Success<", ">Insufficient Resources<"), "GPU0", "fabric.status", 0, 999),
    (changed(QUERY, "<cliqueId>2<", "<cliqueId>3<", GB200), "GPU0", "fabric.cliqueID", 2, 3),
    (changed(QUERY, ">Healthy<", ">Unhealthy<", GB200), "GPU0", "fabric.healthSummary", "healthy", "unhealthy"),
    (changed(QUERY, "<tray_index>4<", "<tray_index>9<", GB200), "GPU0", "platform.tray", 4, 9),
    (changed(STATES, "Link 3: 26.562 GB/s", "Link 3: <inactive>"), "GPU0", "link 3 state", "active", "inactive"),
    (changed(STATES, "26.562", "25.781"), "GPU0", "link 0 rate", 26562000000, 25781000000),
    (changed(STATES, "Link 17: 26.562 GB/s\n", "\n"), "GPU0", "link 17", "active", None),
    (changed(ENDS, "00000000:07:00.0", "00000000:0B:00.0"), "GPU0", "link 0 end", "0000:07:00.0", "0000:0b:00.0"),
    (changed(ENDS, "07:00.0: Link 0", "07:00.0: Link 60"), "GPU0", "link 0 far link", 0, 60),
    (changed(ENDS, "FFFFFFFF:FF:FF.0", "00000000:0B:00.0", GB200), "GPU0", "link 0 end", None, "0000:0b:00.0"),
]


@pytest.mark.parametrize(("texts", "subject", "fact", "mine", "theirs"), DISAGREEMENTS)
def test_a_disagreement_is_found_and_nothing_else(
    texts: Callable[[], tuple[str, Texts]], subject: str, fact: str, mine: Any, theirs: Any
) -> None:
    host, found = texts()
    said = [(row[1], row[2], row[3], row[4]) for row in differing(rows_of(host, found))]
    assert (subject, fact, mine, theirs) in said
    assert {row[1] for row in said} == {fact}


def test_a_gpu_that_only_one_side_has_is_found() -> None:
    uuid = snapshot_of(H100).nvml.gpus[0].uuid  # type: ignore[union-attr]
    texts = texts_of(H100)
    other = texts[QUERY].replace(uuid, "GPU-00000000-1111-2222-3333-444444444444").replace(":53:00.0", ":5F:00.0")
    said = differing(rows_of(H100, {QUERY: other}))
    assert (query.TOOL, "0000:5f:00.0", "GPU", None, "GPU-00000000-1111-2222-3333-444444444444") in said
    assert (query.TOOL, "GPU0", "GPU", uuid, None) in said


@pytest.mark.parametrize(
    "text", [b"", b"\x00\xff\xfe\x80" * 400, b"No devices were found\n", b"<nvidia_smi_log>", b"GPU0\tX"]
)
@pytest.mark.parametrize("arguments", SMI)
def test_text_that_cannot_be_read_is_not_compared_and_stops_nothing(arguments: str, text: bytes) -> None:
    printed = {name: content.encode() for name, content in texts_of("t4-single-edge").items()}
    rows = rows_of("t4-single-edge", printed | {arguments: text})
    assert [row for row in rows if row.verdict == "differ"] == []
    assert {row.verdict for row in rows if row.tool == SMI[arguments]} <= {"not-compared", "same"}
    for other in SMI.keys() - {arguments} - ({ENDS} if arguments == STATES else set()):
        assert other in (STATES, ENDS) or any(row.tool == SMI[other] and row.verdict == "same" for row in rows), other


def explained(host: str, texts: Texts) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows_of(host, texts):
        if row.verdict == "explained":
            found.setdefault(row.fact, set()).add(row.reason)
    return found


@pytest.mark.parametrize(
    ("texts", "fact", "word"),
    [
        (lambda: (GB200, texts_of(GB200)), "connection", "Grace"),
        (lambda: (GB200, texts_of(GB200)), "link 0 end", "hides"),
        (lambda: (GB200, texts_of(GB200)), "platform.fabricGuid", "written otherwise"),
        (lambda: ("hgx-b200-8gpu", texts_of("hgx-b200-8gpu")), "platform.slot", "chassis"),
        (changed(TOPO, "0-55,112-167\t0\t", "0-55,112-167\t0,3-9\t"), "NUMA node", "several"),
        (changed(TOPO, "0-55,112-167\t0\t", "0,1,2,3,4,5\t0\t"), "CPU affinity", "cuts"),
        (changed(STATES, "26.562", "27"), "link 0 rate", "rounds"),
        (
            changed(QUERY, "</gpu>", "<platformInfo><module_id>7</module_id></platformInfo></gpu>"),
            "platform.module",
            "repeats",
        ),
        (changed(QUERY, "<current_link_width>16x", "<current_link_width>8x"), "link.width", "idle"),
        (changed(QUERY, "81559 MiB", "81558 MiB"), "", ""),
    ],
)
def test_a_difference_that_is_known_to_be_right_has_its_reason(
    texts: Callable[[], tuple[str, Texts]], fact: str, word: str
) -> None:
    host, found = texts()
    if fact:
        assert any(word in reason for reason in explained(host, found)[fact])
    else:  # a whole MiB less is no rounding
        assert [row[2] for row in differing(rows_of(host, found))] == ["memoryBytes"]


def test_a_gpu_without_a_numa_node_is_what_the_driver_makes_of_it() -> None:
    host = "vm-h100-domain-per-device"
    texts = {TOPO: texts_of(host)[TOPO].replace("\tN/A\t\t", "\t0\t\t", 1)}
    assert differing(rows_of(host, texts)) == []
    assert "no NUMA node" in next(iter(explained(host, texts)["NUMA node"]))


def test_labels_soon_after_boot_are_the_agents_own_matter() -> None:
    node = assemble(snapshot_of(H100))
    rows = list(outputs.feature_rows(node, b"nvtopo.io/gpu.count=8\nnvtopo.io/ready=false\n", "it trains"))
    assert {row.verdict for row in rows} == {"same", "explained", "not-compared"}


def test_links_under_mig_are_not_compared() -> None:
    rows = [row for row in rows_of("a100-mig-on", texts_of("a100-mig-on")) if row.tool == nvlink.STATES]
    assert {row.verdict for row in rows} == {"not-compared"}


def test_ends_that_do_not_fit_the_links_that_are_up_are_not_compared() -> None:
    texts = texts_of(H100)
    states = texts[STATES].replace("Link 3: 26.562 GB/s", "Link 3: <inactive>", 1)
    rows = rows_of(H100, {STATES: states, ENDS: texts[ENDS]})
    assert [row[2] for row in differing(rows)] == ["link 3 state"]
    said = [row for row in rows if row.tool == nvlink.ENDS and row.verdict == "not-compared"]
    assert [(row.subject, "which is not known" in row.reason) for row in said] == [("GPU0", True)]


def test_a_virtual_function_is_no_missing_nic() -> None:
    name = next(
        device.name
        for device in snapshot_of("h100-sriov").rdma.devices  # type: ignore[union-attr]
        if device.name not in {nic.name for nic in assemble(snapshot_of("h100-sriov")).nics}
    )
    texts = texts_of("h100-sriov")
    first = texts[TOPO].replace(": mlx5_0\n", f": {name}\n")
    row = next(row for row in rows_of("h100-sriov", texts | {TOPO: first}) if row.fact == "NIC")
    assert (row.verdict, row.reason) == ("explained", "a virtual function counts as its parent")


def test_nothing_known_is_a_difference_if_the_tool_knows_it() -> None:
    assert Of("t", "s").row("fact", None, "value").verdict == "differ"
    assert Of("t", "s").row("fact", "value", None).verdict == "not-compared"
    assert Of("t", "s").row("fact", False, False).verdict == "same"  # noqa: FBT003
    assert Of("t", "s").row("fact", 1, 0).verdict == "differ"


def test_a_mistake_in_one_comparison_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Iterator[Row]:
        raise KeyError("x")

    monkeypatch.setattr(topo, "rows", broken)
    rows = rows_of(H100, texts_of(H100))
    assert [row.reason for row in rows if row.tool == topo.TOOL] == ["a mistake of this test: KeyError: 'x'"]
    assert any(row.tool == query.TOOL and row.verdict == "same" for row in rows)


def test_without_a_capture_the_commands_differ_and_the_tools_are_not_compared() -> None:
    rows = judge(gathered({name: text.encode() for name, text in texts_of(H100).items()}), None)
    assert {row.verdict for row in rows if row.tool in SMI.values()} == {"not-compared"}
    assert (CAPTURE, "differ", "left out here") in {(row.subject, row.verdict, row.reason) for row in rows}


def kernel_probe(host: str, **others: Any) -> kernel.Probe:
    """What ``/sys`` says of its GPUs and RDMA devices, as captured."""
    snapshot = snapshot_of(host)
    node = assemble(snapshot)
    gpus = {
        str(gpu.pci_address): kernel.Function(numa_node=gpu.numa_node, path=gpu.path, max_width=16) for gpu in node.gpus
    }
    return kernel.Probe(gpus=gpus | others.get("gpus", {}), rdma=others.get("rdma", {}), nvme=others.get("nvme", {}))


@pytest.mark.parametrize(
    ("others", "fact"),
    [
        ({"gpus": {"0000:53:00.0": kernel.Function(numa_node=1)}}, "NUMA node"),
        ({"gpus": {"0000:53:00.0": kernel.Function(path="pci0000:99")}}, "path"),
        ({"gpus": {"0000:fe:00.0": kernel.Function()}}, "on the bus"),
        ({"rdma": {"mlx5_99": kernel.Rdma(address="0000:ff:00.0")}}, "NIC"),
        ({"rdma": {"mlx5_0": kernel.Rdma(address="0000:ff:00.0")}}, "PCI address"),
        ({"rdma": {"mlx5_0": kernel.Rdma(netdevs=("eth9",))}}, "netdevs"),
        ({"rdma": {"mlx5_0": kernel.Rdma(ports={"1": kernel.Port(state="DOWN")})}}, "port 1 state"),
        ({"rdma": {"mlx5_0": kernel.Rdma(ports={"1": kernel.Port(state="ACTIVE", gigabits="200")})}}, "port 1 rate"),
        ({"nvme": {"nvme99": "0000:ff:00.0"}}, "PCI address"),
    ],
)
def test_a_disagreement_with_sys_is_found(others: dict[str, Any], fact: str) -> None:
    snapshot = snapshot_of(H100)
    rows = list(kernel.rows(snapshot, assemble(snapshot), kernel_probe(H100, **others)))
    assert [row.fact for row in rows if row.verdict == "differ"] == [fact]


def test_a_gpu_that_sys_does_not_have_and_a_sys_without_any() -> None:
    snapshot = snapshot_of(H100)
    node = assemble(snapshot)
    probe = kernel_probe(H100)
    fewer = kernel.Probe(gpus={address: gpu for address, gpu in probe.gpus.items() if address != "0000:53:00.0"})
    assert [row[1:3] for row in differing(list(kernel.rows(snapshot, node, fewer)))] == [("GPU0", "on the bus")]
    assert differing(list(kernel.rows(snapshot, node, kernel.Probe()))) == []


@pytest.mark.parametrize("lanes", [0, 255, None])
def test_a_width_that_no_link_has_is_not_compared(lanes: int | None) -> None:
    snapshot = snapshot_of(H100)
    probe = kernel_probe(H100, gpus={"0000:53:00.0": kernel.Function(max_width=lanes)})
    rows = list(kernel.rows(snapshot, assemble(snapshot), probe))
    assert [row.subject for row in rows if row.fact == "PCIe width, most" and row.verdict != "same"] == ["GPU0"]
    assert [row.fact for row in rows if row.verdict == "differ"] == []


@pytest.mark.parametrize(
    ("fact", "probe"),
    [
        ("name", driver.Gpu(index=0, name="NVIDIA H200")),
        ("vbios", driver.Gpu(index=0, vbios="1.2.3")),
        ("compute capability", driver.Gpu(index=0, compute_capability="7.0")),
        ("PCI address", driver.Gpu(index=0, pci_address="00000000:FE:00.0")),
        ("CPU affinity", driver.Gpu(index=0, cpus=(0, 1, 2))),
        ("link 0 state", driver.Gpu(index=0, links=(driver.Link(link=0, active=False),))),
        ("link 0 remote", driver.Gpu(index=0, links=(driver.Link(link=0, active=True, type=0),))),
        ("link 0 end", driver.Gpu(index=0, links=(driver.Link(link=0, active=True, remote="00000000:FE:00.0"),))),
        ("link 18 state", driver.Gpu(index=0, links=(driver.Link(link=18, active=True),))),
    ],
)
def test_a_disagreement_with_pynvml_is_found(fact: str, probe: driver.Gpu) -> None:
    facts = snapshot_of(H100).nvml
    assert facts is not None
    rows = list(driver.rows(facts, assemble(snapshot_of(H100)), driver.Probe(count=8, gpus=(probe,))))
    assert [row.fact for row in rows if row.verdict == "differ"] == [fact]


def test_a_count_and_a_level_that_pynvml_states_otherwise() -> None:
    facts = snapshot_of(H100).nvml
    assert facts is not None
    pairs = (driver.Pair(a=0, b=1, level=10, p2p=5),)
    rows = list(driver.rows(facts, assemble(snapshot_of(H100)), driver.Probe(count=7, pairs=pairs)))
    assert [(row.fact, row.nvtopo, row.other) for row in rows if row.verdict == "differ"] == [
        ("GPUs", 8, 7),
        ("common ancestor", "NODE", "PIX"),
        ("NVLink peer access", "OK", "NS"),
    ]


@pytest.mark.parametrize("form", outputs.FORMATS)
def test_a_format_that_is_garbage_is_a_difference(form: str) -> None:
    node = assemble(snapshot_of(H100))
    rows = list(outputs.dump_rows(form, node, b'{"spec": \x00\xff <gpu'))
    assert any(row.verdict == "differ" for row in rows) or {row.verdict for row in rows} == {"not-compared"}


EXPECTED = {
    "matrix": "matrix.txt", "tree": "tree.txt", "json": "topology.json", "yaml": "topology.yaml",
    "labels": "features.d", "dot": "topology.dot", "svg": "topology.svg", "nccl": "nccl.xml", "metrics": "metrics.prom",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("host", [host.name for host in HOSTS])
def test_no_false_alarm_about_what_nvtopo_prints_of_any_recorded_machine(host: str) -> None:
    node = assemble(snapshot_of(host))
    expected = HOSTS[0].parent / host / "expected"
    printed = {form: expected / name for form, name in EXPECTED.items() if (expected / name).exists()}
    found = [row for form, path in printed.items() for row in outputs.dump_rows(form, node, path.read_bytes())]
    found += outputs.page_rows(node, (expected / "metrics.prom").read_bytes())
    assert differing(found) == []
    assert {row.subject for row in found if row.verdict == "same"} >= {"json", "labels"}


def test_documents_of_another_machine_name_what_differs() -> None:
    node = assemble(snapshot_of(H100))
    other = (HOSTS[0].parent / H100 / "expected" / "topology.json").read_bytes()
    assert {row.verdict for row in outputs.dump_rows("json", node, other)} <= {"same", "differ"}
    fewer = replace(node, gpus=node.gpus[:7])
    facts = [row.fact for row in outputs.dump_rows("json", fewer, other) if row.verdict == "differ"]
    assert "GPU7 gpus" in facts


def test_a_label_that_differs_between_capture_and_feature_file() -> None:
    node = assemble(snapshot_of(H100))
    content = (HOSTS[0].parent / H100 / "expected" / "features.d").read_bytes()
    assert [row for row in outputs.feature_rows(node, content) if row.verdict != "same"] == []
    wrong = content.replace(b"nvtopo.io/gpu.count=8", b"nvtopo.io/gpu.count=7")
    assert [row.fact for row in outputs.feature_rows(node, wrong) if row.verdict == "differ"] == ["nvtopo.io/gpu.count"]
