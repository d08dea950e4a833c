"""``nvtopo predicted``: what was predicted of placements beside what nccl-tests measured there."""

from pathlib import Path

import click

from nvtopo.cli.paths import FilePath
from nvtopo.errors import UsageError

_MOST_ANSWERS = 10_000
_FILES = FilePath(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


@click.command("predicted")
@click.argument("answers", nargs=-1, required=True, type=_FILES)
@click.option("--measured", "runs", type=_FILES, multiple=True, required=True, help="Output of nccl-tests; repeatable.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "json", "links"), case_sensitive=False),
    default="text",
    show_default=True,
    help="Output format; links is what `nvtopo simulate --links` reads.",
)
def command(answers: tuple[Path, ...], runs: tuple[Path, ...], form: str) -> None:
    """Compare what `nvtopo place --format json` said (ANSWERS) with what was measured on the same GPUs."""
    from nvtopo.placement.beside import compared
    from nvtopo.placement.result import Assignment
    from nvtopo.reports.predicted import FORMATS
    from nvtopo.sources.capture import read_input
    from nvtopo.sources.foreign import measurements
    from nvtopo.wire.documents import Json

    if len(answers) > _MOST_ANSWERS:
        raise UsageError(f"predicted: expected at most {_MOST_ANSWERS} answers, got {len(answers)}")
    reader = Json(Assignment, "an Assignment, as `nvtopo place --format json` writes it")
    found = {str(file): reader.read(read_input(file), str(file)) for file in answers}
    measured = measurements.joined(measurements.read(read_input(file), str(file)) for file in runs)
    click.echo(FORMATS[form](compared(found, measured.collectives)), nl=False)
