"""Writes the dashboards, as files and as the ConfigMap that ships them: ``python -m monitoring.dashboards``."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.dashboards import fleet, node, rack

FOLDER: Final = Path(__file__).resolve().parent
MANIFEST: Final = FOLDER.parents[1] / "daemonset" / "components" / "grafana-dashboards" / "dashboards.yaml"

_HEAD: Final = """\
# Generated from monitoring/dashboards: make golden.
apiVersion: v1
kind: ConfigMap
metadata:
  name: nvtopo-dashboards
  namespace: nvtopo
  labels:
    app.kubernetes.io/name: nvtopo
    grafana_dashboard: "1"
data:
"""


def texts() -> dict[str, str]:
    """File name → dashboard as JSON."""
    built = {"fleet": fleet.build(), "node": node.build(), "rack": rack.build()}
    return {f"nvtopo-{name}.json": as_json(dashboard.build()) for name, dashboard in built.items()}


def manifest(files: Mapping[str, str]) -> str:
    """The ConfigMap with these files."""
    return _HEAD + "".join(f"  {name}: |\n{textwrap.indent(text, '    ')}" for name, text in files.items())


def as_json(dashboard: Dashboard) -> str:
    """The dashboard as JSON, without what the SDK says of every variable and Grafana of intervals alone."""
    for variable in dashboard.templating.list_val or () if dashboard.templating else ():
        variable.auto = variable.auto_min = variable.auto_count = None
    return JSONEncoder(sort_keys=True, indent=1).encode(dashboard) + "\n"


def main() -> None:
    """Write them."""
    files = texts()
    for name, text in files.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    MANIFEST.write_text(manifest(files), encoding="utf-8")


if __name__ == "__main__":
    main()
