"""Options that belong together reach a command as one record."""

from collections.abc import Callable
from functools import wraps
from typing import Any

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def option_group(parameter: str, record: type[tuple[Any, ...]], *options: Decorator) -> Decorator:
    """Add these options, and pass their values as a ``record`` (a NamedTuple), whose fields they are named after.

    Defaults are the record's: an option takes its own from there.
    """
    fields: tuple[str, ...] = record._fields  # type: ignore[attr-defined]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(**values: Any) -> Any:
            values[parameter] = record(**{field: values.pop(field) for field in fields})
            return function(**values)

        with_options: Callable[..., Any] = command
        for option in reversed(options):
            with_options = option(with_options)
        return with_options

    return decorate
