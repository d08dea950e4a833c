"""The aggregator's API over TLS, with a certificate that is rotated under it."""

import http.client
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from nvtopo.aggregator.access import LIFETIMES, Access
from nvtopo.aggregator.server import GraphServer
from nvtopo.auth.authorizer import Authorizer
from nvtopo.cluster.inventory import Listed
from nvtopo.tls import TlsFiles
from tests.aggregator.running import PATIENCE, Script, get, running
from tests.aggregator.test_access import Reviews
from tests.certificates import certify, trusting
from tests.cluster import machines


def _status(server: GraphServer, trust: ssl.SSLContext, token: str) -> int:
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=PATIENCE, context=trust)
    try:
        connection.request("GET", "/v1/graph", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_answers_over_tls_and_the_next_client_gets_the_certificate_of_the_moment(tmp_path: Path) -> None:
    successor = trustme.CA()
    with ExitStack() as stack:
        aggregator = stack.enter_context(running(Script(Listed(machines.racks(1)))))
        assert aggregator.wait(0, PATIENCE) is not None
        access = stack.enter_context(Access(Authorizer(Reviews(), LIFETIMES)))
        tls = TlsFiles(*certify(tmp_path))
        server = stack.enter_context(GraphServer(aggregator, access=access, tls=tls))
        assert server.url == f"https://127.0.0.1:{server.port}"
        assert (_status(server, trusting(), "good"), _status(server, trusting(), "other")) == (200, 401)
        with pytest.raises(ssl.SSLCertVerificationError):
            _status(server, trusting(successor), "good")
        with pytest.raises((ConnectionError, http.client.BadStatusLine)):
            get(server, "/healthz")
        certify(tmp_path, successor)
        assert _status(server, trusting(successor), "good") == 200
        (tmp_path / "data/tls.key").unlink()
        assert _status(server, trusting(successor), "good") == 200, "the certificate before, until there is one again"
