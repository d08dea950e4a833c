"""Leader election on a real API server."""

import pytest

from nvtopo.kube.client import connect
from nvtopo.kube.lease import Leadership
from tests.lab import kube
from tests.lab.control_plane import ControlPlane

pytestmark = pytest.mark.lab


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_leads_and_the_other_takes_over_when_it_falls_silent(control_plane: ControlPlane) -> None:
    kube.create_namespace(control_plane.api(), "lease-a")
    clock = Clock()
    with connect(control_plane.admin_kubeconfig) as client:
        one, other = (Leadership(client, "lease-a", "nvtopo", name, clock=clock) for name in ("one", "other"))
        one.attempt()
        other.attempt()
        assert (one.term, other.term) == (1, None)
        clock.now += 9
        one.attempt()
        other.attempt()
        assert (one.term, other.term) == (1, None)
        clock.now += 11
        other.attempt()
        # The first has not renewed and no longer trusts itself; by the second's own clock the Lease has not run out.
        assert (one.term, other.term) == (None, None)
        clock.now += 15
        other.attempt()
        one.attempt()
        assert (one.term, other.term) == (None, 1)
    lease = control_plane.api().get("/apis/coordination.k8s.io/v1/namespaces/lease-a/leases/nvtopo")
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("other", 1)


def test_who_ends_lets_go_at_once(control_plane: ControlPlane) -> None:
    kube.create_namespace(control_plane.api(), "lease-b")
    clock = Clock()
    with connect(control_plane.admin_kubeconfig) as client:
        one, other = (Leadership(client, "lease-b", "nvtopo", name, clock=clock) for name in ("one", "other"))
        one.attempt()
        one.release()
        other.attempt()
        assert (one.term, other.term) == (None, 1)
