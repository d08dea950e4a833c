"""A real Prometheus scrapes the agent over TLS, with a token, in OpenMetrics; without either it gets nothing."""

import json
import re
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from tests.hosts.recorded import FIXTURES
from tests.lab import kube
from tests.lab.process import Child, free_port
from tests.machines import sysfs_text

pytestmark = pytest.mark.slow

TOKEN: Final = "a-token"  # noqa: S105 - of this test
_SECONDS: Final = 60


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine's tree, a certificate, tokens."""
    directory = tmp_path_factory.mktemp("scrape")
    (directory / "root").mkdir()
    host = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7"
    sysfs_text.unpack((host / "sys.txt").read_text(encoding="utf-8"), directory / "root")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.crt")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(directory / "tls.key")
    issued.cert_chain_pems[0].write_to_path(directory / "tls.crt")
    trustme.CA().cert_pem.write_to_path(directory / "other-ca.crt")
    (directory / "tokens").write_text(f"{TOKEN}\n")
    (directory / "wrong-token").write_text("another\n")
    return directory


@pytest.fixture(scope="module")
def agent(directory: Path) -> Iterator[str]:
    """Where it listens."""
    files = ("tls-cert-file", "tls.crt"), ("tls-private-key-file", "tls.key"), ("bearer-token-file", "tokens")
    child = Child(
        "agent",
        (
            *(sys.executable, "-m", "nvtopo", "agent", "--no-features", "--no-resource", "--no-events"),
            *("--nvml", "none", "--root", str(directory / "root"), "--listen", "127.0.0.1:0"),
            *(f"--{option}={directory / name}" for option, name in files),
        ),
        log=directory / "agent.log",
    )
    try:
        found = kube.wait_for(
            lambda: re.search(r'"url": "https://([^"]+)"', child.log.read_text(encoding="utf-8")),
            what="the agent's page",
            seconds=_SECONDS,
        )
        yield str(found[1])
    finally:
        child.stop()


@pytest.fixture(scope="module")
def server(prometheus: str, agent: str, directory: Path) -> Iterator[str]:
    """Prometheus with three ways to ask the agent: the right one, without a token that counts, and with no trust."""
    jobs = {
        "right": ("ca.crt", "tokens"),
        "stranger": ("ca.crt", "wrong-token"),
        "distrust": ("other-ca.crt", "tokens"),
    }
    configuration = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {
                "job_name": name,
                "scheme": "https",
                "tls_config": {"ca_file": str(directory / authority)},
                "authorization": {"credentials_file": str(directory / token)},
                "honor_labels": True,  # as the component service-monitor has it
                "static_configs": [{"targets": [agent], "labels": {"pod": "nvtopo-agent-x", "namespace": "nvtopo"}}],
            }
            for name, (authority, token) in jobs.items()
        ],
    }
    (directory / "prometheus.json").write_text(json.dumps(configuration))
    address = f"127.0.0.1:{free_port()}"
    child = Child(
        "prometheus",
        (
            *(prometheus, f"--config.file={directory / 'prometheus.json'}", f"--web.listen-address={address}"),
            *(f"--storage.tsdb.path={directory / 'data'}", "--log.level=warn"),
        ),
        log=directory / "prometheus.log",
    )
    try:
        yield f"http://{address}"
    finally:
        child.stop()


def asked(server: str, path: str, **parameters: str) -> Any:
    """What its API answers; None while it does not."""
    try:
        with urllib.request.urlopen(f"{server}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as got:  # noqa: S310
            return json.load(got)["data"]
    except OSError:
        return None


def health(server: str) -> dict[str, tuple[str, str]]:
    """Job → up or down, and why."""
    targets = (asked(server, "targets") or {}).get("activeTargets", [])
    return {target["labels"]["job"]: (target["health"], target["lastError"]) for target in targets}


def values(server: str, query: str) -> dict[str, float]:
    """Pod → value now."""
    found = (asked(server, "query", query=query) or {}).get("result", [])
    return {series["metric"].get("pod", ""): float(series["value"][1]) for series in found}


def namespaces(server: str, query: str) -> set[str]:
    """Those of the series now."""
    return {series["metric"].get("namespace", "") for series in asked(server, "query", query=query)["result"]}


def test_prometheus_reads_every_series_over_tls_with_a_token(server: str) -> None:
    kube.wait_for(lambda: health(server).get("right", ("",))[0] == "up", what="a scrape", seconds=_SECONDS)
    ratio = 'nvtopo_pod_remote_memory_ratio{job="right"}'
    kube.wait_for(lambda: len(values(server, ratio)) == 2, what="pods", seconds=_SECONDS)
    assert values(server, ratio) == {"train-0": 0.0, "notebook-5d8f7c9b6d-x2x7k": 0.75}
    assert namespaces(server, ratio) == {"jobs"}
    assert namespaces(server, 'nvtopo_build_info{job="right"}') == {"nvtopo"}
    remote = 'sum by (pod) (nvtopo_pod_numa_memory_bytes{job="right",local="false",type="anon"})'
    assert values(server, remote)["notebook-5d8f7c9b6d-x2x7k"] == 24_576 << 20
    assert values(server, 'count(nvtopo_cpu_busy_seconds_total{job="right"})') == {"": 224}
    assert values(server, 'process_resident_memory_bytes{job="right"}')["nvtopo-agent-x"] > 1 << 20


def test_it_is_read_as_openmetrics(server: str) -> None:
    """Whose counters have their type under the name without ``_total``, and info is a type."""
    kube.wait_for(lambda: health(server).get("right", ("",))[0] == "up", what="a scrape", seconds=_SECONDS)
    found = {
        entry["metric"]: entry["type"] for entry in asked(server, "targets/metadata", match_target='{job="right"}')
    }
    assert found["nvtopo_context_switches"] == "counter"
    assert found["nvtopo_build"] == "info"


def test_without_a_token_that_counts_or_without_trust_there_is_nothing(server: str) -> None:
    kube.wait_for(
        lambda: [health(server).get(job, ("",))[0] for job in ("stranger", "distrust")] == ["down", "down"],
        what="two scrapes that fail",
        seconds=_SECONDS,
    )
    assert "401" in health(server)["stranger"][1]
    assert "certificate" in health(server)["distrust"][1]
    assert values(server, 'nvtopo_build_info{job!="right"}') == {}
