"""The NodeFeature object: what NFD's CRD allows, small, written on change only."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given

import nvtopo
from nvtopo.errors import NotFound
from nvtopo.kube.client import Client
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.publish import node_feature
from nvtopo.sinks.publish.node_feature import NodeFeatureSink, document, spec
from tests import yaml_text
from tests.kube.machines import hgx, small
from tests.nfd.hostile import nodes
from tests.nfd.test_labels import paired
from tests.observations import observed

REPOSITORY = Path(nvtopo.__file__).resolve().parents[1]
CRDS = REPOSITORY.parent / "shared" / "consumers" / "nfd.k8s-sigs.io.yaml"
HOOKS = REPOSITORY / "nfd-hooks"
OBJECT = "/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/gpus/nodefeatures/nvtopo-node-a"


class FakeClient(Client):
    """Answers for one Node, and keeps what is applied."""

    def __init__(self) -> None:
        self.applied: list[tuple[str, dict[str, Any]]] = []
        self.refusing = False

    def get(self, path: str, *, seconds: float = 0) -> bytes:
        del seconds
        assert path == "/api/v1/nodes/node-a"
        return b'{"metadata": {"name": "node-a", "uid": "uid-a"}}'

    def apply(self, path: str, document: bytes, *, manager: str, seconds: float = 0) -> Any:
        del seconds
        assert manager == "nvtopo-agent"
        if self.refusing:
            raise NotFound("no NFD", status=404)
        self.applied.append((path, msgspec.json.decode(document)))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink(client: FakeClient, clock: Clock) -> NodeFeatureSink:
    return NodeFeatureSink(client, "node-a", "gpus", clock=clock, draw=lambda: 0.5)


def schema(kind: str) -> dict[str, Any]:
    """NFD's own schema of a kind."""
    if not CRDS.exists():
        pytest.skip("NFD's CRDs are not beside this checkout (../shared/consumers)")
    for crd in yaml_text.read_all(CRDS.read_text(encoding="utf-8")):
        if crd["spec"]["names"]["kind"] == kind:
            found: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            return found
    raise AssertionError(kind)


def faults(schema: dict[str, Any], value: Any, at: str = "$") -> list[str]:
    """Where a value is not what the schema says, unknown fields included; ``metadata`` is the API server's."""
    if at == "$.metadata":
        return []
    kinds: dict[str, type] = {"object": dict, "array": list, "string": str}
    if schema["type"] in kinds and not isinstance(value, kinds[schema["type"]]):
        return [f"{at}: not {schema['type']}: {value!r}"]
    if value not in schema.get("enum", [value]):
        return [f"{at}: {value!r}"]
    found = [f"{at}: no {name}" for name in schema.get("required", ()) if name not in value]
    if schema["type"] == "array":
        found += [
            fault for number, part in enumerate(value) for fault in faults(schema["items"], part, f"{at}[{number}]")
        ]
    if schema["type"] == "object":
        for name, part in value.items():
            below = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            found += [f"{at}: unknown {name}"] if below is None else faults(below, part, f"{at}.{name}")
    return found


def object_of(node: NodeTopology) -> dict[str, Any]:
    content = document("gpus", "node-a", "uid", spec(node, derive(node)))
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(content))
    return decoded


def instances(node: NodeTopology, name: str) -> list[dict[str, str]]:
    found = object_of(node)["spec"]["features"]["instances"]
    return [one["attributes"] for one in found.get(name, {"elements": []})["elements"]]


@given(nodes())
@pytest.mark.slow
def test_any_node_fits_the_schema_of_nfd(node: NodeTopology) -> None:
    assert faults(schema("NodeFeature"), object_of(node)) == []


@pytest.mark.parametrize("file", sorted(HOOKS.glob("*.yaml")), ids=lambda file: file.name)
def test_the_rules_fit_the_schema_of_nfd(file: Path) -> None:
    rule = yaml_text.read(file.read_text(encoding="utf-8"))
    assert faults(schema("NodeFeatureRule"), rule) == []


@pytest.mark.parametrize("file", sorted(HOOKS.glob("*.yaml")), ids=lambda file: file.name)
def test_the_rules_ask_for_labels_that_there_are(file: Path) -> None:
    documented = (REPOSITORY / "docs" / "labels.md").read_text(encoding="utf-8")
    asked = re.findall(r"^ +(nvtopo\.io/[a-z.-]+): \{", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert asked
    assert [name for name in asked if f"| `{name}` |" not in documented] == []


def test_the_checker_of_these_tests_finds_faults() -> None:
    wrong = object_of(small())
    wrong["spec"]["features"]["attributes"]["nvtopo.node"]["elements"]["gpus"] = 1
    wrong["spec"]["surprise"] = {}
    assert len(faults(schema("NodeFeature"), wrong)) == 2


def test_it_names_its_node_and_goes_with_it() -> None:
    metadata = object_of(small())["metadata"]
    assert metadata["name"] == "nvtopo-node-a"
    assert metadata["labels"] == {"nfd.node.kubernetes.io/node-name": "node-a"}
    assert metadata["ownerReferences"] == [{"apiVersion": "v1", "kind": "Node", "name": "node-a", "uid": "uid"}]


def test_an_eight_gpu_node_is_small() -> None:
    assert len(msgspec.json.encode(object_of(hgx()))) < 7 << 10


def test_gpus_nics_and_groups_are_instances() -> None:
    gpu = instances(hgx(), "nvtopo.gpu")[3]
    assert (gpu["index"], gpu["numaNode"], gpu["nvlinks"], gpu["nvlinkGroup"]) == ("3", "0", "18", "G0")
    nic = instances(hgx(), "nvtopo.nic")[0]
    assert nic["linkLayer"] in {"InfiniBand", "Ethernet"}
    assert [group["members"] for group in instances(paired((0, 2), (1, 3)), "nvtopo.nvlink")] == [
        "GPU0_GPU2",
        "GPU1_GPU3",
    ]


def test_it_is_sent_on_change_and_looked_after_every_ten_minutes(
    client: FakeClient, sink: NodeFeatureSink, clock: Clock
) -> None:
    sink.write(observed(small()))
    sink.write(observed(small()))
    assert [path for path, _ in client.applied] == [OBJECT]
    sink.write(observed(hgx()))
    assert len(client.applied) == 2
    clock.now += 601
    sink.write(observed(hgx()))
    assert len(client.applied) == 3


def test_what_was_refused_is_sent_again(client: FakeClient, sink: NodeFeatureSink) -> None:
    client.refusing = True
    with pytest.raises(NotFound):
        sink.write(observed(small()))
    client.refusing = False
    sink.write(observed(small()))
    assert client.applied[0][1] == document("gpus", "node-a", "uid-a", spec(small(), derive(small())))


def test_a_problem_that_changes_no_feature_sends_nothing(client: FakeClient, sink: NodeFeatureSink) -> None:
    sink.write(observed(hgx()))
    sink.write(observed(msgspec.structs.replace(hgx(), attributes={"vendor": {"slot": "U8"}})))
    assert len(client.applied) == 1
    assert node_feature.name_of("node-a") == "nvtopo-node-a"
