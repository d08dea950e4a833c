"""The rules as PrometheusRule objects for the Prometheus operator: ``python -m monitoring.prometheus_rule``.

The rule files are the source. Their text goes into the objects as it stands, comments too; only the links to runbooks
can be made absolute: ``--runbooks https://HOST/PATH/docs/runbooks.md``.
"""

import argparse
import sys
import textwrap
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
RULES: Final = tuple(sorted((HERE / "rules").glob("*.yaml")))
RUNBOOKS: Final = "docs/runbooks.md"
"""What every ``runbook_url`` starts with: the file's place in the repository."""


def manifest(runbooks: str = RUNBOOKS) -> str:
    """All rule files, one object each."""
    head = "# Generated from monitoring/rules: make golden.\n"
    return head + "---\n".join(_object(path, runbooks) for path in RULES)


def _object(path: Path, runbooks: str) -> str:
    text = path.read_text(encoding="utf-8").replace(f"runbook_url: {RUNBOOKS}", f"runbook_url: {runbooks}")
    return (
        "apiVersion: monitoring.coreos.com/v1\n"
        "kind: PrometheusRule\n"
        "metadata:\n"
        f"  name: nvtopo-{path.stem}\n"
        "  namespace: nvtopo\n"
        "  labels:\n"
        "    app.kubernetes.io/name: nvtopo\n"
        "spec:\n" + textwrap.indent(text, "  ")
    )


def main() -> int:
    """Print the objects."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.prometheus_rule", description="Rules as manifests.")
    parser.add_argument("--runbooks", default=RUNBOOKS, metavar="URL", help="where docs/runbooks.md is published")
    sys.stdout.write(manifest(parser.parse_args().runbooks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
