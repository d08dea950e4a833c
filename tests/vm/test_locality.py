"""How near GPUs and NICs are, concluded from the kernel's own account of real buses, switches and nodes."""

from typing import Any, Final

import pytest

from tests.vm import driver, layout
from tests.vm.fixtures import Fresh

pytestmark = pytest.mark.vm

#: GPU → the NIC of the layout that is nearest, and how near by nvidia-smi's rules.
NEAREST: Final = {
    "GPU0": ("PIX", "cx0"),
    "GPU1": ("PIX", "cx0"),
    "GPU2": ("PIX", "cx1"),
    "GPU3": ("PXB", "cx1"),
}
PAIRS: Final = {
    ("GPU0", "GPU1"): "PIX",
    ("GPU2", "GPU3"): "PXB",
    ("GPU0", "GPU2"): "SYS",
    ("GPU0", "GPU3"): "SYS",
    ("GPU1", "GPU2"): "SYS",
    ("GPU1", "GPU3"): "SYS",
}


@pytest.fixture(scope="module")
def derived(fresh: Fresh) -> Any:
    return fresh.driven["derived"]


def test_gpus_hang_where_they_were_plugged_in(fresh: Fresh) -> None:
    places = layout.places()
    gpus = [(gpu["pciBusID"], gpu["path"], gpu["numaNode"]) for gpu in fresh.driven["spec"]["gpus"]]
    assert gpus == [(places[name].address, places[name].path, places[name].node) for name in driver.GPUS]


def test_a_driver_that_answers_for_all_gpus_leaves_no_problem(fresh: Fresh) -> None:
    assert fresh.driven["spec"].get("problems", []) == []


def test_the_nearest_nic_is_on_the_gpu_s_own_switch(derived: Any, fresh: Fresh) -> None:
    functions = layout.functions()
    expected = {
        gpu: (level, [fresh.netdevs[str(functions[nic].properties["mac"])]]) for gpu, (level, nic) in NEAREST.items()
    }
    assert {gpu: (nearest["level"], nearest["nics"]) for gpu, nearest in derived["nearestNics"].items()} == expected


def test_a_switch_below_a_switch_is_further_and_another_host_bridge_furthest(derived: Any) -> None:
    assert {(pair["a"], pair["b"]): pair["link"] for pair in derived["gpuPairs"]} == PAIRS


def test_each_gpu_has_the_cpus_of_its_node(derived: Any) -> None:
    places = layout.places()
    nodes = {f"GPU{index}": layout.NODES[places[name].node] for index, name in enumerate(driver.GPUS)}
    assert derived["cpuAffinity"] == {gpu: ",".join(map(str, node.cpus)) for gpu, node in nodes.items()}
    assert derived["numa"] == {f"GPU{index}": places[name].node for index, name in enumerate(driver.GPUS)}
