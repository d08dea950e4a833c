"""Who may scrape an agent, by the real API server, with the roles that the component secure-metrics ships."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from nvtopo.agent.http.page import Listen, MetricsPage
from nvtopo.agent.http.scrape import LIFETIMES, scrapers
from nvtopo.auth.authorizer import Authorizer
from nvtopo.auth.reviews import Reviewer
from nvtopo.kube import client as client_module
from tests.daemonset import shipped
from tests.lab import kube
from tests.lab.control_plane import ControlPlane

RBAC = "rbac.authorization.k8s.io/v1"
#: Ours alone: other tests use the same API server.
NAMESPACE = "scrapes"
pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """With the component's roles, an agent that has them, and two accounts of which one may scrape."""
    api = control_plane.api()
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for name in ("agent", "prometheus", "stranger"):
        api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}})
    objects = shipped.with_components(("secure-metrics",))
    for role, account in (("nvtopo-agent-reviews", "agent"), ("nvtopo-scraper", "prometheus")):
        api.apply(shipped.one(objects, "ClusterRole", role))
        subject = {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        metadata = {"name": f"{NAMESPACE}-{account}"}
        kind = {"apiVersion": RBAC, "kind": "ClusterRoleBinding"}
        api.apply({**kind, "metadata": metadata, "roleRef": reference, "subjects": [subject]})
    return control_plane


@pytest.fixture(scope="module")
def page(plane: ControlPlane) -> Iterator[str]:
    """An agent's page, which asks the API server as that agent."""
    account = plane.kubeconfig(plane.service_account_token(NAMESPACE, "agent"))
    with client_module.connect(account) as client:
        listen = Listen("127.0.0.1", 0, None, scrapers(Authorizer(Reviewer(client), LIFETIMES)))
        with MetricsPage([tuple], lambda: True, listen=listen) as page:
            yield page.url


def status(url: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own URL
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own URL
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def token(plane: ControlPlane, account: str) -> str:
    spec = {"audiences": ["nvtopo"], "expirationSeconds": 600}
    place = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
    made: str = plane.api().create(place, {"spec": spec})["status"]["token"]
    return made


def test_who_may_get_metrics_gets_them(plane: ControlPlane, page: str) -> None:
    scraper = token(plane, "prometheus")
    kube.wait_for(lambda: status(f"{page}/metrics", scraper) == 200, what="the binding to hold")


def test_others_do_not(plane: ControlPlane, page: str) -> None:
    assert status(f"{page}/metrics", token(plane, "stranger")) == 403
    assert status(f"{page}/metrics", "forged") == 401
    assert status(f"{page}/metrics", plane.service_account_token(NAMESPACE, "prometheus")) == 401, "not meant for us"
    assert status(f"{page}/healthz", "forged") == 200


def test_an_agent_without_the_rights_lets_nobody_in(plane: ControlPlane) -> None:
    account = plane.kubeconfig(plane.service_account_token(NAMESPACE, "stranger"))
    with client_module.connect(account) as client:
        listen = Listen("127.0.0.1", 0, None, scrapers(Authorizer(Reviewer(client), LIFETIMES)))
        with MetricsPage([tuple], lambda: True, listen=listen) as page:
            assert status(f"{page.url}/metrics", token(plane, "prometheus")) == 503
