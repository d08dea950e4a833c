"""How long something has lasted, as people say it: in its largest unit."""

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def elapsed(seconds: int) -> str:
    """Such as ``12 min``."""
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
