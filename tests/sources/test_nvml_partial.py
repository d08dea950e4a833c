"""One odd value of the driver's: the rest of the machine stands."""

import json
from pathlib import Path

from nvtopo.sources.nvml import answer
from tests.hosts.recorded import FIXTURES, snapshot_of

H100 = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7"


def gpu(index: int, **said: object) -> dict[str, object]:
    return {"index": index, "uuid": f"GPU-{index}", "name": "NVIDIA H100"} | said


def parsed(*gpus: object, **more: object) -> tuple[dict[int, object], list[tuple[str, str]]]:
    line = json.dumps({"facts": {"driverVersion": "580.1", "gpus": gpus} | more, "problems": []}).encode()
    found = answer.parse(line)
    assert found.facts is not None
    assert found.facts.driver_version == "580.1"
    return {one.index: one for one in found.facts.gpus}, [(one.subject, one.reason) for one in found.problems]


def test_a_value_out_of_range_costs_that_field_of_that_gpu() -> None:
    odd = gpu(1, memoryBytes=1 << 63, fabric={"state": "completed", "cliqueID": -1, "status": 0})
    gpus, problems = parsed(gpu(0, memoryBytes=5), odd)
    assert [gpus[index].memory_bytes for index in (0, 1)] == [5, None]  # type: ignore[attr-defined]
    assert gpus[1].fabric.status == 0  # type: ignore[attr-defined]
    assert {subject for subject, _ in problems} == {"GPU1"}
    assert [reason.split(":")[0] for _, reason in problems] == [
        "value of memoryBytes that can't be",
        "value of cliqueID that can't be",
    ]


def test_a_gpu_without_a_usable_index_or_uuid_is_left_out() -> None:
    gpus, problems = parsed(gpu(0), gpu(1, uuid=7), "nonsense")
    assert list(gpus) == [0]
    assert ("GPU1", "answer without a usable uuid") in problems


def test_an_odd_pair_costs_that_pair() -> None:
    pairs = [{"a": 0, "b": 1, "level": "PIX"}, {"a": 0, "b": 2, "level": "odd"}]
    _, problems = parsed(gpu(0), pairs=pairs)
    assert [subject for subject, _ in problems] == ["GPU0-GPU2"]


def test_the_whole_range_of_the_c_types(tmp_path: Path) -> None:
    """And a name that is not UTF-8, as the driver gave it."""
    model = json.loads((H100 / "nvml.json").read_text(encoding="utf-8"))
    model["gpus"][0]["fabric"] |= {"state": 3, "cliqueId": 0xFFFF_FFFF, "healthMask": 0xFFFF_FFFE}
    changed = tmp_path / "nvml.json"
    text = json.dumps(model, ensure_ascii=False).replace(model["gpus"][0]["name"], "NVIDIA \udcff H100", 1)
    changed.write_text(text, encoding="utf-8", errors="surrogateescape")
    snapshot = snapshot_of((H100 / "sys.txt").read_text(encoding="utf-8"), changed)
    assert snapshot.nvml is not None
    assert len(snapshot.nvml.gpus) == 8
    first = snapshot.nvml.gpus[0]
    assert first.fabric is not None
    assert (first.fabric.clique_id, first.fabric.health_mask) == (0xFFFF_FFFF, 0xFFFF_FFFE)
    assert first.name == "NVIDIA \\xff H100"
    assert snapshot.problems == ()
