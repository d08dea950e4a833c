"""DeviceTaintRules on the real API server and scheduler, with the gate on and off, and with the component's rights."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner

import nvtopo
from nvtopo.aggregator.device_taints import KIND, TaintSource
from nvtopo.aggregator.followed_slices import FollowedSlices
from nvtopo.aggregator.loop import Aggregator
from nvtopo.cli import main
from nvtopo.cluster.drift import Timing
from nvtopo.errors import NotFound
from nvtopo.exporters.schedulers.owned import Owner, selector
from nvtopo.kube import client as client_module
from nvtopo.kube.resource_slices import ResourceSlices
from tests.cluster.test_taints import graph, tray
from tests.exporters.claims import SLICES, attributes, device_class, publish
from tests.exporters.keeping import Keeping, running
from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DAEMONSET: Final = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
OWNER: Final = Owner("nvtopo", "nvtopo")
GATE: Final = "DRADeviceTaintRules"
RULES: Final = "/apis/resource.k8s.io/v1beta2/devicetaintrules"
SPACE: Final = "taints"
CLAIMS: Final = f"/apis/resource.k8s.io/v1/namespaces/{SPACE}/resourceclaims"
PODS: Final = f"/api/v1/namespaces/{SPACE}/pods"
NODE: Final = "n0"


class Kept:
    """A keeper with the aggregator's own rights, while the slices are followed."""

    def __init__(self, plane: ControlPlane, keeping: Keeping, taints: TaintSource) -> None:
        self.api = plane.api()
        self.keeping = keeping
        self.taints = taints

    def compare(self, ill: Sequence[int]) -> int:
        """How many rules are written while these GPUs are ill."""
        seen = graph({NODE: tray(0, ill)})
        self.taints._changed |= seen.nodes.keys()
        return self.keeping.compare(seen)

    def rules(self) -> dict[str, Any]:
        """Ours: name → spec."""
        found = self.api.get(f"{RULES}?labelSelector={selector(KIND)}")["items"]
        return {one["metadata"]["name"]: one["spec"] for one in found}


@contextlib.contextmanager
def kept(plane: ControlPlane) -> Iterator[Kept]:
    api = plane.api()
    for manifest in ("rbac.yaml", "components/dra-taints/rbac.yaml", "components/dra-taints/admission.yaml"):
        for document in yaml.safe_load_all((DAEMONSET / manifest).read_text(encoding="utf-8")):
            api.apply(document)
    token = plane.service_account_token("nvtopo", "nvtopo-aggregator")
    source: Any = None
    stop = threading.Event()
    with client_module.connect(plane.kubeconfig(token)) as client:
        kube.wait_for(lambda: _may_list(plane.api(token)), what="the right to list slices")
        slices = FollowedSlices(ResourceSlices(client))
        taints = TaintSource(slices, Aggregator(source), Timing(0, 0))
        thread = threading.Thread(target=slices.run, args=(stop,))
        thread.start()
        try:
            with running(client, (KIND,), OWNER, timed={KIND: taints}) as keeping:
                kube.wait_for(lambda: slices.listed, what="the slices to be listed")
                yield Kept(plane, keeping, taints)
        finally:
            stop.set()
            thread.join()


def _may_list(api: kube.Api) -> bool:
    try:
        return api.find(SLICES) is not None
    except kube.ApiError:
        return False


@pytest.fixture(name="plane", scope="module")
def _plane(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    flags = ("--runtime-config=resource.k8s.io/v1beta2=true",)
    with ControlPlane(lab_binaries, tmp_path_factory.mktemp("taints"), flags=flags, gates=(GATE,)) as plane:
        api = plane.api()
        kube.create_namespace(api, SPACE)
        kube.create_node(api, NODE)
        api.apply(device_class("gpu.nvidia.com", "gpu.nvidia.com"))
        devices = [{"name": f"gpu-{gpu.index}", "attributes": attributes({"uuid": gpu.uuid})} for gpu in tray().gpus]
        publish(api, "gpu.nvidia.com", NODE, devices)
        yield plane


def ask(api: kube.Api, name: str, count: int) -> None:
    exactly = {"deviceClassName": "gpu.nvidia.com", "count": count}
    claim = {"metadata": {"name": name}, "spec": {"devices": {"requests": [{"name": "gpus", "exactly": exactly}]}}}
    api.create(CLAIMS, claim)
    kube.create_pod(api, SPACE, name, resourceClaims=[{"name": "gpus", "resourceClaimName": name}])


def got(api: kube.Api, name: str) -> set[str]:
    kube.wait_for(lambda: api.get(f"{PODS}/{name}")["spec"].get("nodeName"), what=f"{name} to be bound", seconds=60)
    return {one["device"] for one in api.get(f"{CLAIMS}/{name}")["status"]["allocation"]["devices"]["results"]}


def waits(api: kube.Api, name: str) -> None:
    def why() -> list[Any]:
        conditions = api.get(f"{PODS}/{name}").get("status", {}).get("conditions", [])
        return [one for one in conditions if one["type"] == "PodScheduled" and one["status"] == "False"]

    kube.wait_for(why, what=f"the reason why {name} waits", seconds=60)
    assert not api.get(f"{PODS}/{name}")["spec"].get("nodeName")


def test_no_claim_gets_a_degraded_gpu_until_it_is_well(plane: ControlPlane) -> None:
    with kept(plane) as keeper:
        api = keeper.api
        keeper.compare(ill=[])  # what another test left
        assert keeper.compare(ill=[]) == 0
        assert keeper.compare(ill=[1]) == 1
        ((name, rule),) = keeper.rules().items()
        assert rule["deviceSelector"] == {
            "driver": "gpu.nvidia.com",
            "pool": f"{NODE}-gpu-nvidia-com",
            "device": "gpu-1",
        }
        assert keeper.compare(ill=[1]) == 0, "the time that the server adds is no change"
        api.patch(f"{RULES}/{name}", {"spec": {"taint": {"value": "edited"}}})
        assert keeper.compare(ill=[1]) == 1
        assert keeper.rules()[name]["taint"]["value"] == "nvlinks-missing"
        api.delete(f"{RULES}/{name}")
        assert keeper.compare(ill=[1]) == 1
        ask(api, "three", 3)
        assert got(api, "three") == {"gpu-0", "gpu-2", "gpu-3"}
        ask(api, "one", 1)
        waits(api, "one")
        assert keeper.compare(ill=[]) == 1
        assert keeper.rules() == {}
        assert got(api, "one") == {"gpu-1"}
        assert keeper.compare(ill=[1]) == 1
        assert not api.get(f"{PODS}/one")["metadata"].get("deletionTimestamp"), "nothing is evicted"


def _of_a_driver(rule: kube.Json) -> None:
    rule["spec"]["deviceSelector"] = {"driver": "gpu.nvidia.com"}


def _of_all(rule: kube.Json) -> None:
    del rule["spec"]["deviceSelector"]


def _that_evicts(rule: kube.Json) -> None:
    rule["spec"]["taint"]["effect"] = "NoExecute"


def _of_another_key(rule: kube.Json) -> None:
    rule["spec"]["taint"]["key"] = "example.com/other"


@pytest.mark.parametrize("change", [_of_a_driver, _of_all, _that_evicts, _of_another_key])
def test_the_aggregator_writes_no_other_rule(plane: ControlPlane, change: Callable[[kube.Json], None]) -> None:
    with kept(plane):
        account = plane.api(plane.service_account_token("nvtopo", "nvtopo-aggregator"))
    rule: kube.Json = {
        "apiVersion": "resource.k8s.io/v1beta2",
        "kind": "DeviceTaintRule",
        "metadata": {"name": "mine"},
        "spec": {
            "deviceSelector": {"driver": "gpu.nvidia.com", "pool": NODE, "device": "gpu-1"},
            "taint": {"key": "topo.nvtopo.io/degraded", "effect": "NoSchedule"},
        },
    }
    account.create(f"{RULES}?dryRun=All", rule)
    change(rule)

    def refused() -> bool:
        try:
            account.create(f"{RULES}?dryRun=All", rule)
        except kube.ApiError as error:
            return "nvtopo-aggregator: it taints single devices" in str(error)
        return False

    kube.wait_for(refused, what="the policy to be in force")


def test_the_command_prints_and_prunes(plane: ControlPlane) -> None:
    with kept(plane) as keeper:
        keeper.compare(ill=[2])
        assert len(keeper.rules()) == 1
        theirs = {
            "spec": {"taint": {"key": "example.com/theirs", "effect": "NoSchedule"}},
            "metadata": {"name": "theirs"},
        }
        keeper.api.create(RULES, {"apiVersion": "resource.k8s.io/v1beta2", "kind": "DeviceTaintRule", **theirs})
    arguments = ["export", KIND, "--kubeconfig", str(plane.admin_kubeconfig), "--prune"]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert (done.exit_code, done.output) == (0, "1 dra-taints objects deleted\n")
    assert keeper.rules() == {}
    keeper.api.delete(f"{RULES}/theirs")


def test_without_the_gate_it_is_said_and_nothing_else_happens(control_plane: ControlPlane) -> None:
    with kept(control_plane) as keeper:
        assert keeper.compare(ill=[1]) == 0
        assert keeper.keeping.keeper.failed_at.keys() == {KIND}
    arguments = ["export", KIND, "--kubeconfig", str(control_plane.admin_kubeconfig), "--prune"]
    with pytest.raises(NotFound, match=r"serves no devicetaintrules\.resource\.k8s\.io in any version"):
        CliRunner().invoke(main, arguments, catch_exceptions=False)
