"""Labels of driver, CUDA and product, of every recorded machine and of mixtures."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.product_labels import product_features
from nvtopo.model.records.node import Gpu, Host, NodeTopology
from tests import golden
from tests.hosts.recorded import HOSTS, host_snapshot

GOLDEN = Path(__file__).parent / "golden" / "product_labels.txt"


@pytest.mark.slow
def test_the_labels_of_every_machine() -> None:
    lines = [
        f"{host.name} {name}={value}\n"
        for host in HOSTS
        for name, value in product_features(assemble(host_snapshot(host))).items()
    ]
    golden.check("".join(lines), GOLDEN)


def _gpu(index: int) -> Gpu:
    return Gpu(index=index, uuid=f"GPU-{index}", name="NVIDIA H100", compute_capability="9.0", memory_bytes=80 << 30)


@pytest.mark.parametrize(
    ("other", "gone"),
    [
        ({"name": "NVIDIA A100"}, {"gpu.product"}),
        ({"name": ""}, {"gpu.product"}),
        ({"compute_capability": "8.0"}, {"gpu.compute.major", "gpu.compute.minor"}),
        ({"compute_capability": None}, {"gpu.compute.major", "gpu.compute.minor"}),
        ({"compute_capability": "nine"}, {"gpu.compute.major", "gpu.compute.minor"}),
        ({"memory_bytes": 40 << 30}, {"gpu.memory-mib"}),
        ({"memory_bytes": None}, {"gpu.memory-mib"}),
    ],
)
def test_where_gpus_differ_or_one_does_not_say_there_is_no_label(other: dict[str, Any], gone: set[str]) -> None:
    node = NodeTopology(gpus=(_gpu(0), replace(_gpu(1), **other)))
    alike = product_features(NodeTopology(gpus=(_gpu(0), _gpu(1))))
    left = product_features(node)
    assert {name.removeprefix("nvtopo.io/") for name in alike.keys() - left.keys()} >= gone
    assert all(alike[name] == value for name, value in left.items())


def test_what_the_input_does_not_show_of_gpus_has_no_label() -> None:
    host = Host(driver_version="570.86.15", cuda_version="12.8")
    found = product_features(NodeTopology(host=host, gpus=(_gpu(0),), unseen=("gpus",)))
    assert found == {
        "nvtopo.io/cuda.major": "12",
        "nvtopo.io/cuda.minor": "8",
        "nvtopo.io/driver.major": "570",
        "nvtopo.io/driver.version": "570.86.15",
    }


def test_a_version_that_is_none_has_no_label() -> None:
    assert product_features(NodeTopology(host=Host(driver_version="none yet", cuda_version="?"))) == {}
