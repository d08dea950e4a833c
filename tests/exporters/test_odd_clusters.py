"""Exports of clusters with odd names: nothing false, and nothing that the one who reads it has to refuse."""

from collections.abc import Iterable

import pytest

from nvtopo.exporters.schedulers import kinds
from nvtopo.fabrics import slurm_lines
from nvtopo.model.formats.object_name import is_subdomain
from tests.exporters.odd import LONG, ODD


def _names(kind: str, name: str) -> list[str]:
    return [document["metadata"]["name"] for document in kinds.OBJECTS[kind](ODD[name]())]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_each_kind_has_an_answer(name: str, kind: str) -> None:
    assert isinstance(kinds.text(kind, ODD[name]()), str)


@pytest.mark.parametrize("name", ODD)
def test_objects_have_names_of_their_own_that_kubernetes_takes(name: str) -> None:
    for kind in kinds.OBJECTS:
        for of in {document["kind"] for document in kinds.OBJECTS[kind](ODD[name]())}:
            names = [one["metadata"]["name"] for one in kinds.OBJECTS[kind](ODD[name]()) if one["kind"] == of]
            assert len({*names}) == len(names), kind
            assert [one for one in names if not is_subdomain(one)] == [], kind


def _below(lines: Iterable[slurm_lines.Line]) -> list[str]:
    return sorted(node for line in lines for node in line.nodes)


def test_slurm_reads_back_each_node_once() -> None:
    read = slurm_lines.read(kinds.text("slurm-tree", ODD["prefixes"]()))
    assert _below(read.switches) == sorted(("gpu", "gpu1", "gpu10", "gpu100", "gpu-1", "gpu-10"))
    read = slurm_lines.read(kinds.text("slurm-tree", ODD["node named as its block"]()))
    assert {line.name: line.nodes for line in read.switches if line.nodes} == {
        "leaf-a": ("leaf-a", "leaf-b"),
        "leaf-b": ("b",),
    }


@pytest.mark.parametrize("kind", ["slurm-tree", "slurm-block", "slurm-yaml", "slurm-gres"])
def test_names_that_slurm_cant_have_are_left_out_and_said(kind: str) -> None:
    text = kinds.text(kind, ODD["no names of nodes"]())
    told = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    assert "n7" in told
    for wrong in ("n 4", "n,3", "n[1-2]", "n#5", "\nn6", "6", "ALL", "default,", "é"):
        assert wrong not in told.replace("GPU6", "").replace("nvidia6", ""), wrong
    if kind in ("slurm-tree", "slurm-block"):
        (said,) = [line for line in text.splitlines() if "Slurm can't have such names" in line]
        assert "'n 4'" in said
        assert text.count("\n") == len(text.splitlines())


def test_a_node_that_no_object_can_name_has_none() -> None:
    for kind in ("nrt", "koordinator-device", "nfd", "topograph"):
        assert [name for name in _names(kind, "no names of nodes") if "n7" not in name and "default" not in name] == []
    assert _names("nfd", "long") == [], "a label has at most 63 characters"
    assert len(LONG) > 63
