"""An XID in the running agent: the machine is read again at once, and the error is counted."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.agent.test_shutdown import kubeconfig
from tests.faults.node import HOST, Agent, Node
from tests.kube.fake_api_server import FakeApiServer

pytestmark = pytest.mark.slow

FALLEN: Final = 79
INTERVAL_SECONDS: Final = 600
UUID: Final = json.loads((HOST / "nvml.json").read_text())["gpus"][3]["uuid"]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path) as machine:
        machine.install_driver()
        machine.driver_is_like()
        yield machine


def falls_off_the_bus(model: Any) -> None:
    model["gpus"][3]["lost"] = True
    model["events"] = [{"gpu": 3, "type": 8, "data": FALLEN}, {"gpu": 3, "type": 8, "data": 4711}]


def listens(agent: Agent) -> bool:
    return agent.value("nvtopo_nvml_events_gpus") == 8


def test_a_gpu_that_falls_off_the_bus_is_gone_from_the_labels_long_before_the_next_pass(node: Node) -> None:
    agent = node.start("--interval", str(INTERVAL_SECONDS))
    agent.eventually(lambda: listens(agent) and node.labels().get("ready") == "true", "a healthy machine that listens")
    began = time.monotonic()
    node.driver_is_like(falls_off_the_bus)
    agent.eventually(lambda: node.labels().get("gpu.count") == "7", "the label")
    assert time.monotonic() - began < INTERVAL_SECONDS / 10
    assert node.labels()["ready"] == "false"


def test_xids_are_counted_by_gpu_and_number_and_those_that_nobody_knows_together(node: Node) -> None:
    agent = node.start("--interval", "600")
    agent.eventually(lambda: listens(agent), "listening")
    node.driver_is_like(falls_off_the_bus)
    agent.eventually(
        lambda: (
            [agent.value("nvtopo_gpu_xid_errors_total", gpu="3", UUID=UUID, xid=xid) for xid in (str(FALLEN), "other")]
            == [1, 1]
        ),
        "two series",
    )
    assert agent.says("NVML event", means="GPU has fallen off the bus")["gpu"] == 3


def test_who_does_not_listen_does_not_hold_the_driver(node: Node) -> None:
    agent = node.start("--no-nvml-events", "--sample-interval", "0")
    agent.eventually(lambda: node.labels().get("ready") == "true", "a healthy machine")
    assert agent.value("nvtopo_nvml_events_gpus") is None


def test_an_xid_and_what_it_did_are_told_on_the_node(node: Node, tmp_path: Path) -> None:
    with FakeApiServer() as server:
        server.nodes["node-a"] = "uid-1"
        where = str(kubeconfig(tmp_path, server.url))
        agent = node.start("--interval", "600", "--kubeconfig", where, resource=True)
        agent.eventually(lambda: listens(agent) and agent.ready(), "a healthy machine that listens")
        assert server.events == {}
        node.driver_is_like(falls_off_the_bus)
        agent.eventually(lambda: {"XidError", "GPUGone"} <= {one["reason"] for one in server.events.values()}, "Events")
        assert agent.ready()
    notes = {one["note"] for one in server.events.values()}
    assert f"GPU3 ({UUID}): XID 79: GPU has fallen off the bus" in notes
    assert f"GPU3 ({UUID}): XID 4711" in notes
