"""What a simulation found, as one SVG: a bar for each policy, in a panel for each figure."""

from collections.abc import Callable, Iterator
from html import escape
from typing import Final, NamedTuple

from nvtopo.reports.simulation import Figures

_PANEL: Final = 300
_LINE: Final = 22
_NAME: Final = 80
_BAR: Final = 130
_TOP: Final = 34
_COLUMNS: Final = 2
_COLOURS: Final = ("#1b7837", "#4575b4", "#91bfdb", "#fdae61", "#d73027")


class _Figure(NamedTuple):
    title: str
    of: Callable[[Figures], float | None]
    unit: str
    factor: float = 1.0


_FIGURES: Final = (
    _Figure("Mean wait", lambda found: found.wait_mean_seconds, " s"),
    _Figure("95th percentile of the wait", lambda found: found.wait_p95_seconds, " s"),
    _Figure("Free GPUs in partly used domains", lambda found: found.fragmentation, " %", 100.0),
    _Figure("Gangs over more than one domain", lambda found: found.cross_domain, " %", 100.0),
    _Figure("Predicted all-reduce, mean", lambda found: found.all_reduce_mean_microseconds, " µs"),
    _Figure("GPU time in use", lambda found: found.utilisation, " %", 100.0),
)


def svg(found: tuple[Figures, ...]) -> str:
    """A document of its own: no script, no font, nothing from elsewhere."""
    height = _TOP + _LINE * len(found) + 14
    rows = -(-len(_FIGURES) // _COLUMNS)
    width, whole = _PANEL * _COLUMNS, height * rows
    panels = "".join(
        f'<g transform="translate({number % _COLUMNS * _PANEL},{number // _COLUMNS * height})">'
        f"{''.join(_panel(figure, found))}</g>\n"
        for number, figure in enumerate(_FIGURES)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" width="{width}" height="{whole}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{panels}</svg>\n'
    )


def _panel(figure: _Figure, found: tuple[Figures, ...]) -> Iterator[str]:
    yield f'<text x="8" y="20" font-weight="bold">{figure.title}</text>'
    values = [figure.of(figures) for figures in found]
    most = max((value for value in values if value is not None), default=0.0)
    for number, (figures, value) in enumerate(zip(found, values, strict=True)):
        y = _TOP + _LINE * number
        yield f'<text x="8" y="{y + 12}">{escape(figures.policy)}</text>'
        if value is None:
            yield f'<text x="{_NAME}" y="{y + 12}">not known</text>'
            continue
        length = _BAR * value / most if most else 0.0
        colour = _COLOURS[number % len(_COLOURS)]
        yield f'<rect x="{_NAME}" y="{y}" width="{length:.1f}" height="{_LINE - 6}" fill="{colour}"/>'
        yield f'<text x="{_NAME + length + 5:.1f}" y="{y + 12}">{value * figure.factor:.1f}{figure.unit}</text>'
