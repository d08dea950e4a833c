"""A machine that has just booted, with the real agent on it: links come up, or do not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.node import Node

LABELS = ("ready", "nvlink.degraded", "nvlink.groups")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path) as machine:
        machine.install_driver()
        machine.driver_is_like(a_link_is_down)
        up_for(machine, 42)
        yield machine


def a_link_is_down(model: Any) -> None:
    model["gpus"][2]["links"][7]["state"] = 0


def up_for(node: Node, seconds: int) -> None:
    (node.root / "proc/uptime").write_text(f"{seconds}.25 1790.33\n")


def said(node: Node) -> dict[str, str | None]:
    labels = node.labels()
    return {name: labels.get(name) for name in LABELS} if labels.get("gpu.count") == "8" else {}


NOTHING = dict.fromkeys(LABELS)


@pytest.mark.slow
def test_links_that_come_up_make_a_node_ready_that_was_never_degraded(node: Node) -> None:
    agent = node.start()
    agent.eventually(lambda: said(node) == NOTHING, "labels that claim nothing")
    assert agent.ready()
    node.driver_is_like()
    agent.eventually(lambda: said(node)["ready"], "the label ready")
    assert said(node) == {"ready": "true", "nvlink.degraded": "false", "nvlink.groups": "1"}


@pytest.mark.slow
def test_a_link_that_does_not_come_up_is_down_once_the_grace_is_over(node: Node) -> None:
    agent = node.start("--boot-grace", "60")
    agent.eventually(lambda: said(node) == NOTHING, "labels that claim nothing")
    up_for(node, 61)
    agent.eventually(lambda: said(node)["ready"], "the label ready")
    assert said(node) == {"ready": "false", "nvlink.degraded": "true", "nvlink.groups": "1"}
