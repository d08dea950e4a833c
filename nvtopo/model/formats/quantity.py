"""Kubernetes' quantities: ``1Gi``, ``500M``, ``1e9``, ``128974848``."""

import re
from decimal import ROUND_CEILING, Decimal
from typing import Final

from nvtopo.model.formats import limits

_QUANTITY: Final = re.compile(r"(\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:([kMGTPE]i?|Ki|m)|[eE]([+-]?\d{1,2}))?")
_POWERS: Final = {letter: power for power, letter in enumerate("kMGTPE", 1)}


def whole(text: str) -> int | None:
    """The number, rounded up as Kubernetes does; None if it is none, negative, or larger than any size."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        return None
    number, suffix, exponent = Decimal(match[1]), match[2] or "", match[3]
    if exponent is not None:
        number *= Decimal(10) ** int(exponent)
    elif suffix == "m":
        number /= 1000
    elif suffix:
        number *= Decimal(1024 if suffix.endswith("i") else 1000) ** _POWERS[suffix[0].replace("K", "k")]
    found = int(number.to_integral_value(ROUND_CEILING))
    return found if found <= limits.HIGHEST_BYTES else None
