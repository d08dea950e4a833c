"""Where a label stops, by what was seen at each place."""

import re
from pathlib import Path

import pytest

import nvtopo
from nvtopo.checks import label_path
from nvtopo.checks.label_path import FileSeen, LabelPath, NotSeen, ObjectSeen, Way
from nvtopo.model.conclusions.label_table import LABELS, PRODUCT_LABELS, row_of, table

DOCS = Path(nvtopo.__file__).resolve().parents[1] / "docs" / "labels.md"

COUNT = "nvtopo.io/gpu.count"
PRODUCT = "nvtopo.io/gpu.product"
GROUP = "gpu.nvlink.group"
ON_NODE = "feature.node.kubernetes.io/gpu.nvlink.group"
GIVEN = {COUNT: "8", GROUP: "G0"}
HAS = ObjectSeen("nfd/node-1", {COUNT: "8", ON_NODE: "G0"})
EMPTY = ObjectSeen("nfd/node-1", {})
FORBIDDEN = NotSeen("no right to list nodefeatures")
FILE = FileSeen("features.d/nvtopo", GIVEN)

# what was seen -> verdict, and the place that the label does not pass
CASES: dict[str, tuple[Way, str, str | None]] = {
    "it arrives": (Way(GIVEN, FILE, (HAS,), {COUNT: "8"}), "arrives", None),
    "only the facts are asked about": (Way(GIVEN), "arrives", None),
    "a place in the middle could not be seen, the Node could": (
        Way(GIVEN, None, FORBIDDEN, {COUNT: "8"}),
        "arrives",
        None,
    ),
    "one of two objects has it": (Way(GIVEN, None, (EMPTY, HAS), {COUNT: "8"}), "arrives", None),
    "the facts do not give it": (Way({}, FileSeen("f", {}), (EMPTY,), {}), "absent", "facts"),
    "no facts": (Way(NotSeen("no NodeTopology"), None, (HAS,), {COUNT: "8"}), "cannot-know", "facts"),
    "the agent did not write": (Way(GIVEN, FileSeen("f", {}), (EMPTY,), {}), "stops", "feature-file"),
    "the file has expired": (Way(GIVEN, FileSeen("f", GIVEN, "2026-01-01T00:00:00Z")), "stops", "feature-file"),
    "the file says something else": (Way(GIVEN, FileSeen("f", {COUNT: "7"})), "stops", "feature-file"),
    "the file can't be read": (Way(GIVEN, NotSeen("Permission denied")), "cannot-know", "feature-file"),
    "NFD's worker does not run": (Way(GIVEN, None, (), {}), "stops", "node-feature"),
    "NFD's worker did not read it": (Way(GIVEN, None, (EMPTY,), {}), "stops", "node-feature"),
    "NFD's worker has an old value": (
        Way(GIVEN, None, (ObjectSeen("o", {COUNT: "7"}),), {COUNT: "7"}),
        "stops",
        "node-feature",
    ),
    "NFD's master refused it": (Way(GIVEN, None, (HAS,), {}), "stops", "node"),
    "somebody wrote another value": (Way(GIVEN, None, (HAS,), {COUNT: "9"}), "stops", "node"),
    "objects can't be seen and the Node lacks it": (Way(GIVEN, None, FORBIDDEN, {}), "stops", "node"),
    "nothing behind the facts can be seen": (Way(GIVEN, None, FORBIDDEN, FORBIDDEN), "cannot-know", "node-feature"),
}


@pytest.mark.parametrize("case", CASES)
def test_where_it_stops(case: str) -> None:
    way, verdict, ends = CASES[case]
    found = label_path.of(COUNT, way)
    assert (found.verdict, found.ends) == (verdict, ends)
    assert bool(found.remedy) == (verdict == "stops")


def test_a_label_without_namespace_has_nfds_beyond_the_feature_file() -> None:
    found = label_path.of(GROUP, Way(GIVEN, FILE, (HAS,), {ON_NODE: "G0"}))
    assert [step.state for step in found.steps] == ["passed"] * 4
    assert label_path.of_node(Way(GIVEN)) == {COUNT: "8", ON_NODE: "G0"}


def test_a_label_on_the_node_that_the_facts_do_not_give_is_named() -> None:
    found = {path.label: path for path in label_path.all_of(Way({}, None, (), {COUNT: "8", "other.io/label": "1"}))}
    assert list(found) == [COUNT]
    assert found[COUNT].steps[-1].state == "left-over"
    assert found[COUNT].remedy


def test_all_labels_that_the_facts_give_are_followed() -> None:
    found: tuple[LabelPath, ...] = label_path.all_of(Way(GIVEN, FILE))
    assert [path.label for path in found] == sorted(GIVEN)


def test_who_misses_a_label_reads_when_it_is_absent() -> None:
    step = label_path.of("nvtopo.io/nvlink.domain", Way({})).steps[0]
    assert step.said == "absent when the GPUs are in none, or not all in one"


def test_the_documentation_has_the_table() -> None:
    docs = DOCS.read_text(encoding="utf-8")
    assert f"\n\n{table()}\n" in docs
    assert f"\n\n{table(PRODUCT_LABELS)}\n" in docs


@pytest.mark.parametrize(
    "seen",
    [
        Way({}, FileSeen("f", {PRODUCT: "NVIDIA-H100"})),
        Way({}, None, (EMPTY, ObjectSeen("o", {PRODUCT: "NVIDIA-H100"}))),
        Way({}, None, FORBIDDEN, {PRODUCT: "NVIDIA-A100"}),
    ],
)
def test_labels_of_an_option_are_due_if_one_of_them_is_anywhere(seen: Way) -> None:
    due = {PRODUCT: "NVIDIA-H100"}
    assert seen.with_product(due).facts == due
    without = Way({}, FileSeen("f", GIVEN), (EMPTY,), {COUNT: "8"})
    assert without.with_product(due) is without
    step = label_path.of(PRODUCT, without).steps[0]
    assert step.said.startswith("absent when the agent runs without --product-labels;")


def test_an_example_is_a_value_that_the_row_describes() -> None:
    for row in (*LABELS, *PRODUCT_LABELS):
        assert row_of(row.name.replace("<n>", "3")) == row
        words = re.findall(r"`([^`]+)`", row.value)
        if row.value.startswith("integer"):
            assert row.example.isdigit(), row
        elif words == ["true"]:
            assert row.example in {"true", "false"}, row
        elif " or " in row.value.partition(":")[0]:
            assert row.example in words, row
    assert row_of("nvtopo.io/gpu.counts") is None
