"""Options whose value is the name of a Kubernetes object, or of a namespace."""

from collections.abc import Callable
from typing import Any, Final

import click
from click.types import StringParamType

from nvtopo.model.formats import object_name


class ObjectName(StringParamType):
    """A name that Kubernetes takes; anything else is wrong usage."""

    def __init__(self, is_name: Callable[[str], bool], expected: str) -> None:
        self._is_name = is_name
        self._expected = expected

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name."""
        text = str(super().convert(value, param, ctx))
        if not self._is_name(text):
            self.fail(f"expected {self._expected}, got {text!r}", param, ctx)
        return text


#: Of most objects.
NAME: Final = ObjectName(
    object_name.is_subdomain, f"small letters, digits, '-' and '.', at most {object_name.LONGEST_SUBDOMAIN} characters"
)
NAMESPACE: Final = ObjectName(
    object_name.is_label, f"small letters, digits and '-', at most {object_name.LONGEST_LABEL} characters"
)
