"""The shipped pair of Jobs: their script with a stand-in for the GPUs, and what doctor makes of what both print."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from nvtopo.checks import measured
from nvtopo.sources.foreign.measurements import joined, read
from tests.checks.recorded import machine_of, snapshot_of
from tests.checks.test_measured import H100, TRAY, machines

PAIR: Final = Path(__file__).resolve().parents[2] / "docs" / "recipes" / "pair"
NAMES: Final = ("near", "crossed")


class StandIn(NamedTuple):
    """Ranks whose ring moves data at this rate, by a clock of its own."""

    nodes: tuple[str, ...]
    bytes_per_second: float

    def ranks(self) -> list[tuple[str, int]]:
        return [(node, gpu) for node in self.nodes for gpu in range(4)]

    def seconds(self, size: int, runs: int) -> float:
        ranks = len(self.ranks())
        return runs * 2 * (ranks - 1) / ranks * size / self.bytes_per_second


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("allreduce", PAIR / "allreduce.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(script: Any, group: StandIn) -> bytes:
    return "".join(f"{line}\n" for line in script.lines(group)).encode()


def test_what_it_prints_is_read_as_its_bus_bandwidth_and_its_ranks(script: Any) -> None:
    (run,) = read(printed(script, StandIn(("tray-a", "tray-b"), 700e9)), "x").collectives
    assert run.ranks == {"tray-a": (0, 1, 2, 3), "tray-b": (0, 1, 2, 3)}
    assert run.bytes_per_second == pytest.approx(700e9, rel=1e-3)
    assert run.largest_bytes == 1 << 30


@pytest.mark.parametrize(("crossed", "severity"), [(40e9, "info"), (5e9, "warning")])
def test_both_have_their_ratio_beside_the_predicted_one(script: Any, crossed: float, severity: str) -> None:
    nodes = {name: machine_of(snapshot_of(TRAY)) for name in ("tray-a", "tray-b")} | machines(H100)
    groups = (StandIn(("tray-a", "tray-b"), 700e9), StandIn(("tray-a", H100), crossed))
    runs = joined(read(printed(script, group), "x") for group in groups)
    (ratio,) = (one for one in measured.judged(runs, nodes).findings if one.id == "measured-ratio")
    assert ratio.severity == severity
    assert f"measured {700e9 / crossed:.1f} times" in ratio.evidence


def jobs() -> Iterator[tuple[str, Any, Any]]:
    for name in NAMES:
        service, job = yaml.safe_load_all((PAIR / f"{name}.yaml").read_text(encoding="utf-8"))
        yield name, service, job


def test_the_two_differ_in_their_place_and_in_nothing_else() -> None:
    made = []
    for name, _, job in jobs():
        affinity = job["spec"]["template"]["spec"].pop("affinity")
        together = affinity.get("podAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", ())
        apart = affinity["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        keys = [one["topologyKey"] for one in together], [one["topologyKey"] for one in apart]
        domain, host = "nvtopo.io/nvlink.domain", "kubernetes.io/hostname"
        assert keys == (([domain], [host]) if name == "near" else ([], [domain]))
        labels = job["spec"]["template"]["metadata"]["labels"]
        assert all(one["labelSelector"]["matchLabels"] == labels for one in (*together, *apart))
        made.append(yaml.safe_dump(job).replace(f"nvtopo-pair-{name}", "nvtopo-pair"))
    assert made[0] == made[1]


def test_the_pods_find_each_other_and_the_script() -> None:
    kustomization = yaml.safe_load((PAIR / "kustomization.yaml").read_text(encoding="utf-8"))
    (generated,) = kustomization["configMapGenerator"]
    assert generated["files"] == ["allreduce.py"]
    for name, service, job in jobs():
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        where = f"nvtopo-pair-{name}"
        assert pod["subdomain"] == service["metadata"]["name"] == job["metadata"]["name"] == where
        assert service["spec"]["selector"] == job["spec"]["template"]["metadata"]["labels"]
        assert f"--master-addr={where}-0.{where}" in container["command"]
        assert container["command"][-1] == "/pair/allreduce.py"
        assert pod["volumes"][0]["configMap"]["name"] == generated["name"]
        assert f"--nproc-per-node={container['resources']['limits']['nvidia.com/gpu']}" in container["command"]
