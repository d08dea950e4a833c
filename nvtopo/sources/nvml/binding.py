"""pynvml, imported without ``ctypes.util``, of which it uses ``find_library``, on Windows only.

With that module come subprocess, tempfile and random: time of each dump, and memory of the workers that stay.
"""

import sys
from types import ModuleType

__all__ = ["pynvml"]

_LOOKUP = "ctypes.util"


def _find_library(_name: str) -> str | None:
    return None  # as ctypes.util's does for what it does not find


_loaded = _LOOKUP in sys.modules
if not _loaded:
    sys.modules[_LOOKUP] = ModuleType(_LOOKUP, "Stands in for the one of the standard library during one import.")
    sys.modules[_LOOKUP].find_library = _find_library  # type: ignore[attr-defined]  # a module has what it is given
try:
    import pynvml
finally:
    if not _loaded:
        del sys.modules[_LOOKUP]
