"""Where ``doctor`` writes its report, and the signature beside it."""

from pathlib import Path
from typing import NamedTuple

import click

from nvtopo.errors import UsageError


class Output(NamedTuple):
    """The report's format, and the files of its signature."""

    form: str
    signing: tuple[Path, Path] | None = None
    """The key, and where the signature goes."""

    def checked(self) -> "Output":
        """The same, if it can be signed as it is printed.

        Raises:
            UsageError: text, which a terminal shows in colours.
        """
        if self.signing is not None and self.form == "text":
            raise UsageError("doctor: --sign is with --format json, junit, sarif, prometheus or html")
        return self

    def write(self, report: str | bytes) -> None:
        """Print the report; what is signed are the bytes that are printed."""
        if self.signing is None:
            click.echo(report, nl=False)
            return
        from nvtopo.reports.signature import signed
        from nvtopo.sinks.publish.files import write_output
        from nvtopo.sources.capture import read_input

        key, signature = self.signing
        content = report if isinstance(report, bytes) else report.encode("utf-8", "replace")
        write_output(signature, signed(content, read_input(key), str(key)))
        click.echo(content, nl=False)
