"""Exported objects kept applied on a real API server, with the rights that the component gives to the aggregator."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from click.testing import CliRunner

import nvtopo
from nvtopo.cli import main
from nvtopo.cli.export import APPLIED
from nvtopo.cluster.claims import Claim, Reading
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.exporters.schedulers.owned import COLLECTIONS, Owner, selector
from nvtopo.kube import client as client_module
from tests.cluster import machines
from tests.exporters import clusters, schemas
from tests.exporters.keeping import Keeping, running
from tests.lab import kube
from tests.lab.build import Binaries
from tests.lab.control_plane import ControlPlane

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DAEMONSET: Final = Path(nvtopo.__file__).resolve().parents[1] / "daemonset"
OWNER: Final = Owner("nvtopo", "nvtopo")
#: DeviceTaintRules take a gate and more than the graph: test_real_taints.py.
KEPT: Final = tuple(kind for kind in APPLIED if kind != "dra-taints")


@pytest.fixture(name="plane", scope="module")
def _plane(lab_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    folder = schemas.folder()
    with ControlPlane(lab_binaries, tmp_path_factory.mktemp("keeping")) as plane:
        api = plane.api()
        for file in sorted(folder.glob("*.yaml")):
            api.apply_file(file)
        for manifest in ("rbac.yaml", "components/apply-exports/rbac.yaml", "components/dra-domains/rbac.yaml"):
            for document in yaml.safe_load_all((DAEMONSET / manifest).read_text(encoding="utf-8")):
                api.apply(document)
        yield plane


@pytest.fixture(name="keeping")
def _keeping(plane: ControlPlane) -> Iterator[Keeping]:
    token = plane.service_account_token("nvtopo", "nvtopo-aggregator")
    account = plane.api(token)
    for path in {one.path(OWNER.namespace) for kind in KEPT for one in COLLECTIONS[kind]}:
        kube.wait_for(lambda path=path: _may_list(account, path), what=f"the right to list {path}")  # type: ignore[misc]
    with (
        client_module.connect(plane.kubeconfig(token)) as client,
        running(client, KEPT, OWNER) as keeping,
    ):
        yield keeping


def _may_list(api: kube.Api, path: str) -> bool:
    try:
        return api.find(path) is not None
    except kube.ApiError:
        return False


def ours(api: kube.Api, kind: str) -> dict[str, kube.Json]:
    """Path → object."""
    found = {}
    for collection in COLLECTIONS[kind]:
        path = collection.path(OWNER.namespace)
        for one in api.get(f"{path}?labelSelector={selector(kind)}")["items"]:
            found[f"{path}/{one['metadata']['name']}"] = one
    return found


def test_objects_are_kept_and_pruned(plane: ControlPlane, keeping: Keeping) -> None:
    api = plane.api()
    graph = _graph()
    assert keeping.compare(graph) > 0
    assert keeping.keeper.failed_at == {}
    assert keeping.keeper.applier.figures.refused == 0
    before = {kind: ours(api, kind) for kind in KEPT}
    assert all(before.values()), [kind for kind, found in before.items() if not found]
    assert keeping.compare(graph) == 0  # with the server's defaults in them, nothing is written again

    edited, deleted = list(before["volcano"])[:2]
    api.patch(edited, {"spec": {"tier": 9}})
    api.delete(deleted)
    (topology,) = before["koordinator"]
    api.patch(topology, {"metadata": {"annotations": {"theirs": "stays"}}})
    assert keeping.compare(graph) == 2
    now = ours(api, "volcano")
    assert {path: one["spec"] for path, one in now.items()} == {
        path: one["spec"] for path, one in before["volcano"].items()
    }
    assert ours(api, "koordinator")[topology]["metadata"]["annotations"]["theirs"] == "stays"

    theirs = "/apis/topology.volcano.sh/v1alpha1/hypernodes/theirs"
    api.apply({**_bare(now[edited]), "metadata": {"name": "theirs"}})
    arguments = ["--prune", "--kubeconfig", str(plane.admin_kubeconfig)]
    for kind in KEPT:
        done = CliRunner().invoke(main, ["export", kind, *arguments], catch_exceptions=False)
        assert done.exit_code == 0
        _gone(lambda kind=kind: not ours(api, kind))  # type: ignore[misc]
    assert api.find(theirs)
    api.delete(theirs)


def _graph() -> ClusterGraph:
    """Two machines below two leaves, and a tray of a rack."""
    nodes = {f"n{number}": clusters.host("hgx-h200-8gpu") for number in range(2)} | {"tray": machines.tray()}
    claims = [Claim(name, "leaf", f"leaf-{number}", "file") for number, name in enumerate(nodes)]
    return build(fold(Inventory(), Listed(nodes, {})), None, {"file": Reading(tuple(claims))})


def _bare(one: kube.Json) -> kube.Json:
    return {key: one[key] for key in ("spec",)} | {"apiVersion": "topology.volcano.sh/v1alpha1", "kind": "HyperNode"}


def _gone(probe: Callable[[], bool]) -> None:
    kube.wait_for(probe, what="our objects gone")
