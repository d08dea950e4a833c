"""Faults of the API server and of the way to it: the real one, behind a proxy that does wrong on order."""

import itertools
import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.faults.clock import Clock
from tests.faults.cluster import Member
from tests.faults.node import needs_mounts
from tests.faults.proxy import ApiProxy, Refusal, Request, digest, is_watch, is_write
from tests.lab import credentials, kube
from tests.lab.control_plane import ControlPlane
from tests.lab.process import Child, free_port

pytestmark = pytest.mark.lab

_NUMBERS: Final = itertools.count()


def written(member: Member, proxy: ApiProxy) -> list[Request]:
    """The writes of the resource so far."""
    return [request for request in proxy.requests if is_write(request) and request.path == member.path]


def test_api_server_away_for_five_minutes(member: Member, proxy: ApiProxy, tmp_path: Path) -> None:
    """Five minutes of the agent's own clocks, in a tenth of the time: its backoff is what is seen."""
    clock = Clock(tmp_path)
    agent = member.start_by(clock)
    agent.eventually(lambda: member.gpus() == 8 and agent.ready(), "the resource")
    proxy.leave()
    member.lose_a_gpu()
    agent.says("sink failed", sink="resource", reason="no answer")
    agent.eventually(lambda: member.gpu_label() == "7", "labels, which need no API server")
    assert not agent.ready()
    assert (agent.value("nvtopo_sink_up", sink="resource"), agent.value("nvtopo_sink_up", sink="nfd")) == (0, 1)
    assert agent.value("nvtopo_gpus") == 7
    for _ in range(5):
        clock.passes(60)
        passed = agent.value("nvtopo_observation_timestamp_seconds")
        agent.eventually(lambda: agent.value("nvtopo_observation_timestamp_seconds") != passed, "a pass")  # noqa: B023
    assert 8 <= proxy.resets <= 20, "two sinks, each after 1, 2, 4, … 60 s: neither given up nor hammered"
    assert member.gpus() == 8
    assert agent.alive()
    assert len(agent.said("sink failed", sink="resource")) == 1, "an outage is one line"
    proxy.come_back()
    clock.passes(61)
    agent.says("sink works again", sink="resource")
    agent.eventually(lambda: member.gpus() == 7 and agent.ready(), "the resource of now")
    agent.eventually(lambda: ("Warning", "GPUGone") in member.events(), "an Event for what happened meanwhile")


def test_slow_api_server(member: Member, proxy: ApiProxy) -> None:
    agent = member.start()
    agent.eventually(lambda: member.gpus() == 8, "the resource")
    proxy.delay_seconds = 3.0
    member.lose_a_gpu()
    agent.eventually(lambda: member.gpu_label() == "7", "labels, which do not wait for it")
    assert agent.value("nvtopo_gpus") == 7
    assert member.gpus() == 8
    agent.eventually(lambda: member.gpus() == 7, "the resource of now")
    assert not agent.said("sink failed")


def test_api_server_that_answers_429(member: Member, proxy: ApiProxy) -> None:
    proxy.refuse(429, of=is_write, retry_after="3")
    agent = member.start()
    agent.says("sink failed", sink="resource", reason="429")
    agent.eventually(lambda: member.gpus() == 8 and agent.ready(), "the resource")
    kube.wait_for(lambda: len(written(member, proxy)) == 2, what="two attempts")
    first, second = written(member, proxy)
    assert (first.status, second.status) == (429, 201)
    assert 3.0 <= second.at_seconds - first.at_seconds < 20


@pytest.mark.parametrize("status", [401, 409, 410, 503])
def test_api_server_that_refuses(member: Member, proxy: ApiProxy, status: int) -> None:
    proxy.refuse(status, of=is_write)
    agent = member.start()
    line = agent.says("sink failed", sink="resource", reason=f"PATCH {member.path}: {status}")
    assert "html" not in line["reason"]
    agent.says("sink works again", sink="resource")
    agent.eventually(lambda: member.gpus() == 8 and agent.ready(), "the resource")
    kube.wait_for(lambda: [request.status for request in written(member, proxy)] == [status, 201], what="two attempts")


def test_node_that_is_not_registered_yet(member: Member) -> None:
    """Without a Node there is no resource, because it would have no owner and never be deleted."""
    member.api.delete(f"/api/v1/nodes/{member.machine.name}")
    agent = member.start()
    agent.says("sink failed", sink="resource", reason="404 NotFound")
    assert member.resource() is None
    kube.create_node(member.api, member.machine.name)
    agent.eventually(lambda: member.gpus() == 8 and agent.ready(), "the resource")


@needs_mounts
def test_token_rotated(member: Member, proxy: ApiProxy, plane: ControlPlane, tmp_path: Path) -> None:
    """The pod's token is replaced as the kubelet does it, and the old one is worth nothing from then on."""
    secrets = tmp_path / "serviceaccount"
    old, new = (plane.service_account_token("nvtopo", "nvtopo-agent") for _ in range(2))
    assert old != new
    mount_token(secrets, old, plane.ca_file)
    clock = Clock(tmp_path)
    agent = member.machine.start(
        before=("unshare", "--mount", "sh", "-ec", _OWN_SECRETS, str(secrets)),
        environment={
            **clock.environment,
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(proxy.port),
        },
        resource=True,
    )
    agent.eventually(lambda: member.gpus() == 8, "the resource")
    proxy.fault = lambda request: Refusal(401) if request.token == digest(f"Bearer {old}") else None
    clock.set_by(-3600)  # the token's age by the wall clock says nothing
    mount_token(secrets, new, plane.ca_file)
    member.lose_a_gpu()
    agent.eventually(lambda: member.gpus() == 7, "the resource, written with the new token")
    assert not agent.said("sink failed")
    tokens = [digest(f"Bearer {token}") for token in (old, new)]
    kube.wait_for(lambda: [request.token for request in written(member, proxy)] == tokens, what="one write with each")


#: The token's directory of a pod, $0, where a pod has it: in a /run of this process's own.
_OWN_SECRETS: Final = """
mount -t tmpfs -o mode=0755 faults /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
mount --bind "$0" /run/secrets/kubernetes.io/serviceaccount
exec "$@"
"""


def mount_token(directory: Path, token: str, ca_file: Path) -> None:
    """As the kubelet's projected volume: links to ``..data``, itself a link, which is replaced."""
    directory.mkdir(exist_ok=True)
    content = directory / f"..{next(_NUMBERS)}"
    content.mkdir()
    (content / "token").write_text(token)
    (content / "ca.crt").write_text(ca_file.read_text())
    fresh = directory / "..data_tmp"
    fresh.symlink_to(content.name)
    fresh.replace(directory / "..data")
    for name in ("token", "ca.crt"):
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")


def garble(member: Member) -> None:
    """What somebody does with ``kubectl edit``."""
    spec = {"gpus": [], "problems": [{"source": "nvml", "subject": "GPU9", "reason": "by hand"}]}
    member.api.patch(member.path, {"spec": spec, "metadata": {"labels": {"theirs": "yes"}}})
    assert member.gpus() == 0


def is_mended(member: Member) -> bool:
    """All of ours is right, and what is theirs is theirs."""
    found = member.resource()
    assert found is not None
    labelled = found["metadata"].get("labels", {}).get("theirs") == "yes"
    return len(found["spec"].get("gpus", ())) == 8 and "problems" not in found["spec"] and labelled


def test_garbled_resource_of_an_earlier_run(member: Member) -> None:
    first = member.start()
    first.eventually(lambda: member.gpus() == 8, "the resource")
    first.child.kill()
    garble(member)
    second = member.start()
    second.eventually(lambda: is_mended(member), "the resource")


def test_garbled_resource(member: Member, tmp_path: Path) -> None:
    """The agent gets no notice. It applies the same content again every ten minutes of its own (faked) clock."""
    clock = Clock(tmp_path)
    agent = member.start_by(clock)
    agent.eventually(lambda: member.gpus() == 8 and agent.ready(), "the resource")
    garble(member)
    clock.passes(750)
    agent.eventually(lambda: is_mended(member), "the resource")


def test_deleted_resource(member: Member, tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    agent = member.start_by(clock)
    agent.eventually(lambda: member.gpus() == 8 and agent.ready(), "the resource")
    member.api.delete(member.path)
    clock.passes(750)
    agent.eventually(lambda: member.gpus() == 8, "the resource")


def test_two_agents_write_one_resource(member: Member, proxy: ApiProxy) -> None:
    """They agree, so the second's write changes nothing; and either does for both."""
    first, second = member.start(name="first"), member.start(name="second")
    for agent in (first, second):
        agent.eventually(agent.ready, "a resource")
    found = member.resource()
    assert found is not None
    assert found["metadata"]["generation"] == 1
    assert {request.status for request in written(member, proxy)} == {200, 201}
    first.child.kill()
    member.lose_a_gpu()
    second.eventually(lambda: member.gpus() == 7, "the resource, by the one that is left")


class Aggregator(NamedTuple):
    """A real ``nvtopo aggregator`` that follows resources through the proxy."""

    child: Child
    url: str

    def nodes(self) -> set[str]:
        """The nodes of the graph that it serves."""
        self.child.check()
        try:
            with urllib.request.urlopen(f"{self.url}/v1/graph", timeout=5) as answer:  # noqa: S310 - our own URL
                return set(json.load(answer)["nodes"])
        except OSError:
            return set()


@pytest.fixture
def aggregator(plane: ControlPlane, proxy: ApiProxy, tmp_path: Path) -> Iterator[Aggregator]:
    (tmp_path / "aggregator").mkdir()
    token = plane.service_account_token("nvtopo", "nvtopo-aggregator")
    kubeconfig = credentials.write_kubeconfig(tmp_path / "aggregator", proxy.url, plane.ca_file, token)
    address = f"127.0.0.1:{free_port()}"
    child = Child(
        "aggregator",
        (sys.executable, "-m", "nvtopo", "aggregator", "--kubeconfig", str(kubeconfig), "--listen", address),
        log=tmp_path / "aggregator.log",
    )
    yield Aggregator(child, f"http://{address}")
    child.stop()


def watches(proxy: ApiProxy) -> list[Request]:
    """The watches so far."""
    return list(filter(is_watch, proxy.requests))


def test_watch_that_answers_410(member: Member, proxy: ApiProxy, aggregator: Aggregator) -> None:
    """Its place in the history is gone: the aggregator lists again, and misses nothing."""
    member.start().eventually(lambda: member.gpus() == 8, "the resource")
    kube.wait_for(lambda: member.machine.name in aggregator.nodes(), what="the node in the graph")
    proxy.refuse(410, of=is_watch)
    proxy.leave()
    kube.wait_for(lambda: proxy.resets, what="an aggregator that lost its watch")
    member.api.delete(member.path)
    proxy.come_back()
    kube.wait_for(lambda: [one.status for one in watches(proxy) if one.status == 410], what="410")
    kube.wait_for(lambda: member.machine.name not in aggregator.nodes(), what="the graph without the node")
    assert "cannot follow NodeTopologies" in aggregator.child.log.read_text()
