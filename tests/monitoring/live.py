"""A real Prometheus that scrapes real agents on recorded machines, and an aggregator: time runs faster in its rules.

The rule files are the shipped ones but for their durations: every ``for``, every range and the one age in seconds are
``SPEED`` times shorter. Prometheus scrapes and evaluates each second, fifteen times as often as configured.
"""

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from monitoring import prometheus_rule
from tests.lab import kube
from tests.lab.process import Child, await_ready, free_port
from tests.monitoring.shipped import MONITORING, Json

SPEED: Final = 20
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RANGE: Final = re.compile(r"\[(\d+)([smhd])\]")
_WAIT: Final = re.compile(r"for: (\d+)([smhd])$", re.MULTILINE)
_AGE: Final = re.compile(r"(age_seconds:max > )(\d+)")


def faster(text: str) -> str:
    """The rule file with its durations shortened."""
    text = _RANGE.sub(lambda found: f"[{_shorter(found)}]", text)
    text = _WAIT.sub(lambda found: f"for: {_shorter(found)}", text)
    return _AGE.sub(lambda found: f"{found[1]}{int(found[2]) // SPEED}", text)


def _shorter(duration: re.Match[str]) -> str:
    return f"{int(duration[1]) * _SECONDS[duration[2]] // SPEED}s"


class Prometheus:
    """A running Prometheus."""

    def __init__(self, child: Child, port: int) -> None:
        self.child = child
        self.url = f"http://127.0.0.1:{port}"
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def get(self, path: str, **parameters: str) -> Any:
        """An answer's ``data``."""
        query = urllib.parse.urlencode(parameters)
        with self._open(f"{self.url}{path}?{query}", timeout=30) as answer:
            return json.load(answer).get("data")

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.get("/api/v1/status/buildinfo"))
        except OSError:
            return False

    def query(self, expression: str) -> list[Json]:
        """What an expression gives now."""
        found: list[Json] = self.get("/api/v1/query", query=expression)["result"]
        return found

    def fired(self) -> dict[str, set[str]]:
        """Node → the alerts that fired on it at any moment; what is of no node under the empty name."""
        found: dict[str, set[str]] = {}
        for sample in self.query('group by (node, alertname) (max_over_time(ALERTS{alertstate="firing"}[1h]))'):
            found.setdefault(sample["metric"].get("node", ""), set()).add(sample["metric"]["alertname"])
        return found

    def rules(self) -> list[Json]:
        """Every rule with its health."""
        return [rule for group in self.get("/api/v1/rules")["groups"] for rule in group["rules"]]


@contextmanager
def scraping(program: str, folder: Path, agents: Mapping[str, str], aggregators: list[str]) -> Iterator[Prometheus]:
    """Prometheus as configured in ``monitoring``, with these targets: node → address, and addresses."""
    (folder / "rules").mkdir(parents=True)
    (folder / "targets").mkdir()
    for path in prometheus_rule.RULES:
        (folder / "rules" / path.name).write_text(faster(path.read_text(encoding="utf-8")), encoding="utf-8")
    configuration = yaml.safe_load((MONITORING / "prometheus.yaml").read_text(encoding="utf-8"))
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    targets = [{"targets": [address], "labels": {"node": node}} for node, address in agents.items()]
    (folder / "targets" / "agents.yaml").write_text(yaml.safe_dump(targets), encoding="utf-8")
    known = [{"targets": aggregators}] if aggregators else []
    (folder / "targets" / "aggregators.yaml").write_text(yaml.safe_dump(known), encoding="utf-8")
    port = free_port()
    options = {
        "config.file": folder / "prometheus.yaml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "query.lookback-delta": f"{300 // SPEED}s",
        "log.level": "warn",
    }
    arguments = (program, *(f"--{name}={value}" for name, value in options.items()))
    child = Child("prometheus", arguments, log=folder / "prometheus.log")
    try:
        prometheus = Prometheus(child, port)
        await_ready(prometheus.ready, [child], what="Prometheus to answer")
        yield prometheus
    finally:
        child.stop()


def eventually(probe: kube.Probe[Any], what: str, seconds: float) -> Any:
    """The probe's first true answer."""
    return kube.wait_for(probe, what=what, seconds=seconds, interval=0.5)
