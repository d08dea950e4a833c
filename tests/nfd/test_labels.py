"""Labels are legal whatever the node says, comparable where they are numbers, and documented one by one."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
from hypothesis import given

import nvtopo
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.conclusions.product_labels import product_features
from nvtopo.model.records.facts import KubeletFacts
from nvtopo.model.records.node import Gpu, GpuPair, NodeTopology
from nvtopo.model.records.nvlinks import NvLinkBundle
from nvtopo.model.records.spec import Spec, expand
from nvtopo.sinks.publish import nfd
from tests.nfd.hostile import nodes

REPOSITORY = Path(nvtopo.__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs" / "labels.md"
HOSTS = REPOSITORY / "fixtures" / "hosts"
#: Kubernetes' own words for a label: an optional DNS prefix, a name, a value.
NAME = re.compile(r"(?:nvtopo\.io/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
#: How docs/labels.md says that a value is one for Gt and Lt.
INTEGER = "integer"


def labels_of(node: NodeTopology) -> dict[str, str]:
    return features(node, derive(node)) | product_features(node)


def paired(*groups: tuple[int, ...]) -> NodeTopology:
    """GPUs of which another tool says who is joined to whom."""
    indices = sorted(index for group in groups for index in group)
    return NodeTopology(
        gpus=tuple(Gpu(index=index, uuid=f"GPU-{index}") for index in indices),
        pairs=tuple(GpuPair(a=a, b=b, nvlinks=4) for group in groups for a in group for b in group if a < b),
    )


@cache
def documented() -> dict[str, str]:
    """Label name → what the table says of its value."""
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len({name for name, _ in rows}) == len(rows)
    return dict(rows)


def generic(name: str) -> str:
    return re.sub(r"\.G[0-9]+$", ".G<n>", name)


def recorded() -> Iterator[NodeTopology]:
    """The machines of ``fixtures/hosts``, from their reviewed documents."""
    for document in sorted(HOSTS.glob("*/expected/topology.json")):
        yield expand(msgspec.convert(msgspec.json.decode(document.read_bytes())["spec"], Spec))


def test_the_documentation_lists_exactly_the_labels_that_there_are() -> None:
    policies = KubeletFacts(cpu_manager_policy="static", topology_manager_policy="restricted")
    made = (paired((0, 2), (1, 3)), NodeTopology(kubelet=policies))
    found = {generic(name) for node in (*recorded(), *made) for name in labels_of(node)}
    assert set(documented()) == found


@given(nodes())
def test_labels_of_any_node_are_legal_documented_numbers_where_said_and_survive_the_file(node: NodeTopology) -> None:
    labels, kinds = labels_of(node), documented()
    for name, value in labels.items():
        assert NAME.fullmatch(name), name
        assert VALUE.fullmatch(value), value
        assert generic(name) in kinds, "docs/labels.md does not have it"
        if kinds[generic(name)].startswith(INTEGER):
            assert NUMBER.fullmatch(value), f"{name}={value}"
            assert int(value) < 1 << 63
    text = nfd.render(labels)
    assert len(labels) <= 64
    assert len(text.encode()) <= 8 << 10
    read = [line.partition("=") for line in text.splitlines() if not line.startswith("#")]
    assert {name: value for name, _, value in read} == labels


def test_one_group_is_g0() -> None:
    labels = labels_of(paired((0, 1, 2, 3)))
    assert labels["gpu.nvlink.group"] == "G0"
    assert not any(name.startswith("gpu.nvlink.group.") for name in labels)


def test_each_of_several_groups_has_a_label_of_its_own() -> None:
    labels = labels_of(paired((0, 2), (1, 3), (4, 5, 6, 9)))
    found = {name: value for name, value in labels.items() if name.startswith("gpu.nvlink.group")}
    assert found == {
        "gpu.nvlink.group.G0": "GPU0_GPU2",
        "gpu.nvlink.group.G1": "GPU1_GPU3",
        "gpu.nvlink.group.G2": "GPU4-GPU6_GPU9",
    }


def test_a_group_that_fits_in_no_value_is_not_named() -> None:
    odd = tuple(range(1, 40, 2))
    labels = labels_of(paired((0, 2), odd))
    assert [name for name in labels if name.startswith("gpu.nvlink.group")] == ["gpu.nvlink.group.G0"]
    assert labels["nvtopo.io/nvlink.groups"] == "2"


def test_more_groups_than_a_node_can_have_are_not_named() -> None:
    labels = labels_of(paired(*((index, index + 1) for index in range(0, 80, 2))))
    assert [name for name in labels if name.startswith("gpu.nvlink.group")] == []
    assert labels["nvtopo.io/nvlink.groups"] == "40"


def test_the_oldest_version_is_found_by_number() -> None:
    node = NodeTopology(
        gpus=(
            Gpu(index=0, uuid="a", nvlinks=(NvLinkBundle(links="0", version="10.0"),)),
            Gpu(index=1, uuid="b", nvlinks=(NvLinkBundle(links="0", version="4.0"),)),
        )
    )
    labels = labels_of(node)
    assert (labels["nvtopo.io/nvlink.version"], labels["nvtopo.io/nvlink.generation"]) == ("4.0", "4")


def test_a_file_beyond_the_limit_loses_its_last_labels_and_ends_whole() -> None:
    labels = {f"nvtopo.io/n{number:05}": "x" * 40 for number in range(2000)}
    text = nfd.render(labels)
    assert 65_000 < len(text) <= 65_536
    assert all(re.fullmatch(r"nvtopo\.io/n[0-9]{5}=x{40}", line) for line in text.splitlines()[1:])
