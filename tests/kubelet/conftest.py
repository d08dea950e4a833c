"""The node, once for all tests; they run only in the namespaces that `python -m tests.kubelet` makes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubelet import place, story
from tests.kubelet.cluster import AUDIT_POLICY, Cluster
from tests.kubelet.node import Node
from tests.kubelet.programs import Programs
from tests.lab.control_plane import ControlPlane
from tests.lab.nfd import NfdMaster
from tests.lab.process import LabError


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A node is not started by the way: without ``kubelet`` in the marker expression its tests are left out."""
    if "kubelet" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("kubelet")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def built() -> Programs:
    if "NVTOPO_KUBELET_FOLDER" not in os.environ:
        pytest.fail("tests/kubelet needs namespaces of its own: make kubelet-test", pytrace=False)
    return Programs.read(Path(os.environ["NVTOPO_KUBELET_FOLDER"]) / place.PROGRAMS)


@pytest.fixture(scope="session")
def cluster(built: Programs) -> Iterator[Cluster]:
    """Control plane, Node Feature Discovery and one real node."""
    folder = Path(os.environ["NVTOPO_KUBELET_FOLDER"])
    for name in ("plane", "node", "nfd"):
        (folder / name).mkdir()
    policy, audit = folder / "audit-policy.json", folder / "audit.log"
    policy.write_text(AUDIT_POLICY)
    reach = "--kubelet-preferred-address-types=InternalIP"  # nobody resolves the node's name
    flags = (f"--audit-policy-file={policy}", f"--audit-log-path={audit}", reach)
    try:
        with (
            ControlPlane(
                built.binaries, folder / "plane", address=place.SERVICE_ADDRESS, nodes=(place.NODE,), flags=flags
            ) as plane,
            Node(built, plane, folder / "node", os.environ["NVTOPO_KUBELET_CGROUP"]) as node,
            NfdMaster(built.binaries, plane, folder / "nfd") as nfd,
        ):
            yield Cluster(plane, node, nfd, folder, audit)
    except LabError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture(scope="session")
def shipped(cluster: Cluster) -> story.Shipped:
    """`kubectl apply -k daemonset/`."""
    return story.bring_up(cluster)


@pytest.fixture(scope="session")
def rolled(cluster: Cluster, shipped: story.Shipped) -> story.Rolled:
    """Then an overlay, rolled out."""
    return story.roll(cluster, shipped)


@pytest.fixture(scope="session")
def walked(cluster: Cluster, rolled: story.Rolled) -> list[story.Step]:
    """Then each component that makes the agent root, and without it again."""
    assert rolled
    return [step for component in ("acs", "pods") for step in story.walk(cluster, component)]


@pytest.fixture(scope="session")
def gone(cluster: Cluster, walked: list[story.Step]) -> story.Gone:
    """Then `kubectl delete -k`."""
    assert walked
    return story.take_away(cluster)
