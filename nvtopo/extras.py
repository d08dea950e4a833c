"""How to install what an extra of this package needs, whatever the package itself was installed from."""

from typing import Final

_FALLBACK: Final = "nvtopo[{}]"


def how_to_install(extra: str) -> str:
    """A command that works from a checkout, a wheel and an index alike: it names the extra's own requirements."""
    import sys
    from importlib.metadata import PackageNotFoundError, requires

    try:
        listed = requires("nvtopo") or []
    except PackageNotFoundError:
        listed = []
    needed = [one.partition(";")[0].strip() for one in listed if one.replace("'", '"').endswith(f'extra == "{extra}"')]
    quoted = " ".join(f"'{one}'" for one in needed or [_FALLBACK.format(extra)])
    return f"{sys.executable} -m pip install {quoted}"
