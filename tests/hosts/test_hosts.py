"""Every machine of ``fixtures/hosts``: what the sources read, what follows, and every page that shows it, as files.

``make golden`` writes ``capture.json`` and ``expected/`` anew; the diff is the review.
"""

from pathlib import Path

import msgspec
import pytest

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.model.records.spec import compact
from nvtopo.sinks.document.node import capture_json, node_json
from nvtopo.sinks.publish import nfd
from nvtopo.sinks.text import matrix
from nvtopo.sources.capture import parse_capture
from tests import golden
from tests.hosts.recorded import HOSTS, host_snapshot

pytestmark = pytest.mark.parametrize("host", HOSTS, ids=[host.name for host in HOSTS])


@pytest.fixture
def snapshot(host: Path) -> Snapshot:
    """The committed capture: what is read of it needs no compiler."""
    return parse_capture((host / "capture.json").read_bytes(), host.name)


@pytest.mark.slow
def test_sources_read_what_the_capture_holds(host: Path) -> None:
    golden.check(capture_json(host_snapshot(host)).decode(), host / "capture.json")


def test_facts_and_conclusions(host: Path, snapshot: Snapshot) -> None:
    node = assemble(snapshot)
    golden.check(node_json(node, derive(node)).decode(), host / "expected" / "topology.json")


def test_matrix(host: Path, snapshot: Snapshot) -> None:
    node = assemble(snapshot)
    golden.check(matrix.render(node, derive(node)), host / "expected" / "matrix.txt")


def test_feature_file(host: Path, snapshot: Snapshot) -> None:
    node = assemble(snapshot)
    golden.check(nfd.render(features(node, derive(node))), host / "expected" / "features.d")


def test_the_resource_is_small(snapshot: Snapshot) -> None:
    node = assemble(snapshot)
    boards = max(1, len(node.gpus) / 8, len(node.nics) / 16)
    assert len(msgspec.json.encode(compact(node))) <= boards * 6 * 1024, "6 KiB for eight GPUs with their NICs"
