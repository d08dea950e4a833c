"""The lab itself: that what it starts is real, and that nothing of it stays behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests import build_cache
from tests.lab import build, kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.nfd import FEATURES_D, NfdMaster
from tests.lab.process import Child, LabError

pytestmark = pytest.mark.lab


def test_built_programs_are_found_in_well_under_a_second(lab_binaries: Binaries) -> None:
    started = time.process_time()
    assert build.ensure(pytest.fail).programs.items() <= lab_binaries.programs.items()
    assert time.process_time() - started < 1


def test_api_server_is_of_the_pinned_version(control_plane: ControlPlane) -> None:
    assert control_plane.api().get("/version")["gitVersion"] == "v1.36.3"


def test_scheduler_binds_a_pod_where_its_gpus_are(control_plane: ControlPlane) -> None:
    api = control_plane.api()
    namespace = kube.create_namespace(api, "binds")
    kube.create_node(api, "without-gpus")
    kube.create_node(api, "with-gpus", allocatable={"nvidia.com/gpu": "8"})
    kube.create_pod(api, namespace, "job", requests={"nvidia.com/gpu": "4"})
    path = f"/api/v1/namespaces/{namespace}/pods/job"
    node = kube.wait_for(lambda: api.get(path)["spec"].get("nodeName"), what="a node for the pod")
    assert node == "with-gpus"


def test_bound_token_names_the_node_and_stands_for_the_account(control_plane: ControlPlane) -> None:
    api = control_plane.api()
    namespace = kube.create_namespace(api, "tokens")
    kube.create_node(api, "token-node")
    kube.create_pod(api, namespace, "agent", nodeName="token-node")
    token = control_plane.service_account_token(namespace, "default", bound_pod="agent")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    caller = control_plane.api(token).create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    user = caller["status"]["userInfo"]
    assert user["username"] == f"system:serviceaccount:{namespace}:default"
    assert user["extra"]["authentication.kubernetes.io/node-name"] == ["token-node"]
    with pytest.raises(kube.ApiError, match="403 Forbidden"):
        control_plane.api(token).get("/api/v1/nodes")


def test_each_node_gets_the_labels_of_its_own_feature_files(control_plane: ControlPlane, nfd_master: NfdMaster) -> None:
    api = control_plane.api()
    for node, text in (("left", "nvtopo.io/x=1\ngpu.count=4\n"), ("right", "nvtopo.io/x=2\n")):
        kube.create_node(api, node)
        worker = nfd_master.worker(node)
        (worker.features_d / "nvtopo").write_text(text)
        worker.run_once()
    left, right = _await_label(api, "left", "nvtopo.io/x"), _await_label(api, "right", "nvtopo.io/x")
    assert (left["nvtopo.io/x"], right["nvtopo.io/x"]) == ("1", "2")
    assert left["feature.node.kubernetes.io/gpu.count"] == "4"
    assert "feature.node.kubernetes.io/gpu.count" not in right


def test_looping_worker_follows_a_changed_feature_file(control_plane: ControlPlane, nfd_master: NfdMaster) -> None:
    api = control_plane.api()
    kube.create_node(api, "looping")
    worker = nfd_master.worker("looping")
    feature_file = worker.features_d / "nvtopo"
    feature_file.write_text("nvtopo.io/x=1\n")
    with worker:
        _await_label(api, "looping", "nvtopo.io/x")
        feature_file.write_text("nvtopo.io/y=2\n")
        assert "nvtopo.io/x" not in _await_label(api, "looping", "nvtopo.io/y")


def test_worker_leaves_the_directory_of_this_machine_alone(control_plane: ControlPlane, nfd_master: NfdMaster) -> None:
    before = Path(FEATURES_D).exists()
    kube.create_node(control_plane.api(), "careful")
    nfd_master.worker("careful").run_once()
    assert Path(FEATURES_D).exists() == before


def test_lab_listens_on_loopback_alone(control_plane: ControlPlane, nfd_master: NfdMaster) -> None:
    kube.create_node(control_plane.api(), "listening")
    with nfd_master.worker("listening") as worker:
        (looping,) = worker.children
        kube.wait_for(lambda: "http server st" in looping.log.read_text(), what="the worker's loop")
        children = (*control_plane.children, *nfd_master.children, looping)
        addresses = set().union(*(_listening(child.pid) for child in children))
    assert addresses == {"0100007F"}, "127.0.0.1, as /proc/net/tcp spells it"


def test_nothing_runs_after_the_context(lab_binaries: Binaries, tmp_path: Path) -> None:
    with ControlPlane(lab_binaries, tmp_path) as plane:
        assert len(_mentioning(tmp_path)) == len(plane.children) == 4
    assert _mentioning(tmp_path) == []


def test_nothing_outlives_a_killed_test_run(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from tests.lab.process import Child\n"
        "place = pathlib.Path(sys.argv[1])\n"
        "Child('tail', ('tail', '-f', str(place / 'log')), log=place / 'log')\n"
        "time.sleep(60)\n"
    )
    run = subprocess.Popen((sys.executable, "-c", program, str(tmp_path)))
    try:
        kube.wait_for(lambda: "tail" in _names(tmp_path), what="the child of the run")
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    kube.wait_for(lambda: not _mentioning(tmp_path), what="the end of the child")


def test_failed_start_shows_the_log_and_ends_what_runs(lab_binaries: Binaries, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 7\n")
    broken.chmod(0o755)
    binaries = replace(lab_binaries, programs={**lab_binaries.programs, "kube-scheduler": broken})
    with pytest.raises(LabError, match=r"kube-scheduler ended with 7; (?s:.*)no such luck"):
        ControlPlane(binaries, tmp_path).__enter__()
    assert _mentioning(tmp_path) == []


def test_child_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    stubborn = ("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    child = Child("stubborn", stubborn, log=tmp_path / "log")
    kube.wait_for(lambda: "ready" in (tmp_path / "log").read_text(), what="the child to be ready")
    child.stop(seconds=0.3)
    with pytest.raises(LabError, match="ended with -9"):
        child.check()


def test_digest_of_a_family_depends_on_its_own_pins_and_on_go() -> None:
    etcd, nfd, *_ = build.FAMILIES
    assert build._digest(etcd, "go1.26") == build._digest(etcd, "go1.26")
    assert build._digest(etcd, "go1.26") != build._digest(etcd, "go1.27")
    assert build._digest(etcd, "go1.26") != build._digest(nfd, "go1.26")


def test_failed_build_is_one_line_and_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    etcd = build.FAMILIES[0]
    monkeypatch.setattr(build_cache, "CACHE", tmp_path)
    monkeypatch.setattr(build, "FAMILIES", (replace(etcd, programs={"etcd": "go.etcd.io/etcd/server/v3/absent"}),))
    assert build.main() == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("lab: etcd: go build ended with 1; see ")
    assert "absent" in Path(last.rpartition(" ")[2]).read_text()
    assert sorted(path.name for path in (tmp_path / "lab").iterdir()) == ["lock", "logs"]


def _await_label(api: kube.Api, node: str, label: str) -> dict[str, str]:
    """The node's labels, once the label is among them."""

    def labels() -> dict[str, str] | None:
        found: dict[str, str] = api.get(f"/api/v1/nodes/{node}")["metadata"]["labels"]
        return found if label in found else None

    return kube.wait_for(labels, what=f"label {label} of node {node}")


def _command_lines() -> dict[int, list[str]]:
    """What every process of this machine was started as."""
    lines = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended in between
            lines[int(entry.parent.name)] = entry.read_text(errors="replace").split("\0")
    return lines


def _mentioning(directory: Path) -> list[list[str]]:
    """The command lines, but this process' own, that name the directory or what lies in it."""
    return [
        line
        for pid, line in _command_lines().items()
        if pid != os.getpid() and any(str(directory) in argument for argument in line)
    ]


def _names(directory: Path) -> Sequence[str]:
    return [Path(line[0]).name for line in _mentioning(directory)]


def _listening(pid: int) -> set[str]:
    """The addresses, as the kernel's tables spell them, on which a process accepts TCP connections."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # it was closed in between
            sockets.add(str(entry.readlink()))
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}
