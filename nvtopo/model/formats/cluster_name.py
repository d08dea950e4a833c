"""The name of a cluster, as people give it: letters, digits, dot, dash and underscore."""

import re
from typing import Final

PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def is_name(text: str) -> bool:
    """Whether a cluster may be called so."""
    return PATTERN.fullmatch(text) is not None
