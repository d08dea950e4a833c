"""The stand-in NVML library as the real pynvml sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.synthesize import FIXTURES
from tests.nvml.child import Code, ask

pytestmark = pytest.mark.slow

H100 = FIXTURES / "hosts/h100-sxm-8gpu-8cx7/nvml.json"
GB200 = FIXTURES / "hosts/gb200-nvl72-tray/nvml.json"
ZEROS = "00" * 16
OK, PIX, NODE, SYS = 0, 10, 40, 50

Vary = Callable[..., Path]


@pytest.fixture
def vary(tmp_path: Path) -> Vary:
    """A copy of a fixture with other members: of the whole, and of single GPUs as gpu0=…, gpu1=…"""

    def write(base: Path, **members: Any) -> Path:
        fixture = json.loads(base.read_text())
        for name, value in members.items():
            if name.startswith("gpu") and name[3:].isdecimal():
                fixture["gpus"][int(name[3:])] |= value
            else:
                fixture[name] = value
        path = tmp_path / "nvml.json"
        path.write_text(json.dumps(fixture))
        return path

    return write


def test_an_h100_machine_says_what_it_is() -> None:
    answers = ask(
        H100,
        versions="[p.nvmlSystemGetDriverVersion(), p.nvmlSystemGetNVMLVersion(), p.nvmlSystemGetCudaDriverVersion()]",
        bdfs="[p.nvmlDeviceGetPciInfo(x).busId for x in h]",
        ids="[hex(p.nvmlDeviceGetPciInfo(h[0]).pciDeviceId), p.nvmlDeviceGetPciInfo(h[0]).busIdLegacy]",
        modules="[p.nvmlDeviceGetModuleId(x) for x in h]",
        name="p.nvmlDeviceGetName(h[0])",
        architecture="[p.nvmlDeviceGetArchitecture(h[0]), *p.nvmlDeviceGetCudaComputeCapability(h[0])]",
        memory="[p.nvmlDeviceGetMemoryInfo(h[0], version=v).total >> 20 for v in (None, p.nvmlMemory_v2)]",
        pcie="[p.nvmlDeviceGetMaxPcieLinkGeneration(h[0]), p.nvmlDeviceGetCurrPcieLinkWidth(h[0])]",
        mig="p.nvmlDeviceGetMigMode(h[0])",
        by_uuid="p.nvmlDeviceGetIndex(p.nvmlDeviceGetHandleByUUID(p.nvmlDeviceGetUUID(h[3])))",
        by_bdf="p.nvmlDeviceGetIndex(p.nvmlDeviceGetHandleByPciBusId('0000:97:00.0'))",
    )
    assert answers["versions"] == ["580.105.08", "13.580.105.08", 13000]
    assert answers["bdfs"] == [f"00000000:{bus}:00.0" for bus in ("53", "64", "75", "86", "97", "A8", "B9", "CA")]
    assert answers["ids"] == ["0x233010de", "0000:53:00.0"]
    assert answers["modules"] == [7, 5, 6, 8, 1, 3, 4, 2]
    assert answers["name"] == "NVIDIA H100 80GB HBM3"
    assert answers["architecture"] == [9, 9, 0]
    assert answers["memory"] == [81559, 81559]
    assert answers["pcie"] == [5, 16]
    assert answers["mig"] == [0, 0]
    assert (answers["by_uuid"], answers["by_bdf"]) == (3, 4)


def test_levels_peers_and_affinity_follow_from_the_tree() -> None:
    answers = ask(
        H100,
        levels="[p.nvmlDeviceGetTopologyCommonAncestor(h[0], x) for x in h]",
        p2p="pairs(lambda a, b: [p.nvmlDeviceGetP2PStatus(a, b, index) for index in (0, 1, 2)])",
        nearest="[p.nvmlDeviceGetIndex(x) for x in p.nvmlDeviceGetTopologyNearestGpus(h[5], 40)]",
        cpus="list(p.nvmlDeviceGetCpuAffinity(h[7], 4))",
        nodes="list(p.nvmlDeviceGetMemoryAffinity(h[7], 1, 0))",
        numa="p.nvmlDeviceGetNumaNodeId(h[0])",
        c2c="p.nvmlDeviceGetC2cModeInfoV(h[0])",
        addressing="p.nvmlDeviceGetAddressingMode(h[0])",
    )
    assert answers["levels"] == [0, NODE, NODE, NODE, SYS, SYS, SYS, SYS]
    assert answers["p2p"] == [[OK, OK, OK]] * 56
    assert answers["nearest"] == [4, 6, 7]
    expected = sum(1 << cpu for cpu in (*range(56, 112), *range(168, 224)))
    assert sum(word << 64 * place for place, word in enumerate(answers["cpus"])) == expected
    assert answers["nodes"] == [0b10]
    assert (answers["numa"], answers["c2c"], answers["addressing"]) == (Code(3), Code(3), 1)


def test_an_h100_link_answers_by_call_and_by_field() -> None:
    answers = ask(
        H100,
        fields="fields(h[1], 91, 147, *[(id, 5) for id in (165, 166, 164, 146, 161, 206)], 90, 170, 9999, (165, 18))",
        calls="[p.nvmlDeviceGetNvLinkState(h[1], 5), p.nvmlDeviceGetNvLinkVersion(h[1], 5)]",
        remote="[p.nvmlDeviceGetNvLinkRemotePciInfo(h[1], l).busId for l in (0, 5, 9, 17)]",
        kind="p.nvmlDeviceGetNvLinkRemoteDeviceType(h[1], 5)",
        beyond="p.nvmlDeviceGetNvLinkState(h[1], 18)",
        nothing="fields(h[1], 206, 9999)",
        counters="fields(h[1], (138, 0), (138, 0xFFFFFFFF), (202, 0))",
        stamps="[(v.timestamp > 0, v.latencyUsec > 0) for v in p.nvmlDeviceGetFieldValues(h[1], [91])]",
    )
    values = answers["fields"]
    assert values[:7] == [[0, 1, 18], [0, 1, 18], [0, 1, 1], [0, 1, 6], [0, 1, 26562], [0, 1, 4], [0, 3, 0]]
    assert [code for code, _, _ in values[7:]] == [3] * 5
    assert answers["calls"] == [1, 6]
    assert answers["remote"] == [f"00000000:{bus}:00.0" for bus in ("07", "08", "09", "0A")]
    assert answers["kind"] == 2
    assert (answers["beyond"], answers["nothing"]) == (Code(3), Code(3))
    (_, kind, one), (_, _, all_links), (unsupported, _, _) = answers["counters"]
    assert kind == 3
    assert all_links == pytest.approx(18 * one, rel=1e-3)
    assert unsupported == 3
    assert answers["stamps"] == [[True, True]]


def test_a_gb200_tray_is_part_of_a_rack() -> None:
    answers = ask(
        GB200,
        bdfs="[p.nvmlDeviceGetPciInfo(x).busId for x in h]",
        levels="[p.nvmlDeviceGetTopologyCommonAncestor(h[0], x) for x in h]",
        fabric="[fabric(h[0], revision) for revision in (1, 2, 3)]",
        platform="[platform(x, 2) for x in h]",
        platform_v1="platform(h[0], 1) == platform(h[0], 2)",
        numa="[p.nvmlDeviceGetNumaNodeId(x) for x in h]",
        affinity="list(p.nvmlDeviceGetMemoryAffinity(h[2], 1, 0))",
        c2c="[p.nvmlDeviceGetC2cModeInfoV(h[0]).isC2cEnabled, fields(h[0], 170, (171, 4), (172, 4), (172, 5))]",
        links="fields(h[0], 91, 147, (166, 17), (164, 17), (146, 17), *[(id, 0) for id in (202, 204, 215, 161, 138)])",
        remote="[p.nvmlDeviceGetNvLinkRemotePciInfo(h[0], 0).busId, p.nvmlDeviceGetNvLinkRemoteDeviceType(h[0], 0)]",
        p2p="pairs(lambda a, b: p.nvmlDeviceGetP2PStatus(a, b, 2))",
    )
    assert answers["bdfs"] == [f"{domain:08X}:01:00.0" for domain in (0x8, 0x9, 0x18, 0x19)]
    assert answers["levels"] == [0, NODE, SYS, SYS]
    v1, v2, v3 = answers["fabric"]
    assert v1[0] != ZEROS
    assert v1[1:] == [0, 2, 3]
    assert (v2, v3) == ([*v1, 0x1AA], [*v1, 0x1AA, 1])
    places = [bytes.fromhex(place) for place in answers["platform"]]
    assert [list(place[32:37]) for place in places] == [[14, 4, 1, 1, module] for module in (2, 1, 4, 3)]
    assert len({place[:8] for place in places}) == 4
    assert {place[8:16] for place in places} == {bytes(8)}
    assert len({place[16:29].decode() for place in places}) == 1
    assert answers["platform_v1"] is True
    assert answers["numa"] == [2, 10, 18, 26]
    assert answers["affinity"] == [sum(1 << node for node in (1, *range(19, 26), *range(27, 34)))]
    assert answers["c2c"] == [1, [[0, 1, 5], [0, 1, 1], [0, 1, 44712], [3, 1, 0]]]
    values = answers["links"]
    assert values[:5] == [[0, 1, 18], [0, 1, 18], [0, 1, 7], [0, 1, 53125], [0, 1, 16]]
    assert [value[:2] for value in values[5:8]] == [[0, 3]] * 3
    assert [value[0] for value in values[8:]] == [3, 3]
    assert answers["remote"] == ["FFFFFFFF:FF:FF.0", 2]
    assert answers["p2p"] == [OK] * 12


@pytest.mark.parametrize(
    ("known", "codes"), [([1, 2, 3], [0, 0, 0]), ([1, 2], [0, 0, 25]), ([1], [0, 13, 13]), ([2, 3], [13, 0, 0])]
)
def test_a_driver_knows_some_revisions_of_fabric_info(vary: Vary, known: list[int], codes: list[int]) -> None:
    answers = ask(vary(GB200, fabricVersions=known), v1="fabric(h[0], 1)", v2="fabric(h[0], 2)", v3="fabric(h[0], 3)")
    found = [answers[name] for name in ("v1", "v2", "v3")]
    assert [answer.value if isinstance(answer, Code) else 0 for answer in found] == codes


def test_fabric_and_platform_are_not_supported_before_their_generation(vary: Vary) -> None:
    fixture = vary(H100, gpu0={"architecture": 7}, platformVersions=[1])
    answers = ask(
        fixture, fabric="fabric(h[0], 3)", v1="fabric(h[0], 1)", place="platform(h[1], 1)", newer="platform(h[1], 2)"
    )
    assert [answers[name] for name in ("fabric", "v1", "place", "newer")] == [Code(3), Code(3), Code(3), Code(25)]


def test_links_that_are_up_prove_nothing_without_the_fabric(vary: Vary) -> None:
    answers = ask(
        vary(H100, gpu0={"fabric": {"state": 2}}),
        up="fields(h[0], (165, 0))",
        p2p="[p.nvmlDeviceGetP2PStatus(h[0], h[1], 2), p.nvmlDeviceGetP2PStatus(h[1], h[2], 2)]",
    )
    assert answers["up"] == [[0, 1, 1]]
    assert answers["p2p"] == [5, OK]


def test_a_bridge_joins_two_gpus_only(vary: Vary) -> None:
    def bridge(peer: str) -> dict[str, Any]:
        return {"links": [{"to": "gpu", "bdf": peer, "port": number} for number in range(12)]}

    fixture = vary(H100, gpu0=bridge("0000:64:00.0"), gpu1=bridge("0000:53:00.0"), gpu2={"links": []})
    answers = ask(
        fixture,
        p2p="[p.nvmlDeviceGetP2PStatus(h[0], x, 2) for x in h[1:4]]",
        remote="[p.nvmlDeviceGetNvLinkRemotePciInfo(h[0], 11).busId, p.nvmlDeviceGetNvLinkRemoteDeviceType(h[0], 11)]",
        none="p.nvmlDeviceGetNvLinkState(h[2], 0)",
        count="fields(h[2], 91, 94)",
    )
    assert answers["p2p"] == [OK, 5, 5]
    assert answers["remote"] == ["00000000:64:00.0", 0]
    assert answers["none"] == Code(3)
    assert [value[0] for value in answers["count"]] == [3, 0]


def test_an_inactive_link_has_no_other_end(vary: Vary) -> None:
    links = [{"bdf": "0000:07:00.0", "state": 0, "fields": {"163": {"base": 7}}}, {"bdf": "0000:07:00.0"}]
    answers = ask(
        vary(H100, gpu0={"links": links}),
        values="fields(h[0], (165, 0), (163, 0), (146, 0), 147)",
        remote="p.nvmlDeviceGetNvLinkRemotePciInfo(h[0], 0)",
    )
    assert [value[2] for value in answers["values"]] == [0, 7, 0, 1]
    assert answers["values"][2][0] == 3
    assert answers["remote"] == Code(3)


def test_a_lost_gpu_is_lost_for_every_call(vary: Vary) -> None:
    answers = ask(
        vary(H100, gpu2={"lost": True}),
        count="p.nvmlDeviceGetCount()",
        handles="len(h)",
        by_index="p.nvmlDeviceGetHandleByIndex(2)",
        by_bdf="p.nvmlDeviceGetHandleByPciBusId('0000:75:00.0')",
    )
    assert (answers["count"], answers["handles"]) == (8, 7)
    assert (answers["by_index"], answers["by_bdf"]) == (Code(15), Code(15))


def test_a_lost_gpu_may_leave_the_count(vary: Vary) -> None:
    fixture = vary(H100, gpu2={"lost": True, "enumerated": False})
    answers = ask(
        fixture,
        bdfs="[p.nvmlDeviceGetPciInfo(x).bus for x in h]",
        index="p.nvmlDeviceGetIndex(h[2])",
        gone="p.nvmlDeviceGetHandleByPciBusId('0000:75:00.0')",
    )
    assert answers["bdfs"] == [0x53, 0x64, 0x86, 0x97, 0xA8, 0xB9, 0xCA]
    assert (answers["index"], answers["gone"]) == (2, Code(6))


def test_codes_are_injected_for_all_for_a_gpu_and_for_a_link(vary: Vary) -> None:
    fixture = vary(
        H100,
        returns={"nvmlDeviceGetSerial": 4, "nvmlDeviceGetGpuFabricInfoV": 13},
        gpu1={"returns": {"nvmlDeviceGetSerial": 999, "field:164": 27}},
        gpu3={"links": [{"returns": {"nvmlDeviceGetNvLinkState": 16, "field:165": 13}}, {}]},
    )
    answers = ask(
        fixture,
        everybody="p.nvmlDeviceGetSerial(h[0])",
        one="p.nvmlDeviceGetSerial(h[1])",
        symbol="fabric(h[0], 3)",
        field="fields(h[1], 91, (164, 0))",
        link="p.nvmlDeviceGetNvLinkState(h[3], 0)",
        sibling="p.nvmlDeviceGetNvLinkState(h[3], 1)",
        link_field="fields(h[3], (165, 0), (165, 1))",
    )
    assert [answers[name] for name in ("everybody", "one", "symbol", "link")] == [
        Code(4),
        Code(999),
        Code(13),
        Code(16),
    ]
    assert [value[0] for value in answers["field"]] == [0, 27]
    assert answers["sibling"] == 1
    assert [value[0] for value in answers["link_field"]] == [3, 0]


def test_a_gpu_may_refuse_its_handle_or_every_call(vary: Vary) -> None:
    fixture = vary(
        H100,
        gpu1={"returns": {"nvmlDeviceGetHandleByIndex_v2": 4}},
        gpu6={"returns": {"*": 999, "nvmlDeviceGetUUID": 0}},
    )
    answers = ask(
        fixture,
        count="[p.nvmlDeviceGetCount(), len(h)]",
        refused="p.nvmlDeviceGetHandleByIndex(1)",
        by_uuid="p.nvmlDeviceGetHandleByIndex(6)",
        pair="p.nvmlDeviceGetTopologyCommonAncestor(h[0], h[1])",
    )
    assert answers["count"] == [8, 6]
    assert (answers["refused"], answers["by_uuid"], answers["pair"]) == (Code(4), Code(999), NODE)


def test_initialisation_may_fail(vary: Vary) -> None:
    answers = ask(vary(H100, returns={"nvmlInitWithFlags": 18}), after="p.nvmlDeviceGetCount()")
    assert (answers["init"], answers["after"]) == (Code(18), Code(1))


def test_a_hang_ends_and_the_call_succeeds(vary: Vary) -> None:
    fixture = vary(H100, gpu0={"delays": {"nvmlDeviceGetUUID": 300}})
    answers = ask(
        fixture, slow="timed(lambda: p.nvmlDeviceGetUUID(h[0]))", quick="timed(lambda: p.nvmlDeviceGetUUID(h[1]))"
    )
    assert answers["slow"][0].startswith("GPU-")
    assert 0.3 <= answers["slow"][1] < 5
    assert answers["quick"][1] < 0.3


def test_counters_never_fall_from_one_process_to_the_next(vary: Vary) -> None:
    fixture = vary(GB200, gpu0={"fields": {"197": {"base": 5, "rate": 1e6}}})
    question = "[value for _, _, value in fields(h[0], (202, 0), 197)]"
    first, second = (ask(fixture, now=question)["now"] for _ in range(2))
    assert all(later > earlier for earlier, later in zip(first, second, strict=True))


def test_a_fixed_uptime_fixes_the_counters(vary: Vary) -> None:
    fixture = vary(GB200, uptimeSeconds=1000)
    assert ask(fixture, now="fields(h[0], (202, 0))")["now"] == [[0, 3, (1 << 30) + 1000 * 1000]]


def test_mig_instances_have_places_some_of_them_empty(vary: Vary) -> None:
    instance = {"index": 2, "uuid": "MIG-1", "name": "NVIDIA H100 MIG 3g.40gb", "gpuInstance": 5, "memoryMib": 40448}
    fixture = vary(H100, gpu0={"mig": {"current": 1, "pending": 1, "max": 7, "instances": [instance]}})
    answers = ask(
        fixture,
        empty="p.nvmlDeviceGetMigDeviceHandleByIndex(h[0], 0)",
        setup="globals().__setitem__('m', p.nvmlDeviceGetMigDeviceHandleByIndex(h[0], 2))",
        ids="[p.nvmlDeviceGetUUID(m), p.nvmlDeviceGetGpuInstanceId(m), p.nvmlDeviceIsMigDeviceHandle(m).value]",
        memory="p.nvmlDeviceGetAttributes(p.nvmlDeviceGetHandleByUUID('MIG-1')).memorySizeMB",
        parent="p.nvmlDeviceGetIndex(p.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(m))",
        p2p="p.nvmlDeviceGetP2PStatus(h[0], h[1], 2)",
    )
    assert answers["empty"] == Code(6)
    assert answers["ids"] == ["MIG-1", 5, 1]
    assert (answers["memory"], answers["parent"], answers["p2p"]) == (40448, 0, 5)


def test_events_come_once_and_then_time_out(vary: Vary) -> None:
    fixture = vary(H100, events=[{"gpu": 3, "type": 8, "data": 79, "afterMs": 50}])
    wait = "(lambda e: [p.nvmlDeviceGetIndex(e.device), e.eventType, e.eventData])(p.nvmlEventSetWait_v2(s[0], 2000))"
    answers = ask(
        fixture,
        setup="globals().__setitem__('s', [p.nvmlEventSetCreate()])",
        register="[p.nvmlDeviceRegisterEvents(x, 0x8, s[0]) for x in h]",
        first=wait,
        second="p.nvmlEventSetWait_v2(s[0], 30)",
    )
    assert answers["first"] == [3, 8, 79]
    assert answers["second"] == Code(10)


@pytest.mark.parametrize("live", [True, False])
def test_an_open_session_follows_its_fixture_where_that_is_asked_for(vary: Vary, *, live: bool) -> None:
    fixture = vary(H100)
    sick = fixture.with_name("sick.json")
    sick.write_text(fixture.read_text().replace('"gpus": [', '"returns": {"nvmlDeviceGetUUID": 15}, "gpus": [', 1))
    answers = ask(
        fixture,
        {"NVTOPO_NVML_LIVE": "1"} if live else {},
        before="p.nvmlDeviceGetUUID(h[3])",
        change=f"__import__('os').replace('{sick}', '{fixture}')",
        after="p.nvmlDeviceGetUUID(h[3])",
    )
    assert answers["before"].startswith("GPU-")
    assert answers["after"] == (Code(15) if live else answers["before"])


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("{", "line 1: expected '\"', got the end of the file"),
        ('{"system": {},\n "gpus": [}', "line 2: expected a value, got '}'"),
        ('{"system": {},\n "gpus": {}}', "line 2: fixture.gpus: expected a list, got a map"),
        ('{"system": {}, "gpus": [{"uuid": 1}]}', "line 1: gpus[0].uuid: expected a text, got a number"),
        ('{"system": {}, "gpus": [{"uuids": 1}]}', "line 1: gpus[0]: expected a known key, got 'uuids'"),
        ('{"system": {}, "gpus": [{"uuid": "a"}]}', "line 1: gpus[0]: expected a member 'path', got none"),
        ('{"gpus": []}', "line 1: fixture: expected a member 'system', got none"),
    ],
)
def test_a_malformed_fixture_is_named_with_the_place(tmp_path: Path, text: str, mistake: str) -> None:
    fixture = tmp_path / "nvml.json"
    fixture.write_text(text)
    answers = ask(fixture)
    assert answers["init"] == Code(999)
    assert answers.stderr == f"libnvidia-ml (nvtopo): {fixture}: {mistake}\n"


def test_a_missing_fixture_is_named(tmp_path: Path) -> None:
    answers = ask(tmp_path / "none.json")
    assert answers["init"] == Code(999)
    assert "none.json: expected a readable file named by NVTOPO_NVML_FIXTURE" in answers.stderr


def test_calls_are_counted(tmp_path: Path) -> None:
    counts = tmp_path / "calls"
    ask(H100, {"NVTOPO_NVML_CALLS": str(counts)}, names="[p.nvmlDeviceGetName(x) for x in h]")
    ask(H100, {"NVTOPO_NVML_CALLS": str(counts)})
    first, second = map(json.loads, counts.read_text().splitlines())
    assert first["nvmlDeviceGetName"] == 8
    assert first["nvmlDeviceGetHandleByIndex_v2"] == second["nvmlDeviceGetHandleByIndex_v2"] == 8
    assert "nvmlDeviceGetName" not in second
