"""A recorded metrics page as promtool's input: an hour in which the counters that should move do, and nothing else."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families as parse

from monitoring import prometheus_rule
from tests.monitoring.shipped import Json

MINUTES: Final = 60
#: Counters that move on a machine that is well.
_WORK: Final = ("_bytes", "_joules", "_samples", "_switches", "_seconds", "_pages")
_A_MINUTE_S_WORK: Final = 6_000_000


def _hour(node: str, page: Path) -> Iterator[Json]:
    """The page's series with their values at each minute, and what Prometheus adds."""
    for series in (f'up{{job="nvtopo-agent", instance="agent", node="{node}"}}', 'up{job="nvtopo-aggregator"}'):
        yield {"series": series, "values": f"1x{MINUTES}"}
    for family in parse(page.read_text(encoding="utf-8")):
        for sample in family.samples:
            labels = {**sample.labels, "job": "nvtopo-agent", "instance": "agent", "node": node}
            text = ", ".join(f'{label}="{value}"' for label, value in labels.items())
            yield {"series": f"{sample.name}{{{text}}}", "values": _values(family.name, family.type, sample.value)}


def _values(name: str, kind: str, value: float) -> str:
    if name == "nvtopo_observation_timestamp_seconds":
        return f"0+60x{MINUTES}"
    works = kind == "counter" and name.endswith(_WORK)
    return f"{value!r}+{_A_MINUTE_S_WORK}x{MINUTES}" if works else f"{value!r}x{MINUTES}"


def unit_test(name: str, page: Path, fires: Collection[str]) -> Json:
    """promtool's document: within an hour these alerts fire and no other does, at no minute."""
    return {
        "rule_files": [str(path) for path in prometheus_rule.RULES],
        "evaluation_interval": "1m",
        "tests": [
            {
                "name": name,
                "interval": "1m",
                "input_series": list(_hour(name, page)),
                "promql_expr_test": [
                    {
                        "expr": f'group by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{MINUTES}m]))',
                        "eval_time": f"{MINUTES}m",
                        "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(fires)],
                    }
                ],
            }
        ],
    }
