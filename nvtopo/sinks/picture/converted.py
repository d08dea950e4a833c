"""The SVG picture as PNG or PDF, by CairoSVG: the same drawing in the light theme."""

from collections.abc import Callable
from typing import Any, Final

from nvtopo.errors import UsageError
from nvtopo.extras import how_to_install

#: Format → pixels per unit of the picture; a PDF stays a drawing.
SCALES: Final = {"png": 2, "pdf": 1}

#: Of the drawing: ten times the largest machine that is known (dgx2-v100-16gpu). More takes seconds.
_MOST_BYTES: Final = 1 << 18


def converted(drawing: str, form: str) -> bytes:
    """The file's content.

    Raises:
        UsageError: the package, or the library that it needs, is not installed, or the picture is too large for it.
    """
    try:
        import cairosvg
    except ImportError as error:
        raise UsageError(f"--format {form} needs the CairoSVG package: {how_to_install('picture')}") from error
    except OSError as error:
        raise UsageError(f"--format {form} needs the library cairo: apt-get install -y libcairo2") from error
    convert: Callable[..., Any] = {"png": cairosvg.svg2png, "pdf": cairosvg.svg2pdf}[form]
    if len(drawing) > _MOST_BYTES:
        raise UsageError(f"--format {form}: the picture is too large; expected svg for a machine of this size")
    content: bytes = convert(bytestring=drawing.encode(), scale=SCALES[form])
    return content
