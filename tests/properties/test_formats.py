"""Whatever machine is drawn: its pages can be read back to the same conclusions, and are what they claim to be."""

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml as pyyaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtopo.errors import UsageError
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.features import features
from nvtopo.model.conclusions.hierarchy import functions_of
from nvtopo.model.formats import yaml
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.document import nccl
from nvtopo.sinks.document.node import node_json, node_yaml
from nvtopo.sinks.picture import dot, svg
from nvtopo.sinks.text import matrix, tree
from nvtopo.sources.foreign import nccl_xml, smi_topo
from nvtopo.sources.foreign.given import Given
from tests.properties.machines import WILD, snapshots

_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 63) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=16,
)


def _pages(snapshot: Snapshot) -> dict[str, str]:
    node = assemble(snapshot)
    derived, functions = derive(node), functions_of(snapshot)
    return {
        "matrix": matrix.render(node, derived),
        "narrow": matrix.render(node, derived, columns=80),
        "tree": tree.render(node, derived, functions, tree.BOX),
        "json": node_json(node, derived).decode(),
        "yaml": node_yaml(node, derived),
        "dot": dot.render(node, derived, functions),
        "svg": svg.render(node, derived, functions),
        "nccl": nccl.render(node, functions) if all(gpu.pci_address for gpu in node.gpus) else "",
    }


@given(snapshots(hidden=False))
def test_the_matrix_reads_back_to_the_same_conclusions(snapshot: Snapshot) -> None:
    node = assemble(snapshot)
    if not node.gpus:
        return
    derived = derive(node)
    given_ = Given(matrix.render(node, derived).encode(), "matrix")
    assert smi_topo.looks_like(given_)
    again = smi_topo.read(given_)
    found = derive(again)
    if derived.nvlink_groups is not None:  # a cell can't say that some of a pair's links are not known
        assert found.nvlink_groups == derived.nvlink_groups
        assert found.nvlink_full_mesh == derived.nvlink_full_mesh
    assert [pair[:4] for pair in found.gpu_pairs] == [pair[:4] for pair in derived.gpu_pairs]
    assert found.numa == derived.numa
    assert found.cpu_affinity == derived.cpu_affinity
    assert [gpu.memory_numa_node for gpu in again.gpus] == [gpu.memory_numa_node for gpu in node.gpus]
    for key, nearest in derived.nearest_nics.items():
        assert found.nearest_nics[key].level == nearest.level
        assert set(found.nearest_nics[key].nics) == set(nearest.nics)


@given(snapshots(hidden=False))
def test_the_nccl_file_reads_back_to_the_same_locality_and_links(snapshot: Snapshot) -> None:
    node = assemble(snapshot)
    text = nccl.render(node, functions_of(snapshot))
    root = ET.fromstring(text)  # noqa: S314 - our own
    elements = list(root.iter())
    assert len(elements) <= nccl.MOST_ELEMENTS
    assert all(len(element.attrib) <= 16 for element in elements)
    assert all(len(value.encode()) <= 255 for element in elements for value in element.attrib.values())
    exported = [nic for nic in node.nics if any(port.state == "ACTIVE" for port in nic.ports)]
    if not node.gpus or not root.findall("cpu"):
        return
    again = nccl_xml.read(Given(text.encode(), "nccl"))
    assert [gpu.pci_address for gpu in again.gpus] == [gpu.pci_address for gpu in node.gpus]
    assert sorted(nic.name for nic in again.nics) == sorted(nic.name for nic in exported)
    levels = _nccl_levels(again, exported)
    assert {pair: levels[pair] for pair in _nccl_levels(node, exported)} == _nccl_levels(node, exported)
    groups = derive(node).nvlink_groups  # the file has no word for a link whose state is not known
    assert groups is None or derive(again).nvlink_groups == groups
    links = {(pair.a, pair.b): pair.nvlinks for pair in derive(node).gpu_pairs if pair.nvlinks}
    assert links == {(pair.a, pair.b): pair.nvlinks for pair in derive(again).gpu_pairs if pair.nvlinks}


def _nccl_levels(node: NodeTopology, exported: list[Nic]) -> dict[tuple[str, str], str]:
    """By addresses; where the machine does not say, NCCL says something all the same."""
    distances = Distances(node)
    names = {nic.name for nic in exported}
    others: list[Gpu | Nic] = [*node.gpus, *(nic for nic in node.nics if nic.name in names)]
    found = {}
    for position, gpu in enumerate(node.gpus):
        for other in others[position + 1 :]:
            level = distances.nccl_level(gpu, other)
            if level is not None:
                found[str(gpu.pci_address), str(other.pci_address)] = level.name
    return found


@pytest.mark.slow
@given(snapshots(WILD))
def test_rendering_twice_is_byte_equal_and_always_possible(snapshot: Snapshot) -> None:
    pages = _pages(snapshot)
    assert pages == _pages(snapshot)
    assert all(page.endswith("\n") for page in pages.values() if page)


@pytest.mark.slow
@given(snapshots(WILD))
def test_no_page_for_people_moves_a_cursor(snapshot: Snapshot) -> None:
    pages = _pages(snapshot)
    for name in ("matrix", "narrow", "tree"):
        assert pages[name].replace("\n", "").isprintable()


@given(snapshots(WILD))
@pytest.mark.slow
def test_yaml_says_what_json_says(snapshot: Snapshot) -> None:
    pages = _pages(snapshot)
    assert pyyaml.safe_load(pages["yaml"]) == json.loads(pages["json"])


@pytest.mark.slow
@given(_JSON)
@settings(max_examples=300)
def test_yaml_of_any_json_is_read_as_it_was(value: Any) -> None:
    assert pyyaml.safe_load(yaml.text_of(value)) == value


@pytest.mark.parametrize(
    "text", ["1e5", "no", "Off", "y", "0x10", "012", "1:30", "~", "null", ".inf", "a: b", "a #b", "- a", "", " a", "a "]
)
def test_a_text_that_could_be_something_else_is_quoted(text: str) -> None:
    assert yaml.text_of({"key": text}) == f"key: {json.dumps(text)}\n"


@pytest.mark.slow
@given(snapshots(WILD))
def test_svg_and_nccl_are_xml_and_dot_is_dot(snapshot: Snapshot) -> None:
    pages = _pages(snapshot)
    svg_root = ET.fromstring(pages["svg"])  # noqa: S314 - our own
    assert svg_root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not any(element.tag.endswith(("script", "foreignObject", "image")) for element in svg_root.iter())
    assert not any(name.startswith("on") or "href" in name for element in svg_root.iter() for name in element.attrib)
    ET.fromstring(pages["nccl"])  # noqa: S314 - our own
    _assert_dot(pages["dot"])


@pytest.mark.slow
@given(snapshots(WILD))
def test_every_gpu_and_nic_is_in_every_picture_once(snapshot: Snapshot) -> None:
    node, pages = assemble(snapshot), _pages(snapshot)
    tiles = pages["svg"].count('class="tile gpu ')
    assert tiles == len(node.gpus)
    assert pages["svg"].count('class="tile nic ') == len(node.nics)
    lines = [line.lstrip("│├└─ ").split(" ")[0] for line in pages["tree"].splitlines()]
    assert [line for line in lines if re.fullmatch("GPU[0-9]+", line)].count("GPU0") == bool(node.gpus)


@given(snapshots(WILD))
def test_label_values_are_legal(snapshot: Snapshot) -> None:
    node = assemble(snapshot)
    for value in features(node, derive(node)).values():
        assert _LABEL_VALUE.fullmatch(value)


def test_nccl_has_no_use_for_gpus_without_addresses() -> None:
    node = smi_topo.read(Given(b"\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n", "topo"))
    with pytest.raises(UsageError, match="GPU0: NCCL finds a GPU by its PCI address"):
        nccl.render(node, {})


_TOKEN = re.compile(r'\s*(?:"(?:[^"\\\n]|\\.)*"|[A-Za-z][A-Za-z0-9_]*|--|[{}\[\];=,])')


def _assert_dot(text: str) -> None:
    """Quotes close, braces and brackets balance, and nothing stands outside of the language's tokens."""
    position, opened = 0, []
    body = text.rstrip()
    while position < len(body):
        token = _TOKEN.match(body, position)
        assert token, body[position : position + 40]
        word = token[0].strip()
        if word in ("{", "["):
            opened.append(word)
        elif word in ("}", "]"):
            assert opened.pop() == {"}": "{", "]": "["}[word]
        position = token.end()
    assert not opened
